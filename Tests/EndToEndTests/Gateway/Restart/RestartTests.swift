// What a gateway finds in its store when it is started again in order, against each token API that rotates.
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(10))) struct RestartTests {
  @Test(arguments: RotatingAPI.allCases)
  func aRestartWithAGoodStoredLeaseMakesNoTokenCall(_ api: RotatingAPI) async throws {
    let server = try await RotatingServer.start(api)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    #expect(try await server.tally().tokens.count == 1)

    for _ in 0..<2 {
      try await gateway.start()
      try await server.expectService(through: gateway)
      #expect(try await gateway.credential()?["generation"]?.int == 1)
      // Once it has ended nothing can follow.
      #expect(try await gateway.stop() == .code(0))
    }
    #expect(try await server.tally().tokens.count == 1)
    #expect(Set(try await server.upstreamTokens()).count == 1, "three requests with one access token")
    gateway.expectNoSecretsInOutputs()
  }

  /// What happens when: An old gateway.json comes back, with a used refresh token
  @Test(arguments: RotatingAPI.allCases)
  func aRolledBackConfigurationSendsNoSpentToken(_ api: RotatingAPI) async throws {
    let server = try await RotatingServer.start(api, lifetime: 2)
    let first = server.configuration()
    let gateway = try await GatewayUnderTest.start(first)
    try await gateway.waitForGeneration(3)
    #expect(try await gateway.stop() == .code(0))

    // The seed in the file was spent two rotations ago.
    try await gateway.start(waitingFor: "/healthz")
    let reached = try await gateway.waitForGeneration(4)
    #expect(reached >= 4)
    #expect(try gateway.log.contains("refresh token of the configuration was used before"))
    #expect(try await gateway.stop() == .code(0))

    // A newer login's seed, and then the old file again: the newer login's successor counts.
    let newer = try await server.logIn()
    try gateway.write(server.configuration(seed: newer))
    try await gateway.start(waitingFor: "/healthz")
    let withNewer = try await gateway.waitForGeneration(reached + 2)
    #expect(try await gateway.stop() == .code(0))
    try gateway.write(first)
    try await server.setLifetime(3600)
    try await gateway.start(waitingFor: "/healthz")
    try await gateway.waitForGeneration(withNewer + 1)
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))

    let tally = try await server.tally()
    #expect(tally.spent == 0 && tally.areAllDifferent && tally.granted == tally.tokens.count, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }

  enum Edit: String, CaseIterable, Sendable { case scope, tokenURL }

  @Test(arguments: RotatingAPI.allCases, Edit.allCases)
  func anEditEndsTheAccessTokenAndKeepsTheRefreshToken(_ api: RotatingAPI, _ edit: Edit) async throws {
    let server = try await RotatingServer.start(api)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    let before = Set(try await server.upstreamTokens())

    // Asked for before the new token is there: the stored one is good for another hour, but not for this configuration.
    try gateway.write(edit == .scope ? server.configuration(scope: "read") : server.configuration(isMoved: true))
    try await gateway.start(waitingFor: "/healthz")
    try await server.expectService(through: gateway)
    try await gateway.waitForGeneration(2)
    #expect(try await gateway.stop() == .code(0))
    let after = try await server.upstreamTokens().dropFirst(before.count)
    #expect(after.count == 1 && before.isDisjoint(with: after), "the old access token was sent")
    var tally = try await server.tally()
    #expect(tally.tokens.count == 2 && tally.spent == 0 && tally.areAllDifferent, "\(tally)")

    // And back: the pair on file belongs to the edited configuration.
    try gateway.write(server.configuration())
    try await gateway.start(waitingFor: "/healthz")
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    tally = try await server.tally()
    #expect(tally.tokens.count == 3 && tally.spent == 0 && tally.areAllDifferent, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }

  @Test(arguments: RotatingAPI.allCases)
  func aNewSeedAfterADeadOneIsTakenAtTheNextStart(_ api: RotatingAPI) async throws {
    let server = try await RotatingServer.start(api)
    let gateway = try await GatewayUnderTest.start(
      server.configuration(seed: "made-up-refresh-of-nobody"), waitingFor: "/healthz")
    #expect(try await gateway.waitForNeedsLogin() == "needs_login")
    let refused = try await server.request(through: gateway)
    #expect(refused.status == 502 && refused.json?["reason"]?.text == "needs_login", "\(refused.bodyText)")
    #expect(refused.json?["credential"]?.text == "main")
    #expect(try await gateway.adminStatus("/readyz") == 503)
    #expect(try await gateway.stop() == .code(0))

    // The verdict is in the store: nobody is asked again.
    try await gateway.start(waitingFor: "/healthz")
    #expect(try await gateway.waitForNeedsLogin() == "needs_login")
    #expect(try await server.request(through: gateway).status == 502)
    #expect(try await gateway.stop() == .code(0))
    #expect(try await server.tally().tokens.count == 1)

    try gateway.write(server.configuration())
    try await gateway.start()
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    let tally = try await server.tally()
    #expect(tally.tokens.count == 2 && tally.granted == 1 && tally.spent == 0, "\(tally)")
    gateway.expectNoSecretsInOutputs()
  }
}
