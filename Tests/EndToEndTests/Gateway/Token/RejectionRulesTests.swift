// Which 401s lead to a refresh, how often, and what callers see of the others.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct RejectionRulesTests {
  /// An upstream that answers as its path says, whatever the token: `/REJECTION/…` with the status and challenge given,
  /// everything else with 200.
  private static func upstream(_ status: Int = 401, challenge: String?) throws -> ScriptedServer {
    try ScriptedServer { request in
      if !request.path.hasPrefix("/rejected") { return .answer(.text("fine\n")) }
      var answer = Answer.text("no: \(request.path)\n", status: status)
      if let challenge { answer = answer.adding("WWW-Authenticate", challenge) }
      return .answer(answer)
    }
  }

  private static func rig(to upstream: ScriptedServer, more: [String: OrderedJSON] = [:]) async throws -> TokenRig {
    try await TokenRig {
      $0.routes = [GatewayConfiguration.route("own", prefix: "/own/", to: upstream.address, credential: "vinid")]
      for (key, value) in more { $0.credentials["vinid"]?[key] = value }
    }
  }

  @Test(arguments: [
    #"Bearer error="insufficient_scope", scope="admin""#, #"Bearer realm="a, error=b", error=insufficient_scope"#,
    #"bearer ERROR="insufficient_scope""#, #"Bearer error = "invalid_request""#,
    #"Bearer error="insufficient_claims", claims="e30=""#, #"DPoP error="use_dpop_nonce""#,
  ])
  func aChallengeThatATokenDoesNotCureStartsNoRefresh(challenge: String) async throws {
    let upstream = try Self.upstream(challenge: challenge)
    let rig = try await Self.rig(to: upstream)
    let report = try await rig.load(
      callers: 10, .requestsPerCaller(20),
      check: {
        $0.status == 401 && $0.bodyText == "no: /rejected\n" && $0.fields.all("WWW-Authenticate") == [challenge]
          ? nil : "\($0.status) \($0.bodyText) \($0.fields.lines)"
      }
    ) { _, _ in OutgoingRequest("/own/rejected") }.run()
    #expect(report.isAll(401), "\(report.statuses) \(report.failures)")
    #expect(upstream.record.completed == 200, "nothing is replayed")
    #expect(rig.tokenCalls() == 1)
    try await rig.finish()
  }

  @Test(arguments: [nil, #"Bearer error="invalid_token""#, "Basic realm=\"x\""])
  func aSecond401IsPassedOnUnchangedAfterExactlyOneReplay(challenge: String?) async throws {
    let upstream = try Self.upstream(challenge: challenge)
    let rig = try await Self.rig(to: upstream)
    let response = try await rig.request("POST", "/own/rejected/x", body: Array("whole".utf8))
    #expect(response.status == 401 && response.bodyText == "no: /rejected/x\n")
    #expect(response.fields.all("WWW-Authenticate") == (challenge.map { [$0] } ?? []))
    let requests = upstream.record.requests
    #expect(requests.map(\.bodyText) == ["whole", "whole"], "\(requests.count) requests")
    #expect(Set(requests.map { $0.fields["Authorization"] ?? "" }).count == 2, "the replay carries the new token")
    #expect(rig.tokenCalls() == 2)
    // The route has shown that it is not the token: the next ones are neither replayed nor held up.
    for _ in 0..<10 {
      let again = try await rig.get("/own/rejected/x", within: .seconds(5))
      #expect(again.status == 401)
    }
    #expect(upstream.record.completed == 12 && rig.tokenCalls() == 2)
    try await rig.finish()
  }

  /// Nothing else on the route: the first 401 costs a refresh, then the floor and the route's own wait hold.
  /// What happens when: An upstream rejects every token
  @Test func aURLThatAlwaysAnswers401DoesNotChurnTheToken() async throws {
    let upstream = try Self.upstream(challenge: nil)
    let rig = try await Self.rig(to: upstream)
    let report = try await rig.load(
      callers: 20, .time(.seconds(8)), pause: .milliseconds(50),
      check: { $0.status == 401 && $0.bodyText == "no: /rejected\n" ? nil : "\($0.status) \($0.bodyText)" }
    ) { _, _ in OutgoingRequest("/own/rejected") }.run()
    #expect(report.isAll(401), "\(report.statuses) \(report.failures)")
    #expect(rig.tokenCalls() == 2, "\(rig.tokenCalls()) token calls")
    #expect(upstream.record.completed <= report.count + 40)
    try await rig.finish()
  }

  /// Beside URLs that take the token, so that the route's wait ends again and again: then the floor of 10 s is what holds.
  @Test func aURLThatAlwaysAnswers401BesideGoodOnesDoesNotChurnTheToken() async throws {
    let upstream = try Self.upstream(challenge: nil)
    let rig = try await Self.rig(to: upstream)
    async let good = rig.load(
      callers: 20, .time(.seconds(12)), pause: .milliseconds(50),
      check: { $0.status == 200 ? nil : "\($0.status) \($0.bodyText)" }
    ) { _, _ in OutgoingRequest("/own/good") }.run()
    let bad = try await rig.load(
      callers: 10, .time(.seconds(12)), pause: .milliseconds(50),
      check: { $0.status == 401 && $0.bodyText == "no: /rejected\n" ? nil : "\($0.status) \($0.bodyText)" }
    ) { _, _ in OutgoingRequest("/own/rejected") }.run()
    #expect(bad.isAll(401), "\(bad.statuses) \(bad.failures)")
    let served = try await good
    #expect(served.isAll(200), "\(served.statuses) \(served.failures)")
    // One to begin with, one at once, and one for each 10 s, of which the last requests may wait for one more.
    #expect(rig.tokenCalls() <= 4, "\(rig.tokenCalls()) token calls")
    try await rig.finish()
  }

  @Test(arguments: [401, 403])
  func rejectionStatusSaysWhichAnswersCount(status: Int) async throws {
    let rejected = Shared(Atomic(false))
    let upstream = try ScriptedServer { _ in
      rejected.value.exchange(true, ordering: .relaxed)
        ? .answer(.text("fine\n")) : .answer(.text("no\n", status: status))
    }
    let rig = try await Self.rig(to: upstream, more: ["rejection_status": [401, 403]])
    let response = try await rig.get("/own/x")
    #expect(response.status == 200 && response.bodyText == "fine\n")
    #expect(upstream.record.completed == 2 && rig.tokenCalls() == 2)
    try await rig.finish()
  }

  @Test func a403CountsOnlyWhereTheConfigurationSaysSo() async throws {
    let upstream = try Self.upstream(403, challenge: nil)
    let rig = try await Self.rig(to: upstream)
    let response = try await rig.get("/own/rejected")
    #expect(response.status == 403 && response.bodyText == "no: /rejected\n")
    #expect(upstream.record.completed == 1 && rig.tokenCalls() == 1)
    try await rig.finish()
  }

  @Test func aBigBodyOfA401ArrivesWholeWhenItIsPassedOnAfterAll() async throws {
    let size = 200 * 1024
    let upstream = try ScriptedServer { _ in .answer(Answer(401, body: .pattern(size))) }
    // No refresh can be had: what was held is passed on.
    let rig = try await Self.rig(to: upstream)
    rig.sandbox.change(.vinid) { $0.fail(.http429, count: 100, retryAfter: 5) }
    let response = try await rig.get("/own/x")
    #expect(response.status == 401 && response.fingerprint == .ofPattern(count: size))
    #expect(rig.tokenCalls() == 2)
    try await rig.finish()
  }
}
