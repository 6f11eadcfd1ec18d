// The store of a running gateway: who may open it, and who may read it.
import GatewayTesting
import Glibc
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(10))) struct StoreTests {
  /// A gateway of its own directory and ports on another one's store.
  private func second(
    on gateway: GatewayUnderTest, _ configuration: GatewayConfiguration, drain: String
  ) throws -> GatewayUnderTest {
    var configuration = configuration
    configuration.more["store"] = ["kind": "sqlite", "path": .string(gateway.storePath)]
    configuration.timeouts["drain"] = .string(drain)
    let second = try GatewayUnderTest()
    try second.write(configuration)
    return second
  }

  private func setMode(_ path: String, _ mode: UInt32) throws {
    guard unsafe chmod(path, mode) == 0 else { throw SpawnError("chmod \(path): error \(errno)") }
  }

  /// What happens when: A second gateway uses one SQLite store
  @Test func aSecondGatewayOnTheStoreIsRefusedAfterTheDrainTime() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    let other = try second(on: gateway, server.configuration(), drain: "2s")
    let start = ContinuousClock.now
    try await other.start(waitingFor: nil)
    #expect(try await other.process.waitForExit() == .code(1))
    let took = ContinuousClock.now - start
    #expect(took >= .seconds(2), "it waits for the drain time of the first: \(took)")
    let errors = try other.process.errors
    #expect(errors.contains("another gateway (process \(try gateway.process.pid)) uses the store"), "\(errors)")
    #expect(errors.contains(gateway.storePath), "\(errors)")

    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    #expect(try await server.tally().tokens.count == 1, "the second asked too")
    other.expectNoSecretsInOutputs()
  }

  @Test func aSecondGatewayTakesOverWhenTheFirstEnds() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    let other = try second(on: gateway, server.configuration(), drain: "60s")
    try await other.start(waitingFor: "/healthz")
    #expect(try await other.adminStatus("/readyz") == 503, "it can't be ready while the first one has the store")
    #expect(try await gateway.stop() == .code(0))
    try await other.waitForGeneration(1)
    try await server.expectService(through: other)
    #expect(try await other.stop() == .code(0))
    #expect(try await server.tally().tokens.count == 1)
  }

  @Test func aGatewayThatWaitsForTheStoreEndsAtOnceOnSIGTERM() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    let other = try second(on: gateway, server.configuration(), drain: "60s")
    try await other.start(waitingFor: "/healthz")
    #expect(try await other.stop(within: .seconds(20)) == .code(0))
    #expect(try await gateway.stop() == .code(0))
  }

  @Test func theStoreIsForItsOwnerOnly() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    var configuration = server.configuration()
    let gateway = try GatewayUnderTest()
    let path = gateway.directory.path("new/state/gateway.db")
    configuration.more["store"] = ["kind": "sqlite", "path": .string(path)]
    try gateway.write(configuration)
    try await gateway.start()
    for directory in ["new", "new/state"] {
      #expect(TemporaryDirectory.mode(gateway.directory.path(directory)) == 0o700, "\(directory)")
    }
    let files = TemporaryDirectory.names(in: gateway.directory.path("new/state"))
    #expect(files.contains("gateway.db") && files.contains("gateway.db-wal"), "\(files)")
    for file in files {
      #expect(TemporaryDirectory.mode(gateway.directory.path("new/state/\(file)")) == 0o600, "\(file)")
    }
    #expect(try await gateway.stop() == .code(0))

    // A copy with the umask's mode, as after a restored backup.
    for (name, mode) in [("new/state/gateway.db", UInt32(0o644)), ("new/state", 0o755)] {
      let changed = gateway.directory.path(name)
      let right = try #require(TemporaryDirectory.mode(changed))
      try setMode(changed, mode)
      try await gateway.start(waitingFor: nil)
      #expect(try await gateway.process.waitForExit() == .code(1), "\(name)")
      let advice = "chmod \(String(right, radix: 8)) \(changed)"
      let errors = try gateway.process.errors
      #expect(errors.contains(advice), "\(errors)")
      try setMode(changed, right)
    }
    try await gateway.start()
    try await server.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    #expect(try await server.tally().tokens.count == 1)
    gateway.expectNoSecretsInOutputs()
  }

  /// What happens when: The store is damaged, or is another file
  @Test(arguments: ["somebody's notes, and no database at all", String(repeating: "SQLite format 3.", count: 600)])
  func aStoreThatCannotBeReadIsNoReasonToUseTheSeed(_ content: String) async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try GatewayUnderTest()
    try gateway.write(server.configuration())
    try gateway.directory.write("gateway.db", content)
    try await gateway.start(waitingFor: nil)
    #expect(try await gateway.process.waitForExit() == .code(1))
    let errors = try gateway.process.errors
    #expect(errors.contains("restore it from a backup"), "\(errors)")
    #expect(TemporaryDirectory.read(gateway.storePath) == content, "somebody's file was changed")
    #expect(try await server.tally().tokens.isEmpty)
    gateway.expectNoSecretsInOutputs()
  }
}
