// The token API is away: nobody notices while the lease is good; without one there are clear errors in time, few calls,
// and an end by itself.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct TokenOutageTests {
  /// What happens when: The token API is down when a refresh is due
  @Test func nobodyNoticesAnOutageWhileTheLeaseIsGood() async throws {
    var options = SandboxOptions.onFreePorts
    options.setLifetime(.seconds(20))
    let rig = try await TokenRig(options) { $0.credentials["vinid"]?["refresh_at"] = 0.1 }
    let before = try await rig.credential("vinid")["failed_grants"]?.int ?? 0
    rig.sandbox.closeTokenPort()
    let run = try rig.load(callers: 20, .time(.seconds(19)), pause: .milliseconds(50)) { _, _ in
      OutgoingRequest("/vinid/echo")
    }.start()
    try await Deadline.wait("a refresh has failed twice", within: .seconds(15)) {
      try await rig.credential("vinid")["failed_grants"]?.int ?? 0 >= before + 2
    }
    let down = try await rig.credential("vinid")
    #expect(down["reason"]?.text == "token_endpoint_unreachable" && down["serving"]?.bool == true, "\(down)")
    #expect(try await rig.admin("/readyz").status == 200)
    try rig.sandbox.openTokenPort()
    let report = try await run.report()
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(rig.tokenCalls() >= 2, "the refresh was not made up for")
    #expect(rig.sandbox.counters(.vinid).spentTokenSeen == 0)
    try await rig.finish()
  }

  /// Calls that a back-off of 1, 2, 4, 8, 10, 10 … s with full jitter may come to, with room for its luck.
  private static func mostCalls(_ seconds: Int) -> Int { 8 + seconds / 4 }

  @Test func withoutALeaseTheAnswerIsAProblemDocumentAndTheEndComesByItself() async throws {
    let seconds = 6
    let rig = try await TokenRig(
      waitingFor: "/healthz",
      prepare: { sandbox in
        sandbox.change(.vinid) { $0.fail(.http500, count: 1_000_000) }
      })
    let report = try await rig.load(
      callers: 20, .time(.seconds(seconds)), pause: .milliseconds(50),
      check: { response in
        guard TokenRig.isProblem(response, 502, reason: "token_endpoint_unreachable") else {
          return "\(response.status) \(response.bodyText)"
        }
        let seconds = response.fields["Retry-After"].flatMap(Int.init)
        return seconds.map { (1...10).contains($0) } == true ? nil : "Retry-After is \(seconds ?? -1)"
      }
    ) { _, _ in OutgoingRequest("/vinid/echo") }.run()
    #expect(report.isAll(502), "\(report.statuses) \(report.failures)")
    #expect(report.latency(1) < .seconds(10), "within the park time-out, not \(report.latency(1))")
    let calls = rig.tokenCalls()
    #expect(calls >= 2 && calls <= Self.mostCalls(seconds), "\(calls) calls")
    #expect(try await rig.admin("/readyz").status == 503)
    rig.sandbox.change(.vinid) { $0.clearFaults() }
    try await Deadline.wait("it recovers", within: .seconds(15)) {
      try await rig.get("/vinid/echo").status == 200
    }
    #expect(try await rig.admin("/readyz").status == 200)
    #expect(rig.sandbox.counters(.vinid).granted == 1)
    try await rig.finish()
  }

  /// What happens when: The token API is down at the start
  @Test func aClosedPortIsThe502AtOnce() async throws {
    let rig = try await TokenRig(waitingFor: "/healthz", prepare: { $0.closeTokenPort() })
    let response = try await rig.get("/vinid/echo")
    #expect(TokenRig.isProblem(response, 502, reason: "token_endpoint_unreachable"), "\(response.bodyText)")
    try rig.sandbox.openTokenPort()
    try await Deadline.wait("it recovers", within: .seconds(15)) {
      try await rig.get("/vinid/echo").status == 200
    }
    #expect(rig.tokenCalls() == 1)
    try await rig.finish()
  }

  /// What happens when: The token API does not answer
  @Test func aTokenAPIThatDoesNotAnswerIsThe504AfterTheParkTimeout() async throws {
    let rig = try await TokenRig(
      waitingFor: "/healthz",
      prepare: { sandbox in
        sandbox.change(.vinid) { $0.fail(.hang, count: 1_000_000) }
      }
    ) { $0.timeouts = ["park": "2s", "token": "60s", "drain": "2s"] }
    let report = try await rig.load(
      callers: 20, .requestsPerCaller(1),
      check: { TokenRig.isProblem($0, 504, reason: "park_timeout") ? nil : "\($0.status) \($0.bodyText)" }
    ) { _, _ in OutgoingRequest("/vinid/echo") }.run()
    #expect(report.isAll(504), "\(report.statuses) \(report.failures)")
    #expect(report.latency(0) >= .milliseconds(1900) && report.latency(1) < .seconds(6), "\(report.latency(1))")
    #expect(rig.tokenCalls() == 1)
    try await rig.finish()
  }

  /// The end of an outage is noticed before callers pay for a back-off that has grown long.
  @Test func aLeaseThatEndsAfterTheOutageIsReplacedWithoutAnError() async throws {
    var options = SandboxOptions.onFreePorts
    options.setLifetime(.seconds(12))
    // The lease is no older than this.
    let start = ContinuousClock().now
    let rig = try await TokenRig(options) { $0.credentials["vinid"]?["refresh_at"] = 0.1 }
    rig.sandbox.change(.vinid) { $0.fail(.http500, count: 1_000_000) }
    let run = try rig.load(callers: 20, .time(.seconds(15)), pause: .milliseconds(50)) { _, _ in
      OutgoingRequest("/vinid/echo")
    }.start()
    // The lease is good for 10.8 s. By now some back-offs reach beyond that.
    try await Deadline.wait("the outage is over", within: .seconds(20)) {
      ContinuousClock().now - start > .milliseconds(9300)
    }
    rig.sandbox.change(.vinid) { $0.clearFaults() }
    let report = try await run.report()
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(rig.sandbox.counters(.vinid).granted >= 2 && rig.sandbox.counters(.vinid).spentTokenSeen == 0)
    try await rig.finish()
  }
}
