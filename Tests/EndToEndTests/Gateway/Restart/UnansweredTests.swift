// Token calls whose answer does not come: SIGTERM while one is awaited, and servers that read the request and close.
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(10))) struct UnansweredTests {
  /// What happens when: SIGTERM during a token call
  @Test(arguments: RotatingAPI.allCases)
  func aPairThatComesDuringTheDrainIsStoredBeforeTheExit(_ api: RotatingAPI) async throws {
    let server = try await RotatingServer.start(api, lifetime: 3600)
    try await server.keepAnswersBack()
    let gateway = try await GatewayUnderTest.start(server.configuration(), waitingFor: "/healthz")
    try await server.waitForAnswerKeptBack(pair: 1)
    try gateway.process.send(ChildProcess.terminate)
    try await gateway.process.waitWhileRunning("the signal was seen") { try gateway.log.contains("draining") }
    try await server.release()
    #expect(try await gateway.process.waitForExit(within: .seconds(60)) == .code(0))
    let log = try gateway.log
    let drain = try #require(log.firstRange(of: "draining"), "\(log)")
    #expect(log[drain.upperBound...].contains("token refreshed"), "the answer came before the signal: \(log)")
    #expect(!log.contains("pair is not stored"))

    // The whole pair is there: the access token without a call, and its refresh token with the next one.
    try await gateway.start()
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    #expect(try await server.tally().tokens.count == 1)
    try gateway.write(server.configuration(scope: "read"))
    try await gateway.start(waitingFor: "/healthz")
    try await gateway.waitForGeneration(2)
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    let tally = try await server.tally()
    #expect(tally.tokens.count == 2 && tally.spent == 0 && tally.areAllDifferent, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }

  /// libcurl by itself sends a request again when a reused connection dies.
  @Test(arguments: RotatingAPI.allCases, [1, 3])
  func aServerThatReadsAndClosesGetsOneRequestPerAttempt(_ api: RotatingAPI, _ count: Int) async throws {
    let server = try await RotatingServer.start(api)
    try await server.readAndClose(count: count)
    let start = ContinuousClock.now
    let gateway = try await GatewayUnderTest.start(server.configuration(), waitingFor: "/healthz")
    // The first retry has its time: callers wait for it. Later ones share the failure.
    if count == 1 { try await server.expectService(through: gateway) }
    try await gateway.waitForGeneration(1)
    #expect(ContinuousClock.now - start >= .seconds(1), "the first retry comes after 1 s")
    try await server.expectService(through: gateway)
    #expect(try await gateway.credential()?["grants"]?.int == count + 1)
    #expect(try await gateway.stop() == .code(0))
    let tally = try await server.tally()
    #expect(tally.tokens.count == count + 1 && Set(tally.tokens).count == 1, "\(tally)")
    #expect(tally.granted == 1 && tally.spent == 0, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }

  @Test(arguments: [(false, 0), (true, 0), (false, 1)])
  func theFirstRetryComesASecondAfterTheUnansweredCall(_ isPublic: Bool, _ alreadyServed: Int) async throws {
    let server = try await TokenServerUnderTest.start(isPublic: isPublic, lifetime: alreadyServed == 0 ? 3600 : 4)
    let api = RotatingServer(isPublic ? .toolkitVinID : .toolkitOAuth2, server)
    let gateway: GatewayUnderTest
    if alreadyServed == 0 {
      try await server.fail("read_and_close")
      gateway = try await GatewayUnderTest.start(api.configuration())
    } else {
      // At a rotation no caller notices: the lease is good meanwhile.
      gateway = try await GatewayUnderTest.start(api.configuration())
      try await server.fail("read_and_close")
      try await gateway.waitForGeneration(2)
    }
    try await api.expectService(through: gateway)
    try await gateway.kill()
    let calls = try await server.calls().dropFirst(alreadyServed).prefix(2)
    try #require(calls.count == 2)
    let (first, second) = (calls[calls.startIndex], calls[calls.startIndex + 1])
    #expect(first.outcome == "read_and_close" && second.outcome == "granted")
    #expect(first.token == second.token && !second.wasSpent)
    // The server's clock starts when it has read the request, ours when the connection was closed; both on one machine.
    #expect(second.at - first.at >= 0.9 && second.at - first.at < 5, "\(second.at - first.at) s")
  }
}
