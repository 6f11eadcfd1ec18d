// Debian's `slowhttptest`: 200 callers that send their heads or bodies drop by drop, or read so. They are cut in time,
// and nobody else notices.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct SlowAttackTests {
  struct Attack: Sendable, CustomTestStringConvertible {
    var name: String
    var options: [String]
    var path: String
    /// Since the first of its connections.
    var deadline: Duration
    var testDescription: String { name }
  }

  private static let connections = 200
  private static let callers = 8
  private static let body = "for everybody"

  private static let attacks = [
    // `request_head` 4 s, whatever is dripped.
    Attack(name: "heads", options: ["-H", "-i", "1"], path: "/victim", deadline: .seconds(4) * Pace.slowness),
    // `min_rate` over `stream_idle`, 10 s: a few bytes a second of a body of 64 KiB.
    Attack(
      name: "bodies", options: ["-B", "-i", "1", "-s", "65536"], path: "/victim", deadline: .seconds(10) * Pace.slowness
    ),
    // The same for an answer that fits into no socket, read 32 bytes a second.
    Attack(
      name: "answers", options: ["-X", "-n", "1", "-z", "32", "-w", "256", "-y", "512"], path: "/victim",
      deadline: .seconds(10) * Pace.slowness),
  ]

  /// What happens when: Slow callers hold connections
  @Test(arguments: attacks) func slowCallersAreCutAndOthersServed(_ attack: Attack) async throws {
    // The victim of the attack is a server of its own: what it is slow with is its matter.
    let victim = try ScriptedServer(
      recording: .counts, script: ServerScript { _ in .answer(Answer(body: .pattern(5 << 20))) })
    let relay = try await Relay.start(recording: .counts) { configuration, origin in
      configuration.routes = [
        Relay.plainRoute(to: origin),
        GatewayConfiguration.route("victim", prefix: "/victim", to: victim.address, credential: nil),
      ]
      // All of the attack has come before the first of it is late.
      configuration.timeouts = [
        "request_head": .string("\(4 * Pace.slowness)s"), "stream_idle": .string("\(10 * Pace.slowness)s"),
      ]
    } answer: { _ in
      .answer(.text(Self.body))
    }
    let gateway = try relay.gateway.process
    var run = LoadRun(to: relay.address, callers: Self.callers, .time(.seconds(60)), OutgoingRequest("/x"))
    run.pause = .milliseconds(5)
    run.check = { $0.status == 200 && $0.bodyText == Self.body ? nil : "\($0.status) \($0.bodyText)" }
    let load = try run.start()
    try await Deadline.wait("the callers are under way") { load.progress.count > 100 }
    let resident = gateway.residentBytes

    let attacker = try ChildProcess(
      "slowhttptest",
      attack.options + [
        "-c", "\(Self.connections)", "-r", "\(Self.connections)", "-x", "10", "-p", "5", "-l", "100", "-u",
        "http://\(relay.address)\(attack.path)",
      ], directory: relay.gateway.directory, name: "slowhttptest")
    let clock = ContinuousClock()
    var begin: ContinuousClock.Instant?
    var isFull = false
    var less: ContinuousClock.Instant?
    var cut: ContinuousClock.Instant?
    var most = 0
    var peak = 0
    try await Deadline.wait("all are cut", within: .seconds(90)) {
      // The kernel's own table: what the tool believes lags behind, since it reads slowly.
      let count = KernelTable.connections(to: relay.address) - Self.callers
      most = max(most, count)
      peak = max(peak, gateway.residentBytes)
      if begin == nil, count > 2 { begin = clock.now }
      if count >= Self.connections { isFull = true }
      if isFull, less == nil, count < Self.connections { less = clock.now }
      // The tool's probe of the service comes and goes besides.
      if isFull, count <= 2 { cut = clock.now }
      // Reading that table costs more than the whole attack.
      if cut == nil { try await Task.sleep(for: .milliseconds(100)) }
      return cut != nil
    }
    load.stop()
    let report = try await load.report()
    try await attacker.stop()
    #expect(!attacker.output.contains("service available:   NO"), "its probe was not answered")

    let start = begin ?? clock.now
    let (first, all) = ((less ?? start) - start, (cut ?? start) - start)
    #expect(most >= Self.connections)
    #expect(first > attack.deadline / 2, "the first was cut after \(first)")
    // On a busy machine it takes a while until an answer waits in the gateway, from which on its reader is judged.
    #expect(all < attack.deadline * 2 + .seconds(10), "the last was cut after \(all)")
    #expect(report.isAll(200), "\(report.failures)")
    #expect(report.latency(0.99) < .seconds(2) * Pace.slowness)
    // What was made upstream for them is closed or in use again.
    try await Deadline.wait("nothing is left of them") { victim.record.openConnections == 0 }
    try await relay.expectWorks()
    print(
      "slow \(attack.name): cut between \(first) and \(all); \(report.count) other requests meanwhile, p99",
      "\(report.latency(0.99)), at most \(report.latency(1)); \((peak - resident) / 1024) KiB for all of it")
  }
}
