// Short-lived tokens under load: refreshed ahead, few token calls, nobody waits who need not.
import EventLoop
import GatewayTesting
import Glibc
import Testing
import TokenKit

/// How a run is laid out. The token call must end before the last tenth of the old token's lifetime.
private struct Layout {
  var time: Duration
  var lifetime: Duration
  /// Of a token call; a request that waits for one takes about as long.
  var latency: Duration

  /// Token calls that the run may come to: a refresh at 75 % of the lifetime at the earliest.
  var mostCalls: Int { Int(time.seconds / (0.75 * lifetime.seconds)) + 2 }
  var fewestCalls: Int { Int(time.seconds / lifetime.seconds) }

  /// GATEWAY_TESTS_FULL asks for 30 s, and wants a machine that does nothing else.
  private static let isFull = unsafe getenv("GATEWAY_TESTS_FULL") != nil
  static let short = Layout(time: .seconds(isFull ? 30 : 12), lifetime: .seconds(3), latency: .milliseconds(400))
  /// The same in larger measures where other tests take the processors: what takes 1.2 s then has waited. In still
  /// larger ones where the gateway itself is slow.
  static let timed =
    isFull
    ? short
    : Layout(
      time: .seconds(18) * Pace.slowness, lifetime: .seconds(15) * Pace.slowness,
      latency: .milliseconds(1200) * Pace.slowness)
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct TokenLifetimeTests {
  private static func options(
    _ layout: Layout, keepsOldToken: Bool, before: Duration = .zero, after: Duration = .zero
  ) -> SandboxOptions {
    var options = SandboxOptions.onFreePorts
    options.setLifetime(layout.lifetime)
    options.vinid.rules.killsOldToken = !keepsOldToken
    options.latencyBefore = before
    options.latencyAfter = after
    return options
  }

  @Test(arguments: [1, 2]) func fiftyCallersGetTheirAnswersFromTokensOfThreeSeconds(workers: Int) async throws {
    let layout = Layout.short
    let rig = try await TokenRig(Self.options(layout, keepsOldToken: false)) { $0.more["workers"] = .int(workers) }
    let report = try await rig.load(callers: 50, .time(layout.time), pause: .milliseconds(20)) { caller, ordinal in
      OutgoingRequest("/vinid/echo/\(caller)/\(ordinal)")
    }.run()
    let counters = rig.sandbox.counters(.vinid)
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(report.count > 1000 / Pace.slowness)
    #expect(counters.calls <= layout.mostCalls && counters.calls >= layout.fewestCalls, "\(counters)")
    #expect(counters.granted == counters.calls && counters.spentTokenSeen == 0 && counters.mostAtOnce == 1)
    try await rig.finish()
  }

  @Test func nobodyWaitsForARefreshOfAServerThatKeepsTheOldToken() async throws {
    let layout = Layout.timed
    let rig = try await TokenRig(Self.options(layout, keepsOldToken: true, before: layout.latency))
    let report = try await rig.load(callers: 50, .time(layout.time), pause: .milliseconds(25)) { _, _ in
      OutgoingRequest("/vinid/echo")
    }.run()
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    // Waiting for a refresh would hold up all 50 callers; a few slow ones are the machine's.
    let slow = report.latency(1 - 25 / Double(max(report.count, 26)))
    #expect(slow < layout.latency, "25 answers took \(slow) and more, of \(report.count)")
    #expect(rig.sandbox.upstreamCounters(.vinid).unauthorized == 0)
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.calls <= layout.mostCalls && counters.calls >= layout.fewestCalls, "\(counters)")
    #expect(counters.spentTokenSeen == 0)
    try await rig.finish()
  }

  @Test func onlyThoseWhoMetThe401WaitForAServerThatKillsTheOldToken() async throws {
    let layout = Layout.timed
    // The old token dies when the call is processed, which is that long before the new one arrives.
    let rig = try await TokenRig(Self.options(layout, keepsOldToken: false, after: layout.latency))
    let report = try await rig.load(callers: 50, .time(layout.time), pause: .milliseconds(25)) { _, _ in
      OutgoingRequest("/vinid/echo")
    }.run()
    let upstream = rig.sandbox.upstreamCounters(.vinid)
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(upstream.unauthorized > 0, "nobody met the window, so nothing was tested")
    #expect(upstream.accepted == report.count)
    let waited = report.entries.filter { $0.duration >= layout.latency * 0.8 }.count
    // A busy machine may hold up each caller twice for as long, without anybody waiting for a token.
    #expect(waited <= upstream.unauthorized + 100, "\(waited) waited, \(upstream.unauthorized) met a 401")
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.calls <= layout.mostCalls && counters.spentTokenSeen == 0, "\(counters)")
    try await rig.finish()
  }
}
