// One life: a gateway that is about to refresh, SIGKILL in the middle of it, and a new start on what is left.
import GatewayTesting
import Synchronization
import Testing
import TokenKit

/// Which refresh is killed.
enum CrashMoment: String, CaseIterable, Sendable, CustomTestStringConvertible {
  /// A 401 has forced it; a pair is in the store.
  case rejection
  /// The first one of a new store, which is made meanwhile; the seed is exchanged.
  case firstStart

  var testDescription: String { rawValue }
}

/// How a life went on after the kill.
enum CrashOutcome: Hashable, Sendable {
  /// The refresh was over before the thread got that far.
  case missed
  /// No rotation: the old pair is good.
  case notRotated(marked: Bool)
  /// The new pair was in the store.
  case stored
  /// The server had rotated and the store did not have it; the grace window saved it.
  case savedByGrace
  /// The same without a grace window: the gateway says so.
  case lostReply
}

/// A token server and the lives that are lived against it, one after the other.
struct CrashRig: Sendable {
  let server: TokenServerUnderTest
  let api: RotatingServer
  let grace: Int
  let moment: CrashMoment

  static func start(_ moment: CrashMoment, grace: Int) async throws -> CrashRig {
    let server = try await TokenServerUnderTest.start(grace: grace)
    return CrashRig(server: server, api: RotatingServer(.toolkitOAuth2, server), grace: grace, moment: moment)
  }

  /// Which pair the refresh brings.
  private var generation: Int { moment == .rejection ? 2 : 1 }

  /// A gateway with a new login.
  /// - Returns: also what is to be done for the refresh to begin, besides a request.
  private func settledGateway() async throws -> (GatewayUnderTest, begin: () async throws -> Void) {
    var credential = api.credential(seed: try await server.logIn())
    // Each life forces several refreshes.
    credential["min_refresh_interval"] = "0s"
    var configuration = api.configuration(["main": credential])
    configuration.more["workers"] = 1
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration)
    switch moment {
    case .rejection:
      try await gateway.start()
      #expect(try await gateway.waitForGeneration(1) == 1)
      try await api.expectService(through: gateway)
      try await server.endAccessTokens()
      return (gateway, {})
    case .firstStart:
      // Another process has the store until strace is there.
      let other = try ChildProcess(
        "flock", ["--no-fork", gateway.storePath + ".lock", "sleep", "600"], directory: gateway.directory, name: "flock"
      )
      try await other.waitWhileRunning("flock has the lock") {
        (TemporaryDirectory.read("/proc/\(other.pid)/comm") ?? "").hasPrefix("sleep")
      }
      try await gateway.start(waitingFor: "/healthz")
      return (gateway, { try await other.stop(with: ChildProcess.kill) })
    }
  }

  /// What a refresh asks of the kernel, in order.
  func rehearse() async throws -> [KillPoint] {
    let (gateway, begin) = try await settledGateway()
    let pid = try gateway.process.pid
    let tracer = try await Tracer.record(pid, in: gateway.directory)
    try await begin()
    try await api.expectService(through: gateway)
    let points = try await tracer.calls(of: pid)
    #expect(try await gateway.waitForGeneration(generation) == generation)
    try await gateway.kill()
    guard moment == .firstStart else { return points }
    // Data loops begin when all is over, and how often the store's thread looks for the lock is chance.
    return points.filter { !$0.thread.hasPrefix("data-") && !["flock", "clock_nanosleep"].contains($0.call) }
  }

  /// Lives one life and checks all that can be known of it.
  func live(killedAt point: KillPoint) async throws -> CrashOutcome {
    let (gateway, begin) = try await settledGateway()
    let before = try await server.calls()
    let process = try gateway.process
    let tracer = try await Tracer.kill(process.pid, at: point, in: gateway.directory)
    try await begin()
    let address = gateway.address
    let target = "/main/api/things"
    let request = Task { try? await OwnThread.run { try RawClient.request("GET", target, to: address) }.status }
    let answer = await request.value
    // What follows the answer belongs to the refresh too, but need not get as far as that point.
    let patience: Duration = answer == nil ? .seconds(20) : .milliseconds(500)
    try? await Deadline.wait("the gateway is killed", within: patience) { process.hasEnded }
    guard process.hasEnded else {
      #expect(answer == 200, "\(point): neither killed nor answered")
      try await gateway.kill()
      return .missed
    }
    #expect(process.exit == .signal(ChildProcess.kill), "\(point)")
    try await tracer.process.waitForExit()
    // The server may still be at what the gateway has sent: until it has closed the last connection.
    try await Deadline.wait("the server has read all that was sent", within: .seconds(60)) {
      KernelTable.connections(to: server.address) == 0
    }
    let sent = try await server.calls().dropFirst(before.count)
    let row = try await storedRow(of: gateway)
    #expect(sent.count <= 1 && sent.allSatisfy { !$0.wasSpent }, "\(point): \(sent)")
    let isRotated = sent.contains { $0.outcome == "granted" }
    let isStored = row.generation == generation
    // Nothing is sent before the mark is durable, and nothing is stored that was not sent.
    #expect(isStored ? isRotated && !row.isMarked : sent.isEmpty || row.isMarked, "\(point): \(sent) \(row)")
    let outcome: CrashOutcome =
      isStored ? .stored : !isRotated ? .notRotated(marked: row.isMarked) : grace > 0 ? .savedByGrace : .lostReply
    try await expectAfterwards(outcome, gateway, point)

    let after = try await server.calls().dropFirst(before.count)
    let spent = after.filter(\.wasSpent)
    switch outcome {
    case .lostReply, .savedByGrace:
      // The one call whose answer nobody has got is made once more.
      #expect(spent.count == 1 && spent.first?.token == sent.first?.token, "\(point): \(after)")
    case .stored, .notRotated, .missed: #expect(spent.isEmpty, "\(point), \(outcome): \(after)")
    }
    gateway.expectNoSecretsInOutputs()
    return outcome
  }

  /// A new start on the store.
  private func expectAfterwards(_ outcome: CrashOutcome, _ gateway: GatewayUnderTest, _ point: KillPoint) async throws {
    try await gateway.start(waitingFor: "/healthz")
    if outcome == .lostReply {
      #expect(try await gateway.waitForNeedsLogin() == "lost_reply", "\(point)")
      let readiness = try await gateway.adminGet("/readyz").bodyText
      #expect(readiness.contains("lost_reply"), "\(point): \(readiness)")
    } else {
      let first = try await api.request(through: gateway)
      #expect(first.status == 200, "\(point), \(outcome): \(first.status) \(first.bodyText)")
      try await gateway.waitForGeneration(generation)
      // Its refresh token is the living one: the next refresh works too.
      try await server.endAccessTokens()
      let second = try await api.request(through: gateway)
      #expect(second.status == 200, "\(point), \(outcome), next refresh: \(second.status) \(second.bodyText)")
    }
    try await gateway.kill()
  }

  private func storedRow(of gateway: GatewayUnderTest) async throws -> (generation: Int, isMarked: Bool) {
    let says = try await PythonPeer.run("Crash/store_row.py", [gateway.storePath, "main"])
    guard let generation = says["generation"]?.int, let isMarked = says["marked"]?.bool else {
      throw SpawnError("store_row.py printed: \(says)")
    }
    return (generation, isMarked)
  }
}
