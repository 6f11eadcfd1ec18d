// Turns the configuration into what the data loops use: routes, listeners and upstreams with everything rendered once.
internal import EventLoop
internal import HTTPWire
internal import TokenKit

/// What plans are made from. Nothing can go wrong any more once it is there.
struct PlanInputs: Sendable {
  /// A server that routes lead to.
  fileprivate struct Upstream: Sendable {
    var place: Int
    var key: UpstreamKey
    var tls: TLSTarget?
  }

  /// A file of certificate authorities that can't be used.
  struct Failure: Error, CustomStringConvertible {
    /// Of the first route that names it.
    var route: Int
    var error: TLSError
    var description: String { "\(error)" }
  }

  let configuration: GatewayConfiguration
  let places: PlanPlaces
  fileprivate let upstreams: [Upstream]

  /// Blocking, while files of authorities are read.
  /// - Parameters:
  ///   - known: where things stand so far.
  ///   - free: places that may get other names.
  init(
    _ configuration: GatewayConfiguration, places known: PlanPlaces = PlanPlaces(),
    free: PlanPlaces.Chosen = PlanPlaces.Chosen()
  ) throws(Failure) {
    var places = known
    places.take(configuration, free: free)
    var upstreams: [Upstream] = []
    var seen: Set<Int> = []
    for (index, route) in configuration.routes.enumerated() {
      for place in places.ofUpstreams[index] where seen.insert(place).inserted {
        let key = places.upstreams[place]
        var tls: TLSTarget?
        if key.origin.isTLS {
          do throws(TLSError) {
            tls = TLSTarget(
              context: try TLSClientContext.shared(caFile: route.upstream.caFile), serverName: key.origin.tlsServerName,
              port: key.origin.port)
          } catch {
            throw Failure(route: index, error: error)
          }
        }
        upstreams.append(Upstream(place: place, key: key, tls: tls))
      }
    }
    self.configuration = configuration
    self.places = places
    self.upstreams = upstreams
  }

  /// Of servers that speak TLS, by place.
  var authorities: [Int: TLSClientContext] {
    Dictionary(
      uniqueKeysWithValues: upstreams.compactMap { upstream in upstream.tls.map { (upstream.place, $0.context) } })
  }
}

/// Immutable. Made once for the control loop and once for each data loop: what a request touches is its own loop's.
struct DataPlanePlan: Sendable {
  /// A server that routes lead to.
  struct Upstream: Sendable {
    let place: Int
    let target: UpstreamTarget
    /// Connections, in the process.
    let connections: Int
  }

  let routes: RouteTable
  /// By the numbers that `routes` gives.
  let plans: [RoutePlan]
  let listeners: [ListenerPlan]
  let upstreams: [Upstream]
  let places: PlanPlaces
  let logNames: AccessLogNames
  /// By place: whether the configuration has the credential.
  let hasCredential: [Bool]
  /// Those that its routes use.
  let credentials: Set<Int>
  private let tenure: PlanTenure?

  /// - Parameter tenure: lasts as long as anything of it is in use.
  init(_ inputs: PlanInputs, tenure: PlanTenure? = nil) {
    let configuration = inputs.configuration
    self.tenure = tenure
    let places = inputs.places
    self.places = places
    upstreams = inputs.upstreams.map { Self.upstream($0, configuration) }
    let list = configuration.credentials
    plans = configuration.routes.indices.map { Self.plan($0, configuration, list, places, tenure) }
    credentials = Set(plans.compactMap(\.credential))
    var hasCredential = [Bool](repeating: false, count: places.credentials.count)
    for place in places.ofCredentials { hasCredential[place] = true }
    self.hasCredential = hasCredential
    routes = RouteTable(
      configuration.routes.map { route in
        var placed = route
        placed.match.listener = route.match.listener.map { places.ofListeners[$0] }
        return placed
      })
    listeners = configuration.listeners.enumerated().map { Self.listener(places.ofListeners[$0], $1, configuration) }
    logNames = AccessLogNames(
      listeners: places.listeners, routes: places.routes.map { ($0.name, $0.credential.isEmpty ? nil : $0.credential) })
  }

  /// Where nothing was before.
  /// - Throws: what is wrong with a file of certificate authorities.
  init(_ configuration: GatewayConfiguration) throws(PlanInputs.Failure) { self.init(try PlanInputs(configuration)) }

  /// A loop's part of a limit: at least one each, unless there is to be none at all.
  private static func share(of limit: Int, _ workers: Int) -> Int { limit == 0 ? 0 : max(1, limit / workers) }

  private static func upstream(_ upstream: PlanInputs.Upstream, _ configuration: GatewayConfiguration) -> Upstream {
    let key = upstream.key
    return Upstream(
      place: upstream.place,
      target: UpstreamTarget(
        place: upstream.place, host: key.origin.host, port: key.origin.port, authority: key.origin.authority,
        tls: upstream.tls,
        idleTimeout: key.idle.nanoseconds,
        idleConnections: share(of: key.idleConnections, configuration.workers),
        responseHeadBytes: key.responseHead, responseFields: key.fields),
      connections: key.connections)
  }

  private static func plan(
    _ index: Int, _ configuration: GatewayConfiguration, _ credentials: [CredentialConfiguration],
    _ places: PlanPlaces, _ tenure: PlanTenure?
  ) -> RoutePlan {
    let route = configuration.routes[index]
    let credential = route.credential.map { credentials[$0] }
    let owned = ["authorization"] + (credential?.injectedFieldNames ?? [])
    return RoutePlan(
      index: UInt32(places.ofRoutes[index]), name: route.name,
      credential: route.credential.map { places.ofCredentials[$0] }, credentialName: credential?.name ?? "",
      upstreams: places.ofUpstreams[index], basePath: Array(route.upstream.basePath.utf8),
      preservesHost: route.preserveHost,
      ownedNames: owned.map { $0.lowercased().utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") } },
      tokensDieAtRotation: credential?.provider.traits.killsOldTokenAtRotation ?? false,
      rejections: credential?.rejectionStatuses ?? [],
      requestBody: UInt64(route.limits.requestBody), replayBody: route.limits.replayBody,
      connectTimeout: route.timeouts.connect.nanoseconds, responseHeadTimeout: route.timeouts.responseHead.nanoseconds,
      streamIdleTimeout: route.timeouts.streamIdle.nanoseconds, parkTimeout: route.timeouts.park.nanoseconds,
      tenure: tenure)
  }

  private static func listener(
    _ place: Int, _ listener: ListenerConfiguration, _ configuration: GatewayConfiguration
  ) -> ListenerPlan {
    ListenerPlan(
      index: place, name: listener.name, address: listener.address, hosts: listener.hosts, allow: listener.allow,
      callerToken: Array((listener.callerToken?.reveal() ?? "").utf8), halfClose: listener.halfClose,
      headLimits: HeadLimits(
        bytes: configuration.limits.requestHead, fields: configuration.limits.headers,
        target: min(8192, configuration.limits.requestHead)),
      requestHeadTimeout: configuration.timeouts.requestHead.nanoseconds,
      idleTimeout: configuration.timeouts.idle.nanoseconds,
      rate: RateTerms(
        minimum: configuration.limits.minRate, streamIdle: configuration.timeouts.streamIdle.nanoseconds),
      dropsUnderscoreFields: configuration.underscoreFields == .drop)
  }
}
