// Replacements on a store that replicas share, and processes killed at random in the middle of replacements.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(4))) struct ReplacementStoreTests {
  /// The new process connects to the database when the old one has let go of it.
  @Test func replacementsOnPostgreSQL() async throws {
    let database = try await PostgresServer.start()
    let environment = ["GATEWAY_STORE_URL": database.tcpURL()]
    let rig = try await ReplacementRig.start(environment: environment) {
      $0.more["store"] = ["kind": "postgres", "url": ["env": "GATEWAY_STORE_URL"]]
    }
    let load = try rig.load()
    for number in 0..<4 {
      let old = try await rig.gateway.replace(environment: environment)
      try await rig.gateway.expectEnd(of: old)
      if number % 2 == 0 {
        let generation = try await rig.gateway.waitForGeneration(1)
        try await rig.gateway.waitForGeneration(generation + 1)
      }
    }
    try await rig.end(load)
    try await rig.expectNoSpentToken()
    rig.gateway.expectNoSecretsInOutputs()
    #expect(try await rig.gateway.stop() == .code(0))
  }

  /// SIGKILL of the new process at any moment: the old one serves on, or the new one did already and is started again.
  @Test func newProcessesKilledAtRandom() async throws {
    let rig = try await ReplacementRig.start(grace: 20)
    var served = 0
    for number in 0..<15 {
      let old = try await rig.gateway.startReplacement()
      let new = try rig.gateway.process
      // From before its first word to after its last one.
      try await Task.sleep(for: .milliseconds(number * 8 + Int.random(in: 0..<8)))
      try await new.stop(with: ChildProcess.kill)
      if old.errors.contains("replaced, draining") {
        served += 1
        try await rig.gateway.expectEnd(of: old)
        try await rig.gateway.start()
      } else {
        rig.gateway.adopt(old)
        let generation = try await rig.gateway.waitForGeneration(1)
        try await rig.gateway.waitForGeneration(generation + 1)
      }
      try await rig.server.expectService(through: rig.gateway)
    }
    try await rig.expectNoSpentToken()
    print("15 new processes killed, \(served) of them when they served")
  }

  /// SIGKILL of the old process at any moment: the new one serves.
  @Test func oldProcessesKilledAtRandom() async throws {
    let rig = try await ReplacementRig.start(grace: 20)
    for number in 0..<15 {
      let old = try await rig.gateway.startReplacement()
      try await Task.sleep(for: .milliseconds(number * 8 + Int.random(in: 0..<8)))
      try await old.stop(with: ChildProcess.kill)
      try await rig.gateway.process.waitWhileRunning("it serves", within: .seconds(60)) {
        try await rig.gateway.adminStatus("/readyz") == 200
      }
      try await rig.server.expectService(through: rig.gateway)
    }
    let generation = try await rig.gateway.waitForGeneration(1)
    try await rig.gateway.waitForGeneration(generation + 1)
    try await rig.expectNoSpentToken()
  }
}
