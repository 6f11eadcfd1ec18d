// SIGKILL at the worst moments: right after a rotation, and between a token server's processing and its answer.
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(10))) struct KillTests {
  @Test(arguments: RotatingAPI.allCases)
  func aKillRightAfterARotationLosesNothing(_ api: RotatingAPI) async throws {
    let server = try await RotatingServer.start(api, lifetime: 4)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    for generation in 2...4 {
      let reached = try await gateway.waitForGeneration(generation)
      try await gateway.kill()
      #expect(reached == generation)
      #expect(try await server.tally().granted == generation, "killed later than it was meant to be")
      if generation == 4 { try await server.setLifetime(3600) }
      try await gateway.start(waitingFor: "/healthz")
      try await server.expectService(through: gateway)
      #expect(try gateway.log.contains("lease restored from the store"))
    }
    try await gateway.waitForGeneration(5)
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    let tally = try await server.tally()
    #expect(tally.tokens.count == 5 && tally.granted == 5, "\(tally)")
    #expect(tally.spent == 0 && tally.areAllDifferent, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }

  /// What happens when: It is killed during a token call, and the token server has a grace window
  @Test(arguments: RotatingAPI.allCases)
  func aKillInTheMiddleOfAGrantSendsTheSameTokenAgainAndAGraceHelps(_ api: RotatingAPI) async throws {
    let server = try await RotatingServer.start(api, lifetime: 4, grace: 300)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    try await server.keepAnswersBack()
    try await server.waitForAnswerKeptBack(pair: 2)
    try await gateway.kill()
    try await server.setLifetime(3600)
    try await server.release()

    try await gateway.start(waitingFor: "/healthz")
    try await gateway.waitForGeneration(2)
    #expect(try gateway.log.contains("a grant was in flight when a process ended"))
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    var tokens = try await server.tally().tokens
    #expect(tokens.count == 3 && tokens[1] == tokens[2] && tokens[0] != tokens[1], "seed, successor, successor again")

    // It has the right successor: the next rotation works, and the grace is not needed again.
    try gateway.write(server.configuration(scope: "read"))
    try await gateway.start(waitingFor: "/healthz")
    try await gateway.waitForGeneration(3)
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    let tally = try await server.tally()
    tokens = tally.tokens
    #expect(tokens.count == 4 && Set(tokens).count == 3 && tally.spent == 1, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }

  /// What happens when: It is killed during a token call, and the token server has no grace window
  @Test(arguments: RotatingAPI.allCases)
  func aKillInTheMiddleOfAGrantOfAStrictServerIsALostReplyAndAsksNoMore(_ api: RotatingAPI) async throws {
    let server = try await RotatingServer.start(api)
    try await server.keepAnswersBack()
    let gateway = try await GatewayUnderTest.start(server.configuration(), waitingFor: "/healthz")
    try await server.waitForAnswerKeptBack(pair: 1)
    try await gateway.kill()
    try await server.release()

    for _ in 0..<2 {
      try await gateway.start(waitingFor: "/healthz")
      #expect(try await gateway.waitForNeedsLogin() == "lost_reply")
      for _ in 0..<5 {
        let refused = try await server.request(through: gateway)
        #expect(refused.status == 502 && refused.json?["reason"]?.text == "lost_reply", "\(refused.bodyText)")
        #expect(refused.json?["credential"]?.text == "main")
      }
      let readiness = try await gateway.adminGet("/readyz")
      #expect(readiness.status == 503 && readiness.bodyText.contains("\"name\":\"main\""), "\(readiness.bodyText)")
      #expect(try await gateway.stop() == .code(0))
    }
    var tally = try await server.tally()
    #expect(tally.tokens.count == 2 && tally.tokens[0] == tally.tokens[1] && tally.spent == 1, "\(tally)")

    // A login ends it.
    try gateway.write(server.configuration(seed: try await server.logIn()))
    try await gateway.start()
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    tally = try await server.tally()
    #expect(tally.tokens.count == 3 && tally.spent == 1, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }

  @Test func aKillOfTwoCredentialsAtOnceKeepsBoth() async throws {
    let server = try await TokenServerUnderTest.start(lifetime: 4)
    let first = RotatingServer(.toolkitOAuth2, server)
    let credentials = ["one": first.credential(), "two": first.credential(seed: try await server.logIn())]
    let gateway = try await GatewayUnderTest.start(first.configuration(credentials))
    for name in ["one", "two"] { try await gateway.waitForGeneration(2, of: name) }
    try await gateway.kill()
    try await server.setLifetime(3600)
    try await gateway.start(waitingFor: "/healthz")
    for name in ["one", "two"] {
      try await gateway.waitForGeneration(3, of: name)
      try await first.expectService(through: gateway, credential: name)
    }
    #expect(try await gateway.stop() == .code(0))
    let tally = try await first.tally()
    #expect(tally.tokens.count == 6 && tally.spent == 0 && tally.areAllDifferent, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }

  @Test func aDeadCredentialLeavesTheOtherAlone() async throws {
    let server = try await TokenServerUnderTest.start()
    let first = RotatingServer(.toolkitOAuth2, server)
    let credentials = ["dead": first.credential(seed: "made-up-refresh-of-nobody"), "good": first.credential()]
    let gateway = try await GatewayUnderTest.start(first.configuration(credentials), waitingFor: "/healthz")
    for _ in 0..<2 {
      #expect(try await gateway.waitForNeedsLogin(of: "dead") == "needs_login")
      try await gateway.waitForGeneration(1, of: "good")
      try await first.expectService(through: gateway, credential: "good")
      #expect(try await first.request(through: gateway, credential: "dead").status == 502)
      let readiness = try await gateway.adminGet("/readyz")
      #expect(readiness.status == 503, "\(readiness.bodyText)")
      #expect(readiness.json?["credentials"]?.elements?.compactMap { $0["name"]?.text } == ["dead"])
      try await gateway.kill()
      try await gateway.start(waitingFor: "/healthz")
    }
    #expect(try await gateway.stop() == .code(0))
    #expect(try await first.tally().tokens.count == 2)
    gateway.expectNoSecretsInOutputs()
  }
}
