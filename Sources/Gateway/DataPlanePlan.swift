// Turns the configuration into what the data loops use: routes, listeners and upstreams with everything rendered once.
internal import EventLoop
internal import HTTPWire
internal import TokenKit

/// Immutable. Made once for the control loop and once for each data loop: what a request touches is its own loop's.
struct DataPlanePlan: Sendable {
  let routes: RouteTable
  let plans: [RoutePlan]
  let listeners: [ListenerPlan]
  let targets: [UpstreamTarget]
  /// In the process; for each target.
  let upstreamConnections: [Int]

  /// - Throws: what is wrong with a file of certificate authorities.
  init(_ configuration: GatewayConfiguration) throws(TLSError) {
    var targets: [UpstreamTarget] = []
    var limits: [Int] = []
    var places: [PoolKey: Int] = [:]
    var plans: [RoutePlan] = []
    for (index, route) in configuration.routes.enumerated() {
      var upstreams: [Int] = []
      for origin in route.upstream.origins {
        let key = PoolKey(
          origin: origin, caFile: route.upstream.caFile, idle: route.timeouts.upstreamIdle,
          responseHead: route.limits.responseHead, connections: route.limits.upstreamConnections,
          idleConnections: route.limits.upstreamIdleConnections)
        let place = places[key] ?? targets.count
        upstreams.append(place)
        if places.updateValue(place, forKey: key) != nil { continue }
        targets.append(try Self.target(origin, route, configuration))
        limits.append(route.limits.upstreamConnections)
      }
      plans.append(Self.plan(UInt32(index), route, upstreams: upstreams, configuration))
    }
    self.plans = plans
    self.targets = targets
    upstreamConnections = limits
    routes = RouteTable(configuration.routes)
    listeners = configuration.listeners.enumerated().map { Self.listener($0, $1, configuration) }
  }

  /// The credentials that its routes use.
  var credentials: Set<Int> { Set(plans.compactMap(\.credential)) }

  /// What connections must have in common to be shared by routes.
  private struct PoolKey: Hashable {
    var origin: UpstreamOrigin
    var caFile: String?
    var idle: Duration
    var responseHead: Int
    var connections: Int
    var idleConnections: Int
  }

  /// A loop's part of a limit: at least one each, unless there is to be none at all.
  private static func share(of limit: Int, _ workers: Int) -> Int { limit == 0 ? 0 : max(1, limit / workers) }

  private static func target(
    _ origin: UpstreamOrigin, _ route: RouteConfiguration, _ configuration: GatewayConfiguration
  ) throws(TLSError) -> UpstreamTarget {
    var tls: TLSTarget?
    if origin.isTLS {
      tls = TLSTarget(
        context: try TLSClientContext.shared(caFile: route.upstream.caFile), serverName: origin.tlsServerName,
        port: origin.port)
    }
    return UpstreamTarget(
      host: origin.host, port: origin.port, authority: origin.authority, tls: tls,
      idleTimeout: route.timeouts.upstreamIdle.nanoseconds,
      idleConnections: share(of: route.limits.upstreamIdleConnections, configuration.workers),
      responseHeadBytes: route.limits.responseHead,
      responseFields: max(configuration.limits.headers, 100))
  }

  private static func plan(
    _ index: UInt32, _ route: RouteConfiguration, upstreams: [Int], _ configuration: GatewayConfiguration
  ) -> RoutePlan {
    let credential = route.credential.map { configuration.credentials[$0] }
    let owned = ["authorization"] + (credential?.injectedFieldNames ?? [])
    return RoutePlan(
      index: index, name: route.name, credential: route.credential, credentialName: credential?.name ?? "",
      upstreams: upstreams, basePath: Array(route.upstream.basePath.utf8), preservesHost: route.preserveHost,
      ownedNames: owned.map { $0.lowercased().utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") } },
      tokensDieAtRotation: credential?.provider.traits.killsOldTokenAtRotation ?? false,
      rejections: credential?.rejectionStatuses ?? [],
      requestBody: UInt64(route.limits.requestBody), replayBody: route.limits.replayBody,
      connectTimeout: route.timeouts.connect.nanoseconds, responseHeadTimeout: route.timeouts.responseHead.nanoseconds,
      streamIdleTimeout: route.timeouts.streamIdle.nanoseconds, parkTimeout: route.timeouts.park.nanoseconds)
  }

  private static func listener(
    _ index: Int, _ listener: ListenerConfiguration, _ configuration: GatewayConfiguration
  ) -> ListenerPlan {
    ListenerPlan(
      index: index, name: listener.name, address: listener.address, hosts: listener.hosts, allow: listener.allow,
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
