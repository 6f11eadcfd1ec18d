// The disk under the SQLite store fails: callers are served, the alarm shows, nothing spent is sent again, and the pair is
// stored when the disk is back.
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(15))) struct FailingDiskTests {
  /// A gateway with its first pair, whose lease ends after that many seconds, and callers that all must be served.
  private struct Life {
    let server: RotatingServer
    let gateway: GatewayUnderTest
    let disk: FailingDisk
    let callers: LoadRun.Running

    init(lifetime: Int, refreshAt: OrderedJSON = 0.8) async throws {
      server = try await RotatingServer.start(.sandboxVinID, lifetime: lifetime)
      gateway = try GatewayUnderTest()
      disk = try await FailingDisk(for: gateway)
      var configuration = server.configuration()
      configuration.credentials["main"]?["refresh_at"] = refreshAt
      try gateway.write(configuration)
      try await gateway.start(environment: disk.environment)
      #expect(try await gateway.waitForGeneration(1) == 1)
      // Only the first lease is short.
      try await server.setLifetime(3600)
      var run = LoadRun(
        to: gateway.address, callers: 4, .time(.seconds(3600)), OutgoingRequest("/main/user-management/user-info"))
      run.pause = .milliseconds(20)
      run.timeout = .seconds(60)
      run.check = { $0.json?["data"]?["full_name"]?.text == "Sandbox User" ? nil : "\($0.status) \($0.bodyText)" }
      callers = try run.start()
    }

    /// Ends the load: nobody was refused, and somebody was served.
    func expectAllServed(sourceLocation: SourceLocation = #_sourceLocation) async throws {
      callers.stop()
      let report = try await callers.report()
      #expect(report.failures.isEmpty, "\(report.failures)", sourceLocation: sourceLocation)
      #expect(report.count > 20, sourceLocation: sourceLocation)
    }

    /// Restarts with an edit that ends the access token: what is in the store must be the living refresh token.
    func expectStoredPairLives(_ generation: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
      #expect(try await gateway.stop() == .code(0), sourceLocation: sourceLocation)
      try gateway.write(server.configuration(scope: "read"))
      try await gateway.start(environment: disk.environment, waitingFor: "/healthz")
      #expect(try await gateway.waitForGeneration(generation + 1) == generation + 1, sourceLocation: sourceLocation)
      try await server.expectService(through: gateway, sourceLocation: sourceLocation)
      #expect(try await gateway.stop() == .code(0), sourceLocation: sourceLocation)
      let tally = try await server.tally()
      #expect(tally.spent == 0 && tally.areAllDifferent, "\(tally)", sourceLocation: sourceLocation)
      #expect(tally.tokens.count == generation + 1, "\(tally)", sourceLocation: sourceLocation)
      gateway.expectNoSecretsInOutputs(sourceLocation: sourceLocation)
    }
  }

  /// What happens when: The disk of the store is full, or its `write` or `fsync` fails
  @Test(arguments: DiskFault.allCases)
  func aDiskThatFailsLeavesCallersServedRaisesTheAlarmAndHeals(_ fault: DiskFault) async throws {
    let life = try await Life(lifetime: 5)
    let (gateway, disk) = (life.gateway, life.disk)
    disk.fail(fault)
    // First the mark can't be written: the lease is used to its end. Then the grant is made all the same.
    try await gateway.waitForAlarm("mark_not_written")
    try await gateway.waitForAlarm("pair_not_stored")
    let credential = try #require(try await gateway.credential())
    #expect(credential["generation"]?.int == 2 && credential["serving"]?.bool == true, "\(credential)")
    #expect(credential["state"]?.text == "waiting_for_store" && credential["reason"]?.text == "store_unavailable")
    let readiness = try await gateway.adminGet("/readyz")
    #expect(readiness.status == 200 && readiness.bodyText.contains("pair_not_stored"), "\(readiness.bodyText)")
    let log = try gateway.log
    #expect(log.contains("grant sent without a mark in the store"))
    #expect(log.contains("\"kind\":\"\(fault.kind)\""), "\(log)")
    #expect(disk.failures > 0)
    // The new token serves, and no further grant is made however often the store is tried.
    let failures = disk.failures
    try await Deadline.wait("it is tried again", within: .seconds(60)) { disk.failures > failures + 2 }
    #expect(try await life.server.tally().tokens.count == 2)

    disk.heal()
    try await gateway.waitForAlarm(nil)
    #expect(try await gateway.waitForGeneration(2) == 2)
    #expect(try gateway.log.contains("pair stored after all"))
    try await life.expectAllServed()
    try await life.expectStoredPairLives(2)
  }

  /// Only the mark is in danger while the lease is good: nothing is spent for nothing.
  @Test func aDiskThatFailsBeforeTheMarkDelaysTheRefreshWhileTheLeaseIsGood() async throws {
    let life = try await Life(lifetime: 60, refreshAt: 0.1)
    life.disk.fail(.syncError)
    // Refreshed ahead from 6 s on; good until 55 s.
    try await life.gateway.waitForAlarm("mark_not_written")
    let readiness = try await life.gateway.adminGet("/readyz")
    #expect(readiness.status == 200 && readiness.bodyText.contains("mark_not_written"), "\(readiness.bodyText)")
    #expect(try await life.gateway.credential()?["state"]?.text == "waiting_for_store")
    #expect(try await life.server.tally().tokens.count == 1, "a refresh token was spent that could not be stored")
    life.disk.heal()
    try await life.gateway.waitForAlarm(nil)
    #expect(try await life.gateway.waitForGeneration(2) == 2)
    #expect(try !life.gateway.log.contains("grant sent without a mark"))
    try await life.expectAllServed()
    try await life.expectStoredPairLives(2)
  }

  /// SQLite goes on where a write has ended early.
  @Test func shortWritesOfTheStoreAreCompleted() async throws {
    let life = try await Life(lifetime: 5)
    life.disk.writeShortly()
    #expect(try await life.gateway.waitForGeneration(2) == 2)
    #expect(life.disk.halfWrites > 0)
    #expect(try !life.gateway.log.contains("store failed"))
    try await life.expectAllServed()
    try await life.expectStoredPairLives(2)
  }

  /// The pair in memory is written as soon as it can be, also while the gateway ends.
  @Test func aDiskThatComesBackDuringTheDrainGetsThePair() async throws {
    let life = try await Life(lifetime: 5)
    life.disk.fail(.writeNoSpace)
    try await life.gateway.waitForAlarm("pair_not_stored")
    try await life.expectAllServed()
    let process = try life.gateway.process
    process.send(ChildProcess.terminate)
    try await process.waitWhileRunning("it drains") { try life.gateway.log.contains("draining") }
    let failures = life.disk.failures
    try await process.waitWhileRunning("it tries again", within: .seconds(25)) { life.disk.failures > failures }
    life.disk.heal()
    #expect(try await process.waitForExit(within: .seconds(60)) == .code(0))
    #expect(try !life.gateway.log.contains("newest pair is not stored"))
    try await life.gateway.start(environment: life.disk.environment)
    try await life.server.expectService(through: life.gateway)
    #expect(try await life.server.tally().tokens.count == 2)
    try await life.expectStoredPairLives(2)
  }

  /// What was only in memory is gone, and the mark tells.
  /// What happens when: The gateway is killed before it could store a pair
  @Test(arguments: [0, 300])
  func aKillWhileThePairCanNotBeStoredIsALostReplyUnlessThereIsAGrace(_ grace: Int) async throws {
    let server = try await RotatingServer.start(.sandboxVinID, grace: grace)
    let gateway = try GatewayUnderTest()
    let disk = try await FailingDisk(for: gateway)
    try gateway.write(server.configuration())
    server.answerLate(by: .seconds(3))
    try await gateway.start(environment: disk.environment, waitingFor: "/healthz")
    try await server.waitForAnswerKeptBack(pair: 1)
    // The mark is durable, the pair will not be.
    disk.fail(.writeError)
    try await gateway.waitForAlarm("pair_not_stored")
    try await server.expectService(through: gateway)
    try await gateway.kill()
    server.answerLate(by: .zero)
    disk.heal()

    try await gateway.start(environment: disk.environment, waitingFor: "/healthz")
    if grace == 0 {
      #expect(try await gateway.waitForNeedsLogin() == "lost_reply")
      let refused = try await server.request(through: gateway)
      #expect(refused.status == 502 && refused.json?["reason"]?.text == "lost_reply", "\(refused.bodyText)")
    } else {
      try await gateway.waitForGeneration(1)
      try await server.expectService(through: gateway)
    }
    let tally = try await server.tally()
    #expect(tally.tokens.count == 2 && tally.spent == 1 && Set(tally.tokens).count == 1, "\(tally)")
    #expect(try await gateway.stop() == .code(0))
    gateway.expectNoSecretsInOutputs()
  }

  /// Nothing could be written that tells of the call: to the next start its refusal is any dead refresh token's.
  /// What happens when: The gateway is killed when neither mark nor pair could be stored
  @Test(arguments: [0, 300])
  func aKillAfterAGrantThatCouldNotBeMarkedNeedsALoginUnlessThereIsAGrace(_ grace: Int) async throws {
    let server = try await RotatingServer.start(.sandboxVinID, lifetime: 4, grace: grace)
    let gateway = try GatewayUnderTest()
    let disk = try await FailingDisk(for: gateway)
    try gateway.write(server.configuration())
    try await gateway.start(environment: disk.environment)
    disk.fail(.writeError)
    try await server.setLifetime(3600)
    try await gateway.waitForAlarm("pair_not_stored")
    try await server.expectService(through: gateway)
    try await gateway.kill()
    disk.heal()

    for _ in 0..<2 {
      try await gateway.start(environment: disk.environment, waitingFor: "/healthz")
      if grace == 0 {
        #expect(try await gateway.waitForNeedsLogin() == "needs_login")
        let refused = try await server.request(through: gateway)
        #expect(refused.status == 502 && refused.json?["reason"]?.text == "needs_login", "\(refused.bodyText)")
      } else {
        try await gateway.waitForGeneration(2)
        try await server.expectService(through: gateway)
      }
      #expect(try await gateway.stop() == .code(0))
    }
    // The seed, its successor, and that one once more.
    let tally = try await server.tally()
    #expect(tally.tokens.count == 3 && tally.spent == 1 && Set(tally.tokens).count == 2, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }
}
