// Everything that can go wrong, at once and for a while: no wrong answer, no memory and no descriptor lost. 40 seconds; for
// as many minutes as one likes with scripts/soak.
import EventLoop
import GatewayTesting
import Glibc
import Testing
import TokenKit

private let soakSeconds =
  unsafe getenv("GATEWAY_TEST_SOAK_SECONDS").flatMap { unsafe Int(String(cString: $0)) } ?? 40

@Suite(.timeLimit(.minutes(soakSeconds / 60 + 4))) struct SoakTests {
  /// Small answers, big ones, uploads, and servers that fail.
  private static func origin() throws -> ScriptedServer {
    try ScriptedServer(
      recording: .counts,
      script: ServerScript(onHead: { $0.method == "PUT" ? .digest : .keep }) { request in
        let parts = request.path.split(separator: "/")
        switch parts.first {
        case "big":
          return .answer(Answer(body: .pattern(Int(parts.last ?? "") ?? 0, isChunked: request.ordinal % 2 == 0)))
        case "sink": return .answer(.text("\(request.bodyCount)"))
        case "reset": return .reset
        case "truncated":
          let framing =
            parts.last == "length"
            ? "Content-Length: 10\r\n\r\nhello" : "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
          return .raw(Array("HTTP/1.1 200 OK\r\n\(framing)".utf8), closes: true)
        default: return .answer(.text("unknown", status: 404))
        }
      })
  }

  private struct Rig {
    let sandbox: Sandbox
    let origin: ScriptedServer
    let restarting: ScriptedServer
    let gateway: GatewayUnderTest

    var ports: [UInt16] {
      [gateway.address.port, sandbox.addresses.vinid.port, origin.port, restarting.port]
    }

    static func start() async throws -> Rig {
      var options = SandboxOptions.onFreePorts
      options.setLifetime(.seconds(3) * Pace.slowness)
      let sandbox = try Sandbox(options)
      let origin = try SoakTests.origin()
      let restarting = try ScriptedServer(recording: .counts) { .answer(.text($0.path)) }
      var configuration = GatewayConfiguration.only(.vinid, sandbox.addresses)
      configuration.credentials["vinid"]?["min_refresh_interval"] = "1s"
      var restarts = GatewayConfiguration.route(
        "restarts", prefix: "/restarts", to: restarting.address, credential: nil)
      restarts["strip_prefix"] = false
      configuration.routes += [
        GatewayConfiguration.route("origin", prefix: "/origin/", to: origin.address, credential: nil), restarts,
      ]
      configuration.timeouts = ["idle": "3s", "upstream_idle": "2s", "park": "5s", "token": "2s"]
      let gateway = try GatewayUnderTest(program: ReleaseBuild.isThere ? ReleaseBuild.path : nil)
      try gateway.write(configuration)
      try await gateway.start()
      return Rig(sandbox: sandbox, origin: origin, restarting: restarting, gateway: gateway)
    }

    /// One thing after the other that goes wrong.
    func disturb(_ number: Int, _ tally: SoakTally) async throws {
      switch number % 4 {
      // Every token dies: callers must not notice.
      case 0: sandbox.revokeAccessTokens(.vinid)
      // The server is gone and back.
      case 1: restarting.refuse(for: .milliseconds(300))
      case 2:
        let faults: [TokenFault] = [.http500, .http429, .readAndClose]
        tally.maybeNoToken = true
        sandbox.change(.vinid) { $0.fail(faults[number / 4 % faults.count], count: 2, retryAfter: 1) }
      default:
        let granted = sandbox.counters(.vinid).granted
        try await Deadline.wait("there is a token again", within: .seconds(40)) {
          sandbox.counters(.vinid).granted > granted
        }
        // Who has waited for it has its answer by then.
        try await Task.sleep(for: .seconds(1))
        tally.maybeNoToken = false
      }
    }
  }

  @Test func nothingIsLostAndNothingIsWrong() async throws {
    let rig = try await Rig.start()
    let process = try rig.gateway.process
    let ports = rig.ports
    let address = rig.gateway.address
    let tally = SoakTally()
    var usage = SoakUsage()
    let before = SoakUsage.descriptors(of: process, ports: ports)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (caller, count) in SoakCaller.all {
        for number in 0..<count {
          group.addTask { try await OwnThread.run { caller.run(to: address, number: number, tally) } }
        }
      }
      defer { tally.stop() }
      let clock = ContinuousClock()
      let end = clock.now + .seconds(soakSeconds)
      var number = 0
      while clock.now < end {
        if number % 4 == 0 { try await rig.disturb(number / 4, tally) }
        try await Task.sleep(for: .milliseconds(500))
        usage.sample(process, ports: ports)
        number += 1
      }
      tally.stop()
      try await group.waitForAll()
    }
    let memory = (1...3).map { SoakUsage.middle(usage.memory, quarter: $0) >> 10 }
    let descriptors = (1...3).map { SoakUsage.middle(usage.descriptors, quarter: $0) }
    let answers = tally.answers
    for (what, count) in tally.wrong { Issue.record("\(count) times: \(what)") }
    // The second quarter is warm; the last one must be no more, but for what a moment's connections are.
    #expect(memory[2] <= memory[0] + memory[0] / 10 + 2048 + Pace.keptBack >> 10, "KiB: \(memory)")
    #expect(descriptors[2] <= descriptors[0] + descriptors[0] / 4 + 8, "\(descriptors)")
    // Everything that happened did happen.
    for kind in [
      "with a token", "downloads", "uploads", "resets of the upstream", "truncated answers", "callers that went away",
      "slow callers", "answers between restarts",
    ] { #expect(answers[kind] ?? 0 > 10, "\(kind): \(answers)") }
    #expect(
      rig.sandbox.counters(.vinid).granted >= soakSeconds / (5 * Pace.slowness), "\(rig.sandbox.counters(.vinid))")
    #expect(rig.sandbox.counters(.vinid).spentTokenSeen == 0 && rig.origin.record.violations.isEmpty)
    // What is idle is closed after its time, and then there is what there was.
    try await Deadline.wait("all descriptors are back", within: .seconds(30)) {
      SoakUsage.descriptors(of: process, ports: ports) <= before + 2
    }
    #expect(try await rig.gateway.stop() == .code(0))
    let total = answers.values.reduce(0, +)
    print(
      "soak of \(soakSeconds) s: \(total) answers, \(tally.wrong.values.reduce(0, +)) wrong; RSS KiB \(memory), "
        + "descriptors \(descriptors), \(before) before; \(answers.sorted { $0.key < $1.key })")
  }
}
