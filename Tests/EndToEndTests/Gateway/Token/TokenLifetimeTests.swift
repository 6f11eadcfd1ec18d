// Short-lived tokens under load: refreshed ahead, few token calls, nobody waits who need not.
import EventLoop
import GatewayTesting
import Glibc
import Testing
import TokenKit

/// Set GATEWAY_TESTS_FULL for the full 30 s.
private let time: Duration = unsafe getenv("GATEWAY_TESTS_FULL") == nil ? .seconds(12) : .seconds(30)

@Suite(.serialized, .timeLimit(.minutes(5))) struct TokenLifetimeTests {
  private static let lifetime = Duration.seconds(3)
  private static let latency = Duration.milliseconds(400)

  private static func options(keepsOldToken: Bool, before: Duration = .zero, after: Duration = .zero) -> SandboxOptions {
    var options = SandboxOptions.onFreePorts
    options.setLifetime(lifetime)
    options.vinid.rules.killsOldToken = !keepsOldToken
    options.latencyBefore = before
    options.latencyAfter = after
    return options
  }

  /// Token calls that the run may come to: a refresh at 75 % of the lifetime at the earliest.
  private static var mostCalls: Int { Int(time.seconds / (0.75 * lifetime.seconds)) + 2 }

  @Test(arguments: [1, 2]) func fiftyCallersGetTheirAnswersFromTokensOfThreeSeconds(workers: Int) async throws {
    let rig = try await TokenRig(Self.options(keepsOldToken: false)) { $0.more["workers"] = .int(workers) }
    let report = try await rig.load(callers: 50, .time(time), pause: .milliseconds(20)) { caller, ordinal in
      OutgoingRequest("/vinid/echo/\(caller)/\(ordinal)")
    }.run()
    let counters = rig.sandbox.counters(.vinid)
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(report.count > 1000)
    #expect(counters.calls <= Self.mostCalls && counters.calls >= Int(time.seconds / 3), "\(counters)")
    #expect(counters.granted == counters.calls && counters.spentTokenSeen == 0 && counters.mostAtOnce == 1)
    try await rig.finish()
  }

  @Test func nobodyWaitsForARefreshOfAServerThatKeepsTheOldToken() async throws {
    let rig = try await TokenRig(Self.options(keepsOldToken: true, before: Self.latency)) { _ in }
    let report = try await rig.load(callers: 50, .time(time), pause: .milliseconds(25)) { _, _ in
      OutgoingRequest("/vinid/echo")
    }.run()
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(report.latency(1) < Self.latency, "the slowest took \(report.latency(1))")
    #expect(rig.sandbox.upstreamCounters(.vinid).unauthorized == 0)
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.calls <= Self.mostCalls && counters.calls >= Int(time.seconds / 3), "\(counters)")
    #expect(counters.spentTokenSeen == 0)
    try await rig.finish()
  }

  @Test func onlyThoseWhoMetThe401WaitForAServerThatKillsTheOldToken() async throws {
    // The old token dies when the call is processed, which is that long before the new one arrives.
    let rig = try await TokenRig(Self.options(keepsOldToken: false, after: Self.latency)) { _ in }
    let report = try await rig.load(callers: 50, .time(time), pause: .milliseconds(25)) { _, _ in
      OutgoingRequest("/vinid/echo")
    }.run()
    let upstream = rig.sandbox.upstreamCounters(.vinid)
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(upstream.unauthorized > 0, "nobody met the window, so nothing was tested")
    #expect(upstream.accepted == report.count)
    let waited = report.entries.filter { $0.duration >= Self.latency / 2 }.count
    #expect(waited <= upstream.unauthorized, "\(waited) waited, \(upstream.unauthorized) met a 401")
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.calls <= Self.mostCalls && counters.spentTokenSeen == 0, "\(counters)")
    try await rig.finish()
  }
}
