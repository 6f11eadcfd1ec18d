// The disk fails while the gateway starts: a clear error, and the seed stays where it is.
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(10))) struct FailingStartTests {
  private static func expectRefusal(
    _ gateway: GatewayUnderTest, _ disk: FailingDisk, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    try await gateway.start(environment: disk.environment, waitingFor: nil)
    #expect(try await gateway.process.waitForExit() == .code(1), sourceLocation: sourceLocation)
    let errors = try gateway.process.errors
    #expect(errors.contains("the store can't be"), "\(errors)", sourceLocation: sourceLocation)
    #expect(errors.contains(gateway.storePath), "\(errors)", sourceLocation: sourceLocation)
    #expect(disk.failures > 0, sourceLocation: sourceLocation)
  }

  @Test(arguments: DiskFault.allCases)
  func aDiskThatFailsAtTheFirstStartIsAnErrorAndTheSeedIsNotSent(_ fault: DiskFault) async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try GatewayUnderTest()
    let disk = try await FailingDisk(for: gateway)
    try gateway.write(server.configuration())
    disk.fail(fault)
    for _ in 0..<2 { try await Self.expectRefusal(gateway, disk) }
    #expect(try await server.tally().tokens.isEmpty)

    // Nothing of it stands in the way later.
    disk.heal()
    try await gateway.start(environment: disk.environment)
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    #expect(try await server.tally().tokens.count == 1)
    gateway.expectNoSecretsInOutputs()
  }

  /// The newest pair is in the log when a gateway was killed: a start that can't bring it into the file is no reason to
  /// take an older one, or the seed.
  /// What happens when: The disk of the store fails at the start
  @Test(arguments: DiskFault.allCases.map(Optional.some) + [nil])
  func aDiskThatFailsAtALaterStartIsAnErrorAndNoOldTokenIsSent(_ fault: DiskFault?) async throws {
    let server = try await RotatingServer.start(.sandboxVinID, lifetime: 2)
    let gateway = try GatewayUnderTest()
    let disk = try await FailingDisk(for: gateway)
    try gateway.write(server.configuration())
    try await gateway.start(environment: disk.environment)
    try await gateway.waitForGeneration(3)
    try await server.setLifetime(3600)
    let reached = try await gateway.waitForGeneration(4)
    try await gateway.kill()
    let before = try await server.tally().tokens.count
    #expect(reached == before)

    if let fault { disk.fail(fault) } else { disk.failReads() }
    for _ in 0..<2 { try await Self.expectRefusal(gateway, disk) }
    #expect(try await server.tally().tokens.count == before)

    disk.heal()
    try await gateway.start(environment: disk.environment)
    try await server.expectService(through: gateway)
    #expect(try await gateway.credential()?["generation"]?.int == reached)
    #expect(try await gateway.stop() == .code(0))
    let tally = try await server.tally()
    #expect(tally.tokens.count == before && tally.spent == 0 && tally.areAllDifferent, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }
}
