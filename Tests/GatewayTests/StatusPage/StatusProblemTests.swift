// What the status page says is wrong, and what to do.
import Testing

@testable import Gateway
@testable import TokenKit

@Suite struct StatusProblemTests {
  private static func status(
    _ state: CredentialStatus.State, serving: Bool = true, _ failure: LeaseFailure? = nil, name: String = "main",
    alarms: [CredentialAlarm] = []
  ) -> CredentialStatus {
    CredentialStatus(
      name: name, state: state, isServing: serving, failure: failure, grants: 1, failedGrants: 0, alarms: alarms)
  }

  private static func failed(_ code: String) -> LastRefresh {
    LastRefresh(time: WallTime(milliseconds: 0), outcome: "transient", isSuccess: false, code: code)
  }

  private static func of(
    _ status: CredentialStatus, parked: Int = 0, last: LastRefresh? = nil
  ) -> StatusProblem? { StatusProblem.of(status, parked: parked, last: last) }

  @Test(arguments: [CredentialStatus.State.ready, .idle, .refreshing, .starting])
  func whatIsInOrderIsNoProblem(state: CredentialStatus.State) {
    #expect(Self.of(Self.status(state, serving: state == .ready)) == nil)
  }

  @Test func aLoginIsNeeded() throws {
    let failure = LeaseFailure(.needsLogin, needsLogin: .lostReply, code: "invalid_grant")
    let dead = try #require(Self.of(Self.status(.needsLogin, serving: false, failure), parked: 3))
    #expect(dead.level == .critical && dead.command == "gateway login main" && dead.subject == "main")
    #expect(dead.text.contains("(invalid_grant)") && dead.text.contains("3 requests wait"))
    #expect(dead.text.contains("was lost"))
    let serving = try #require(Self.of(Self.status(.needsLogin, failure)))
    #expect(serving.level == .critical && serving.text.contains("serves to its end"))
  }

  /// It would be an option.
  @Test func aNameThatBeginsWithADash() {
    #expect(StatusProblem.loginCommand("-x") == "gateway login -- -x")
  }

  /// An attempt that goes on does not make the page say for a moment that all is well.
  @Test func anAttemptAfterFailuresIsStillAProblem() {
    let last = Self.failed("connect_refused")
    let problem = Self.of(Self.status(.refreshing, serving: false), last: last)
    #expect(problem?.level == .critical && problem?.text.contains("(connect_refused)") == true)
    #expect(Self.of(Self.status(.refreshing, serving: true), last: last) == nil)
    let waiting = Self.of(
      Self.status(.backingOff, LeaseFailure(.tokenEndpointUnreachable, code: "timeout")), last: last)
    #expect(waiting?.level == .warning && waiting?.text.contains("(timeout)") == true)
  }

  @Test(arguments: [
    (CredentialAlarm.pairNotStored, StatusProblem.Level.critical, nil as String?),
    (.markNotWritten, .warning, nil),
    (.refreshTokenEnding, .warning, "gateway login main"),
  ])
  func alarms(alarm: CredentialAlarm, level: StatusProblem.Level, command: String?) throws {
    let problem = try #require(Self.of(Self.status(.ready, alarms: [alarm])))
    #expect(problem.level == level && problem.command == command)
  }

  /// Waiting for a turn is in order as long as there is a token.
  @Test func aTurnAtTheTokenHost() {
    #expect(Self.of(Self.status(.rateLimited)) == nil)
    #expect(Self.of(Self.status(.rateLimited, serving: false))?.level == .critical)
  }

  @Test func misconfigured() throws {
    let problem = try #require(
      Self.of(Self.status(.misconfigured, serving: false, LeaseFailure(.misconfigured, code: "invalid_client"))))
    #expect(problem.level == .critical && problem.action.contains("client_secret") && problem.command == nil)
  }

  /// Two failures are none, three of a hundred are none, a tenth is a warning, a half is critical.
  @Test(arguments: [
    (2 as UInt64, 0 as UInt64, nil as StatusProblem.Level?), (3, 97, nil), (3, 27, .warning), (30, 30, .critical),
  ])
  func failuresOfARoute(failures: UInt64, successes: UInt64, level: StatusProblem.Level?) {
    var figures = StatusFigures()
    var window = StatusWindow()
    window.add(figures.at(0))
    figures.answer(successes, .success, route: 0)
    figures.answer(failures, .serverError, route: 0, reason: .connectionRefused)
    let now = figures.at(1)
    window.add(now)
    let found = StatusProblem.of(
      route: "r", credential: "", RequestFigures(StatusCounters(window, now: now), route: 0))
    #expect(found?.level == level)
    if let found { #expect(found.text.contains("connection_refused") && found.action.contains("upstream")) }
  }

  /// The worst first, of these what needs a person; not more than can be read, but all are counted.
  @Test func order() {
    var problems = StatusProblems()
    problems.add(nil)
    problems.add(StatusProblem(level: .warning, text: "w", action: ""))
    for index in 0..<30 { problems.add(StatusProblem(level: .critical, text: "c\(index)", action: "")) }
    problems.add(StatusProblem(level: .warning, text: "login", action: "", command: "x"))
    #expect(problems.count == 32 && problems.criticalCount == 30 && problems.all.count == 20)
    #expect(problems.all.first?.text == "c0")
    var few = StatusProblems()
    few.add(StatusProblem(level: .warning, text: "w", action: ""))
    few.add(StatusProblem(level: .critical, text: "by itself", action: ""))
    few.add(StatusProblem(level: .critical, text: "login", action: "", command: "x"))
    #expect(few.all.map(\.text) == ["login", "by itself", "w"])
  }

  @Test func theLastRefresh() {
    let history = RefreshHistory()
    let time = WallTime(milliseconds: 5)
    #expect(history.last(of: "main") == nil)
    history.note(.leaseRestored(generation: 1, remaining: .seconds(1)), of: "main", at: time)
    #expect(history.last(of: "main")?.outcome == "restored")
    history.note(.grantSent(cause: .admin, attempt: 1), of: "main", at: time)
    history.note(.callEnded(took: .milliseconds(30)), of: "main", at: time)
    #expect(history.last(of: "main")?.outcome == "restored", "it is not over")
    history.note(.grantFailed(kind: .unanswered, code: "timeout", retryIn: nil), of: "main", at: time)
    let failed = history.last(of: "main")
    #expect(failed?.outcome == "unanswered" && failed?.isSuccess == false && failed?.code == "timeout")
    #expect(failed?.took == .milliseconds(30) && failed?.cause == .admin)
    history.note(.grantSent(cause: .resend, attempt: 2), of: "main", at: time)
    let lifetime = Duration.seconds(9)
    history.note(
      .grantSucceeded(generation: 2, lifetime: lifetime, took: lifetime, rotated: true), of: "main", at: time)
    #expect(history.last(of: "main")?.isSuccess == true && history.last(of: "main")?.cause == .resend)
    #expect(history.last(of: "main")?.took == nil, "that of the attempt before is not told again")
    #expect(history.last(of: "other") == nil)
  }
}
