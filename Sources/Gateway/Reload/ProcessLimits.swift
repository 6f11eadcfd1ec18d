// The limits of the process that a reload changes while requests count in them.

/// Of the control loop.
struct ProcessLimits {
  /// Connections with callers.
  let connections: ProcessLimit
  let replayMemory: ReplayMemory
  /// That the process may have; 0: not known.
  private let descriptors: UInt64

  init(_ configuration: GatewayConfiguration, _ places: PlanPlaces, descriptors: UInt64) {
    self.descriptors = descriptors
    connections = ProcessLimit(Self.connectionLimit(configuration, places, descriptors))
    replayMemory = ReplayMemory(limit: configuration.limits.replayMemory)
  }

  /// A reload.
  func follow(_ configuration: GatewayConfiguration, _ places: PlanPlaces) {
    connections.set(Self.connectionLimit(configuration, places, descriptors))
    replayMemory.set(configuration.limits.replayMemory)
  }

  /// Callers must not take the descriptors that their requests need upstream: those get a quarter at most, and what the
  /// process needs for itself is not counted in.
  static func connectionLimit(
    _ configuration: GatewayConfiguration, _ places: PlanPlaces, _ descriptors: UInt64
  ) -> Int {
    if descriptors == 0 { return configuration.limits.connections }
    let available = Int(clamping: descriptors)
    let upstream = Set(places.ofUpstreams.joined()).reduce(0) { $0 + places.upstreams[$1].connections }
    let own = 16 + 8 * configuration.workers
    return min(configuration.limits.connections, max(1, available - own - min(upstream, available / 4)))
  }
}
