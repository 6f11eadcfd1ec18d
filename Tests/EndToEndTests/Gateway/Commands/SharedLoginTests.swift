// Logins where replicas share a store: whoever takes the pair, all have it.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(10))) struct SharedLoginTests {
  private struct Rig {
    let database: PostgresServer
    let server: TokenServerUnderTest
    let replicas: [GatewayUnderTest]
    /// A configuration with which no gateway runs.
    let absent: GatewayUnderTest
    let environment: [String: String]

    init() async throws {
      let database = try await PostgresServer.start()
      let server = try await TokenServerUnderTest.start()
      let rotating = RotatingServer(.toolkitOAuth2, server)
      var credential = rotating.credential()
      credential["redirect_uri"] = "http://127.0.0.1/callback"
      credential["authorization_url"] = .string("http://\(server.address)/o/authorize/")
      credential["refresh_token"] = nil
      var configuration = rotating.configuration(["main": credential])
      configuration.more["store"] = ["kind": "postgres", "url": ["env": "GATEWAY_STORE_URL"]]
      self.database = database
      self.server = server
      environment = ["GATEWAY_STORE_URL": database.tcpURL()]
      absent = try GatewayUnderTest()
      try absent.write(configuration)
      replicas = try (0..<2).map { _ in try GatewayUnderTest() }
      for replica in replicas {
        try replica.write(configuration)
        try await replica.start(environment: environment, waitingFor: "/healthz")
        _ = try await replica.waitForNeedsLogin()
      }
    }

    func logIn(by gateway: GatewayUnderTest) async throws -> String {
      let login = try LoginRun(gateway, environment: environment)
      _ = try await login.browse(following: true)
      let (exit, output, errors) = try await login.end()
      #expect(exit == .code(0), "\(errors)")
      return output
    }

    func expectService(of generation: Int) async throws {
      for replica in replicas {
        try await replica.waitForGeneration(generation)
        try await RotatingServer(.toolkitOAuth2, server).expectService(through: replica)
      }
    }

    func end() async throws {
      for replica in replicas {
        #expect(try await replica.stop() == .code(0))
        replica.expectNoSecretsInOutputs()
      }
      #expect(try await server.calls().allSatisfy { !$0.wasSpent && $0.outcome == "granted" })
    }
  }

  @Test func theOtherReplicasAdoptALogin() async throws {
    let rig = try await Rig()
    #expect(try await rig.logIn(by: rig.replicas[0]).contains("generation 1; the running gateway uses it"))
    try await rig.expectService(of: 1)
    // Where no gateway runs the pair goes into the store, and is no less theirs.
    #expect(try await rig.logIn(by: rig.absent).contains("generation 2; replicas take it from the store"))
    try await rig.expectService(of: 2)
    let refresh = try await rig.absent.command(
      ["refresh", "main", "--config", rig.absent.configurationPath], environment: rig.environment)
    #expect(refresh.exit == .code(0) && refresh.output.contains("generation 3"), "\(refresh)")
    try await rig.expectService(of: 3)
    let status = try await rig.absent.command(
      ["status", "--config", rig.absent.configurationPath], environment: rig.environment)
    #expect(status.exit == .code(0) && status.output.contains("stored"), "\(status)")
    try await rig.end()
  }

  /// The login's pair serves from memory, an alarm shows, and the others have it when the store is back.
  @Test func aLoginWhileTheStoreIsAwayIsKept() async throws {
    let rig = try await Rig()
    _ = try await rig.logIn(by: rig.replicas[0])
    try await rig.expectService(of: 1)
    try await rig.database.stop()
    #expect(try await rig.logIn(by: rig.replicas[0]).contains("generation 2; the running gateway uses it, and has yet"))
    let first = rig.replicas[0]
    try await RotatingServer(.toolkitOAuth2, rig.server).expectService(through: first)
    #expect(try await first.credential()?["generation"]?.int == 2)
    // The store waits out a short outage before it says so.
    try await first.process.waitWhileRunning("an alarm", within: .seconds(90)) {
      try await first.credential()?["alarms"]?.elements?.isEmpty == false
    }
    let status = try await first.command(
      ["status", "--config", first.configurationPath], environment: rig.environment)
    #expect(status.exit == .code(1) && status.output.contains("pair_not_stored"), "\(status)")
    let elsewhere = try await rig.absent.command(
      ["status", "--config", rig.absent.configurationPath], environment: rig.environment)
    #expect(elsewhere.exit == .code(2), "\(elsewhere)")

    try await rig.database.start()
    try await rig.expectService(of: 2)
    try await first.process.waitWhileRunning("the alarm is over", within: .seconds(60)) {
      try await first.credential()?["alarms"]?.elements?.isEmpty == true
    }
    try await rig.end()
  }
}
