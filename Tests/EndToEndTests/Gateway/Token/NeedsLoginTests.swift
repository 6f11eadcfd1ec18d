// invalid_grant: the token API is left alone, and whoever asks is told which credential needs a person.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct NeedsLoginTests {
  /// What happens when: The refresh token is dead
  @Test func aDeadRefreshTokenIsNotSentAgainAndTheOthersGoOn() async throws {
    let rig = try await TokenRig(
      waitingFor: "/healthz", base: { .standard($0) }, prepare: { $0.killRefreshTokens(.vinid) }
    ) { $0.more["workers"] = 2 }
    try await Deadline.wait("the verdict is there") {
      try await rig.credential("vinid")["state"]?.text == "needs_login"
    }
    #expect(rig.tokenCalls() == 1)
    async let others = rig.load(callers: 10, .time(.seconds(4)), pause: .milliseconds(50)) { _, _ in
      OutgoingRequest("/oauth2/echo")
    }.run()
    let refused = try await rig.load(
      callers: 20, .time(.seconds(4)), pause: .milliseconds(50),
      check: { TokenRig.isProblem($0, 502, reason: "needs_login") ? nil : "\($0.status) \($0.bodyText)" }
    ) { _, _ in OutgoingRequest("/vinid/echo") }.run()
    #expect(refused.isAll(502), "\(refused.statuses) \(refused.failures)")
    #expect(refused.latency(1) < .seconds(3), "nobody waits for what does not come: \(refused.latency(1))")
    let served = try await others
    #expect(served.isAll(200), "\(served.statuses) \(served.failures)")
    #expect(rig.tokenCalls() == 1, "asked again")

    let ready = try await rig.admin("/readyz")
    #expect(ready.status == 503)
    let list: [JSONValue] = if case .array(let list)? = ready.json?["credentials"] { list } else { [] }
    #expect(list.count == 1 && list.first?["name"]?.text == "vinid", "\(ready.bodyText)")
    #expect(list.first?["reason"]?.text == "needs_login" && list.first?["code"]?.text == "invalid_grant")
    try await rig.finish()
  }

  /// The lease that is still good serves to its end.
  @Test func theLeaseAtHandServesToItsEnd() async throws {
    var options = SandboxOptions.onFreePorts
    options.setLifetime(.seconds(8))
    let rig = try await TokenRig(options) { $0.credentials["vinid"]?["refresh_at"] = 0.2 }
    rig.sandbox.killRefreshTokens(.vinid)
    try await Deadline.wait("the verdict is there") {
      try await rig.credential("vinid")["state"]?.text == "needs_login"
    }
    #expect(try await rig.get("/vinid/echo").status == 200)
    #expect(try await rig.admin("/readyz").status == 200)
    try await Deadline.wait("the lease has ended", within: .seconds(20)) {
      let response = try await rig.get("/vinid/echo")
      return TokenRig.isProblem(response, 502, reason: "needs_login")
    }
    #expect(try await rig.admin("/readyz").status == 503)
    #expect(rig.tokenCalls() == 2)
    try await rig.finish()
  }
}
