// The numbers of routes, credentials, listeners and upstream servers: requests in flight, leases, counters and shared
// state go by them, whatever a reload takes away or adds. One gets another name only when nothing goes by it any more.
internal import EventLoop

/// What connections must have in common to be shared by routes.
struct UpstreamKey: Hashable, Sendable {
  var origin: UpstreamOrigin
  var caFile: String?
  var idle: Duration
  var responseHead: Int
  var fields: Int
  var connections: Int
  var idleConnections: Int

  init(_ origin: UpstreamOrigin, _ route: RouteConfiguration, _ configuration: GatewayConfiguration) {
    self.origin = origin
    caFile = route.upstream.caFile
    idle = route.timeouts.upstreamIdle
    responseHead = route.limits.responseHead
    fields = max(configuration.limits.headers, 100)
    connections = route.limits.upstreamConnections
    idleConnections = route.limits.upstreamIdleConnections
  }

  /// As metrics call the server.
  var name: String {
    let host = origin.host.contains(":") ? "[\(origin.host)]" : origin.host
    return "\(origin.isTLS ? "https" : "http")://\(host):\(origin.port)"
  }
}

/// What has been there in this process, by place, and where the things of the configuration in force stand.
struct PlanPlaces: Sendable {
  /// A route with its credential: counters and log lines go by both.
  struct Route: Hashable, Sendable {
    var name: String
    /// Empty: none.
    var credential: String
  }

  /// Some places of each kind.
  struct Chosen: Sendable, Equatable {
    var routes: [Int] = []
    var credentials: [Int] = []
    var upstreams: [Int] = []
    var isEmpty: Bool { routes.isEmpty && credentials.isEmpty && upstreams.isEmpty }
  }

  private(set) var routes: [Route] = []
  private(set) var credentials: [String] = []
  /// Up to where credentials have been used by routes.
  private(set) var routedCredentials = 0
  private(set) var listeners: [String] = []
  private(set) var upstreams: [UpstreamKey] = []

  // By their order in the configuration.
  private(set) var ofRoutes: [Int] = []
  private(set) var ofCredentials: [Int] = []
  private(set) var ofListeners: [Int] = []
  /// Each route's servers.
  private(set) var ofUpstreams: [[Int]] = []

  private var routePlaces: [Route: Int] = [:]
  /// The places of credentials in the order of their names: of the four the only ones that there may be very many of.
  private var sortedCredentials: [Int32] = []
  private var listenerPlaces: [String: Int] = [:]
  private var upstreamPlaces: [UpstreamKey: Int] = [:]

  /// Those that have other names than in the configuration before.
  private(set) var reused = Chosen()
  /// How often there were any.
  private(set) var version = 0

  init() {}

  init(_ configuration: GatewayConfiguration) { take(configuration) }

  /// What is known keeps its place, also when it was away for a while; what is new takes a free place, or one behind all
  /// that there are.
  /// - Parameter free: places that nothing goes by.
  mutating func take(_ configuration: GatewayConfiguration, free: Chosen = Chosen()) {
    reused = Chosen()
    // The list is behind a lock.
    let list = configuration.credentials
    var credentialPlaces = [String: Int](minimumCapacity: max(list.count, credentials.count))
    for (place, name) in credentials.enumerated() { credentialPlaces[name] = place }
    let known = credentials.count
    var rest = free.credentials
    ofCredentials = Self.places(of: list.map(\.name), &credentials, &credentialPlaces, &rest, &reused.credentials)
    if credentials.count > known || !reused.credentials.isEmpty {
      sortedCredentials = credentials.indices.map { Int32($0) }.sorted { credentials[Int($0)] < credentials[Int($1)] }
    }
    for case let index? in configuration.routes.map(\.credential) {
      routedCredentials = max(routedCredentials, ofCredentials[index] + 1)
    }
    var (noneFree, noneReused) = ([Int](), [Int]())
    ofListeners = Self.places(
      of: configuration.listeners.map(\.name), &listeners, &listenerPlaces, &noneFree, &noneReused)
    rest = free.routes
    let named = configuration.routes.map { route in
      Route(name: route.name, credential: route.credential.map { list[$0].name } ?? "")
    }
    ofRoutes = Self.places(of: named, &routes, &routePlaces, &rest, &reused.routes)
    rest = free.upstreams
    let keys = configuration.routes.map { route in
      route.upstream.origins.map { UpstreamKey($0, route, configuration) }
    }
    var flat = Self.places(of: Array(keys.joined()), &upstreams, &upstreamPlaces, &rest, &reused.upstreams)[...]
    ofUpstreams = keys.map { origins in
      defer { flat = flat.dropFirst(origins.count) }
      return Array(flat.prefix(origins.count))
    }
    if !reused.isEmpty { version += 1 }
  }

  /// Whether it is there or was.
  func place(ofCredential name: String) -> Int? {
    var (low, high) = (0, sortedCredentials.count)
    while low < high {
      let middle = (low + high) / 2
      let place = Int(sortedCredentials[middle])
      if credentials[place] == name { return place }
      if credentials[place] < name { low = middle + 1 } else { high = middle }
    }
    return nil
  }

  private static func places<Key: Hashable>(
    of keys: [Key], _ all: inout [Key], _ places: inout [Key: Int], _ free: inout [Int], _ reused: inout [Int]
  ) -> [Int] {
    if !free.isEmpty {
      // A name that comes back has its own place.
      let names = Set(keys)
      free.removeAll { names.contains(all[$0]) }
      free.reverse()
    }
    return keys.map { key in
      if let known = places[key] { return known }
      if let place = free.popLast() {
        places[all[place]] = nil
        all[place] = key
        places[key] = place
        reused.append(place)
        return place
      }
      places[key] = all.count
      all.append(key)
      return all.count - 1
    }
  }
}
