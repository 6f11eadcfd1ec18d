// `gateway refresh` and `gateway status`: through the running gateway, and with its store if none runs.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct RefreshTests {
  private func refresh(_ gateway: GatewayUnderTest, _ name: String = "main") async throws -> (
    exit: ChildExit, output: String, errors: String
  ) {
    let result = try await gateway.command(["refresh", name, "--config", gateway.configurationPath])
    SecretMarks.expectNone(in: result.output + result.errors)
    return result
  }

  private func status(_ gateway: GatewayUnderTest, _ options: [String] = []) async throws -> (
    exit: ChildExit, output: String, errors: String
  ) {
    let result = try await gateway.command(["status", "--config", gateway.configurationPath] + options)
    SecretMarks.expectNone(in: result.output + result.errors)
    return result
  }

  /// An operator asked: the least distance between refreshes that 401s force does not count.
  @Test func eachRefreshByTheRunningGatewayIsOneGrant() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    for generation in 2...3 {
      let result = try await refresh(gateway)
      #expect(result.exit == .code(0), "\(result)")
      #expect(result.output.hasPrefix("main: refreshed, generation \(generation), good for "), "\(result.output)")
      try await server.expectService(through: gateway)
    }
    let tally = try await server.tally()
    #expect(tally.tokens.count == 3 && tally.spent == 0)
    #expect(try await gateway.stop() == .code(0))
    gateway.expectNoSecretsInOutputs()
  }

  @Test(arguments: RotatingAPI.allCases) func ifNoneRunsTheCommandMakesTheGrantItself(_ api: RotatingAPI) async throws {
    let server = try await RotatingServer.start(api)
    let gateway = try GatewayUnderTest()
    try gateway.write(server.configuration())
    for generation in 1...2 {
      let result = try await refresh(gateway)
      #expect(result.exit == .code(0), "\(result)")
      #expect(result.output.hasPrefix("main: refreshed, generation \(generation), "), "\(result.output)")
    }
    #expect(TemporaryDirectory.mode(gateway.storePath) == 0o600)
    try await gateway.start()
    try await server.expectService(through: gateway)
    let tally = try await server.tally()
    #expect(tally.tokens.count == 2 && tally.spent == 0 && tally.areAllDifferent, "the next start has made a call")
    #expect(try await gateway.stop() == .code(0))
  }

  /// Ctrl-C while the grant is out: its pair is stored all the same.
  @Test func anInterruptedCommandLosesNoPair() async throws {
    let server = try await RotatingServer.start(.toolkitOAuth2)
    let gateway = try GatewayUnderTest()
    try gateway.write(server.configuration())
    try await server.keepAnswersBack()
    let command = try ChildProcess(
      Products.path("gateway"), ["refresh", "main", "--config", gateway.configurationPath],
      directory: gateway.directory, name: "refresh")
    try await server.waitForAnswerKeptBack(pair: 1)
    command.send(ChildProcess.interrupt)
    command.send(ChildProcess.terminate)
    try await server.release()
    #expect(try await command.waitForExit(within: .seconds(60)) == .code(0), "\(command.errors)")
    #expect(command.output.contains("generation 1"))
    try await gateway.start()
    try await server.expectService(through: gateway)
    let tally = try await server.tally()
    #expect(tally.tokens.count == 1 && tally.spent == 0)
    #expect(try await gateway.stop() == .code(0))
  }

  @Test func aRefreshThatFailsSaysWhy() async throws {
    let server = try await RotatingServer.start(.toolkitOAuth2)
    let gateway = try GatewayUnderTest()
    try gateway.write(server.configuration(seed: "made-up-refresh-that-nobody-knows"))
    for _ in 0..<2 {
      let alone = try await refresh(gateway)
      #expect(alone.exit == .code(1) && alone.errors.contains("main was not refreshed: rejected, invalid_grant"))
    }
    // The verdict is kept; a person's wish asks once more.
    #expect(try await server.tally().tokens.count == 2)
    let stored = try await status(gateway)
    #expect(stored.exit == .code(1) && stored.output.contains("needs_login"), "\(stored)")
    try await gateway.start(waitingFor: "/healthz")
    #expect(try await gateway.waitForNeedsLogin() == "needs_login")
    let running = try await refresh(gateway)
    #expect(running.exit == .code(1) && running.errors.contains("rejected, invalid_grant"), "\(running.errors)")
    let unknown = try await refresh(gateway, "nobody")
    #expect(unknown.exit == .code(1) && unknown.errors.contains("there are main"), "\(unknown.errors)")
    #expect(try await gateway.stop() == .code(0))
  }

  /// Nothing is read or written while another process has the store.
  @Test func aStoreInUseIsLeftAlone() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    // The same store, behind an admin listener at which nobody answers.
    let other = try GatewayUnderTest(directory: gateway.directory)
    try other.write(
      server.configuration().text(
        listenerPort: other.address.port, adminPort: other.admin.port, storePath: gateway.storePath))
    let result = try await refresh(other)
    #expect(result.exit == .code(2) && result.errors.contains("another gateway (process"), "\(result.errors)")
    #expect(try await server.tally().tokens.count == 1)
    // A look takes nothing from anybody.
    let look = try await status(other)
    #expect(look.exit == .code(0) && look.errors.contains("none runs at \(other.admin)"), "\(look)")
    #expect(look.output.contains("stored"))
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
  }

  @Test func statusIsATableAndJSON() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try GatewayUnderTest()
    try gateway.write(server.configuration())
    let new = try await status(gateway)
    #expect(new.exit == .code(0) && new.output.contains("new") && new.errors.contains("none runs"), "\(new)")
    #expect(TemporaryDirectory.mode(gateway.storePath) == nil, "a look makes no store")

    try await gateway.start()
    let table = try await status(gateway)
    #expect(table.exit == .code(0) && table.errors.isEmpty, "\(table)")
    let lines = table.output.split(separator: "\n")
    #expect(lines.count == 2 && lines[0].hasPrefix("NAME") && lines[1].hasPrefix("main  ready  yes"), "\(table.output)")
    #expect(lines[1].contains("in 29 d 23 h"), "the refresh token's own end")
    let json = try #require(JSONValue.parse(Array(try await status(gateway, ["--json"]).output.utf8)))
    #expect(json["gateway"]?.text == "running")
    let main = json["credentials"]?.elements?.first
    #expect(main?["name"]?.text == "main" && main?["ok"]?.bool == true && main?["generation"]?.int == 1)
    #expect(try await gateway.stop() == .code(0))
    let stored = try await status(gateway, ["--json"])
    let after = try #require(JSONValue.parse(Array(stored.output.utf8)))
    #expect(after["gateway"]?.text == "not running" && after["source"]?.text == "store")
    #expect(after["credentials"]?.elements?.first?["generation"]?.int == 1, "\(stored.output)")
  }

  @Test func nobodyToAskIsExitCodeTwo() async throws {
    let gateway = try GatewayUnderTest()
    try gateway.write("{}")
    #expect(try await status(gateway).exit == .code(2))
    // Somebody else's server stands where the admin listener should be.
    let answer = try ScriptedServer(script: ServerScript { _ in .answer(.text("hello")) })
    var configuration = GatewayConfiguration()
    configuration.more["admin"] = ["address": .string("\(answer.addresses[0])")]
    configuration.routes = [GatewayConfiguration.route("r", prefix: "/", to: answer.addresses[0], credential: nil)]
    try gateway.write(configuration)
    let strange = try await status(gateway)
    #expect(strange.exit == .code(2) && strange.errors.contains("is not the gateway's admin listener"), "\(strange)")
    try gateway.directory.write(
      "gateway.db", "this is no database, and long enough to be read as a header of one", mode: 0o600)
    configuration.more["admin"] = nil
    try gateway.write(configuration)
    let damaged = try await status(gateway)
    #expect(damaged.exit == .code(2) && damaged.errors.contains("can't be read"), "\(damaged)")
  }
}
