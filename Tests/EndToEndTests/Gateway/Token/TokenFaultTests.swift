// What goes wrong at the token endpoint, one fault at a time: what is sent again, when, and what callers see.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct TokenFaultTests {
  private static func rig(
    _ fault: TokenFault, count: Int = 1, retryAfter: Int = 1, grace: Duration = .zero,
    configure: (inout GatewayConfiguration) -> Void = { _ in }
  ) async throws -> TokenRig {
    var options = SandboxOptions.onFreePorts
    options.vinid.rules.grace = grace
    return try await TokenRig(
      options, waitingFor: "/healthz",
      prepare: { $0.change(.vinid) { $0.fail(fault, count: count, retryAfter: retryAfter) } }, configure: configure)
  }

  /// Asks until there is a 200; everything before must be a 502 or 504 about the token.
  private static func recovers(_ rig: TokenRig, reason: String = "token_endpoint_unreachable") async throws {
    try await Deadline.wait("it recovers", within: .seconds(30)) {
      let response = try await rig.get("/vinid/echo")
      if response.status == 200 { return TokenRig.isEcho(response) == nil }
      #expect(
        TokenRig.isProblem(response, 502, reason: reason)
          || TokenRig.isProblem(response, 504, reason: "park_timeout"), "\(response.status) \(response.bodyText)")
      return false
    }
  }

  /// Every attempt is one request: what the gateway counts, the token endpoint counts.
  private static func expectOneRequestPerAttempt(_ rig: TokenRig) async throws {
    let grants = try await rig.credential("vinid")["grants"]?.int
    #expect(grants == rig.tokenCalls(), "\(grants ?? -1) attempts, \(rig.tokenCalls()) requests")
  }

  /// The same token goes out again: nothing says that it was spent.
  /// What happens when: The token API answers 500, or half an answer, or hangs up
  @Test(arguments: [TokenFault.http500, .malformed, .readAndClose, .hang], [1, 2])
  func afterAnAttemptWithoutAnAnswerTheSameTokenGoesOutAgain(fault: TokenFault, count: Int) async throws {
    let start = ContinuousClock().now
    let rig = try await Self.rig(fault, count: count) { $0.timeouts["token"] = "1s" }
    try await Self.recovers(rig)
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.outcomes == [fault.rawValue: count, "granted": 1], "\(counters.outcomes)")
    #expect(counters.spentTokenSeen == 0 && counters.mostAtOnce == 1)
    #expect(ContinuousClock().now - start >= .seconds(1), "the first repetition comes after 1 s")
    try await Self.expectOneRequestPerAttempt(rig)
    try await rig.finish()
  }

  @Test func whoAsksDuringTheFirstSecondAfterALostAnswerWaitsForTheRepetition() async throws {
    let rig = try await Self.rig(.readAndClose)
    try await Deadline.wait("the first attempt") { rig.tokenCalls() == 1 }
    let report = try await rig.load(callers: 50, .requestsPerCaller(1)) { _, _ in OutgoingRequest("/vinid/echo") }.run()
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(rig.tokenCalls() == 2)
    try await rig.finish()
  }

  /// A maintenance page, or a login portal in the way: it says nothing about the refresh token.
  /// What happens when: The token API answers 200 with a page of HTML
  @Test func aTokenAPIThatAnswersHTMLWith200IsAskedAgainWithTheSameToken() async throws {
    let page = Answer.text("<!doctype html><title>Back soon</title>", type: "text/html")
    let portal = try ScriptedServer { _ in .answer(page) }
    let rig = try await TokenRig(waitingFor: "/healthz", prepare: { _ in }) {
      $0.credentials["vinid"]?["token_url"] = .string("http://\(portal.address)/oauth2/token")
    }
    try await Deadline.wait("it was asked twice", within: .seconds(30)) { portal.record.requests.count >= 2 }
    let refused = try await rig.get("/vinid/echo")
    #expect(TokenRig.isProblem(refused, 502, reason: "token_endpoint_unreachable"), "\(refused.bodyText)")
    let log = try rig.gateway.log
    #expect(!refused.bodyText.contains("Back soon") && !log.contains("Back soon"))
    #expect(Set(portal.record.requests.map(\.bodyText)).count == 1, "another token was sent")
    try await rig.finish()
  }

  /// What happens when: The token API says 429
  @Test func retryAfterOf429IsHonoured() async throws {
    let rig = try await Self.rig(.http429, retryAfter: 4)
    try await Deadline.wait("the first attempt") { rig.tokenCalls() == 1 }
    let refused = ContinuousClock().now
    let report = try await rig.load(
      callers: 5, .time(.seconds(3)), pause: .milliseconds(50),
      check: { response in
        guard TokenRig.isProblem(response, 502, reason: "rate_limited") else {
          return "\(response.status) \(response.bodyText)"
        }
        let seconds = response.fields["Retry-After"].flatMap(Int.init) ?? 0
        return (1...4).contains(seconds) ? nil : "Retry-After \(seconds)"
      }
    ) { _, _ in OutgoingRequest("/vinid/echo") }.run()
    #expect(report.isAll(502), "\(report.statuses) \(report.failures)")
    #expect(rig.tokenCalls() == 1)
    try await Self.recovers(rig, reason: "rate_limited")
    let waited = ContinuousClock().now - refused
    #expect(waited >= .milliseconds(3900) && waited < .seconds(15), "\(waited)")
    #expect(rig.tokenCalls() == 2)
    try await Self.expectOneRequestPerAttempt(rig)
    try await rig.finish()
  }

  /// Strict rotation: the pair is lost with its answer, and the gateway says just that.
  /// What happens when: The answer of the token API is lost, and it has no grace window
  @Test func aLostAnswerOfAStrictServerNeedsALoginWithThatReason() async throws {
    let rig = try await Self.rig(.loseAnswer)
    try await Deadline.wait("the attempt whose answer gets lost") { rig.tokenCalls() == 1 }
    let first = ContinuousClock().now
    try await Deadline.wait("the same token again", within: .seconds(15)) { rig.tokenCalls() == 2 }
    let waited = ContinuousClock().now - first
    #expect(waited > .milliseconds(800) && waited < .seconds(5), "\(waited)")
    try await Deadline.wait("the verdict is there") {
      try await rig.credential("vinid")["state"]?.text == "needs_login"
    }
    let response = try await rig.get("/vinid/echo")
    #expect(TokenRig.isProblem(response, 502, reason: "lost_reply"), "\(response.bodyText)")
    let ready = try await rig.admin("/readyz")
    #expect(ready.status == 503 && ready.bodyText.contains("lost_reply"), "\(ready.bodyText)")
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.outcomes == ["lose_answer": 1, "invalid_grant": 1], "\(counters.outcomes)")
    #expect(counters.spentTokenSeen == 1 && counters.spentAfterLostAnswer == 1)
    #expect(rig.tokenCalls() == 2)
    try await rig.finish()
  }

  @Test func aLostAnswerOfAServerWithGraceIsMadeUpFor() async throws {
    let rig = try await Self.rig(.loseAnswer, grace: .seconds(10))
    try await Self.recovers(rig)
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.outcomes == ["lose_answer": 1, "granted": 1], "\(counters.outcomes)")
    #expect(counters.spentTokenSeen == counters.spentAfterLostAnswer)
    try await Self.expectOneRequestPerAttempt(rig)
    try await rig.finish()
  }
}
