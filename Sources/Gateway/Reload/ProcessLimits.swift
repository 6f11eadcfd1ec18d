// The limits of the process that a reload changes while requests count in them.
import EventLoop

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
    Process.reserveDescriptors(Self.descriptorsNeeded(configuration, places, descriptors))
    replayMemory.set(configuration.limits.replayMemory)
  }

  /// Callers must not take the descriptors that their requests need upstream: those get a quarter at most, and what the
  /// process needs for itself is not counted in.
  static func connectionLimit(
    _ configuration: GatewayConfiguration, _ places: PlanPlaces, _ descriptors: UInt64
  ) -> Int {
    if descriptors == 0 { return configuration.limits.connections }
    let others = othersDescriptors(configuration, places, descriptors)
    return min(configuration.limits.connections, max(1, Int(clamping: descriptors) - others))
  }

  /// What all of them together take when all limits are reached.
  static func descriptorsNeeded(
    _ configuration: GatewayConfiguration, _ places: PlanPlaces, _ descriptors: UInt64
  ) -> Int {
    let others = othersDescriptors(configuration, places, descriptors)
    return min(
      Int(clamping: descriptors), connectionLimit(configuration, places, descriptors) + others)
  }

  /// Descriptors that are no callers'.
  private static func othersDescriptors(
    _ configuration: GatewayConfiguration, _ places: PlanPlaces, _ descriptors: UInt64
  ) -> Int {
    let upstream = Set(places.ofUpstreams.joined()).reduce(0) { $0 + places.upstreams[$1].connections }
    let own = 16 + (8 + 2 * relays(configuration, descriptors)) * configuration.workers
    return own + min(upstream, Int(clamping: descriptors) / 4)
  }

  /// Large bodies that a loop passes on without a look at a time; each takes two descriptors.
  func relays(_ configuration: GatewayConfiguration) -> Int { Self.relays(configuration, descriptors) }

  private static func relays(_ configuration: GatewayConfiguration, _ descriptors: UInt64) -> Int {
    // Whatever the number of loops, most descriptors are for connections.
    min(configuration.limits.splicedBodies, Int(clamping: descriptors) / (256 * max(1, configuration.workers)))
  }
}
