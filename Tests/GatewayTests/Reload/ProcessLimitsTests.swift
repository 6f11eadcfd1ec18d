// How the process's descriptors are shared out: callers get what upstreams, workers and spliced bodies leave.
import Testing

@testable import Gateway

@Suite struct ProcessLimitsTests {
  /// However many workers there are, and whatever the limit says.
  @Test(arguments: [1, 8, 64, 512], [1024, 65_536, 524_288] as [UInt64])
  func splicedBodiesLeaveMostDescriptorsToCallers(workers: Int, descriptors: UInt64) throws {
    var configuration = GatewayConfiguration()
    configuration.workers = workers
    configuration.limits.connections = .max
    let places = PlanPlaces(configuration)
    configuration.limits.splicedBodies = 0
    let without = ProcessLimits.connectionLimit(configuration, places, descriptors)
    configuration.limits.splicedBodies = 10_000
    let with = ProcessLimits.connectionLimit(configuration, places, descriptors)
    #expect(without - with <= Int(descriptors) / 128, "\(without) without, \(with) with them")
    #expect(ProcessLimits.descriptorsNeeded(configuration, places, descriptors) <= Int(descriptors))
  }
}
