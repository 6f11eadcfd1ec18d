// The numbers of routes, credentials, listeners and upstream servers. They stay the same for the life of the process:
// requests in flight, leases, counters and shared state go by them, whatever a reload takes away or adds.
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

  init() {}

  init(_ configuration: GatewayConfiguration) { take(configuration) }

  /// What is known keeps its place, also when it was away for a while; what is new comes behind all that ever was.
  mutating func take(_ configuration: GatewayConfiguration) {
    // The list is behind a lock.
    let list = configuration.credentials
    var credentialPlaces = [String: Int](minimumCapacity: max(list.count, credentials.count))
    for (place, name) in credentials.enumerated() { credentialPlaces[name] = place }
    let known = credentials.count
    ofCredentials = list.map { Self.place(of: $0.name, &credentials, &credentialPlaces) }
    if credentials.count > known {
      sortedCredentials = credentials.indices.map { Int32($0) }.sorted { credentials[Int($0)] < credentials[Int($1)] }
    }
    for case let index? in configuration.routes.map(\.credential) {
      routedCredentials = max(routedCredentials, ofCredentials[index] + 1)
    }
    ofListeners = configuration.listeners.map { Self.place(of: $0.name, &listeners, &listenerPlaces) }
    ofRoutes = configuration.routes.map { route in
      let credential = route.credential.map { list[$0].name } ?? ""
      return Self.place(of: Route(name: route.name, credential: credential), &routes, &routePlaces)
    }
    ofUpstreams = configuration.routes.map { route in
      route.upstream.origins.map {
        Self.place(of: UpstreamKey($0, route, configuration), &upstreams, &upstreamPlaces)
      }
    }
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

  private static func place<Key: Hashable>(of key: Key, _ all: inout [Key], _ places: inout [Key: Int]) -> Int {
    if let known = places[key] { return known }
    places[key] = all.count
    all.append(key)
    return all.count - 1
  }
}
