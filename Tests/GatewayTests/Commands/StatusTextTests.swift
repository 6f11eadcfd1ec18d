// What `gateway status` prints, out of the gateway's own JSON and out of rows of the store.
import Testing
import TokenKit
import TokenService

@testable import Gateway

struct StatusTextTests {
  private static let json = """
    {"time":"2026-01-01T00:00:00.000Z","credentials":[
    {"name":"a","state":"ready","serving":true,"generation":7,"expires":"2026-01-01T00:59:30.500Z",
     "next_attempt":"2026-01-01T00:48:00.000Z","refresh_token_end":"2026-01-30T23:00:00.000Z",
     "last_success":"2025-12-31T23:59:30.000Z","grants":3,"failed_grants":1,"alarms":[]},
    {"name":"longer","state":"needs_login","serving":false,"reason":"lost_reply","needs_login":"lost_reply",
     "code":"invalid_grant","grants":1,"failed_grants":1,"alarms":["needs_login"]}]}
    """

  private func views() throws -> CredentialViews { try #require(CredentialViews(json: Array(Self.json.utf8))) }

  @Test func table() throws {
    #expect(
      StatusText.table(try views()) { "log in to \($0.name)" } == """
        NAME    STATE        SERVING  EXPIRES       NEXT REFRESH  REFRESH TOKEN  LAST SUCCESS  FAILURES  REASON
        a       ready        yes      in 59 m 30 s  in 48 m       in 29 d 23 h   30 s ago      1         -
        longer  needs_login  no       -             -             -              -             1         lost_reply, invalid_grant
        longer: log in to longer

        """)
    #expect(
      StatusText.table(CredentialViews(now: WallTime(milliseconds: 0), list: [])) { _ in "" } == "no credentials\n")
  }

  @Test func jsonIsReadableAgain() throws {
    let text = StatusText.json(try views(), isRunning: true) { _ in "do \"that\"" }
    let value = try JSONText.parse(Array(text.utf8), problems: SettingsProblems()).value
    guard case .object(let members) = value, case .array(let list)? = members["credentials"],
      case .object(let first)? = list.first, case .object(let second)? = list.last
    else { return #expect(Bool(false), "\(text)") }
    #expect(members["gateway"] == .string("running") && list.count == 2)
    #expect(first["ok"] == .bool(true) && first["expires"] == .string("2026-01-01T00:59:30.500Z"))
    #expect(second["ok"] == .bool(false) && second["remedy"] == .string("do \"that\""))
  }

  @Test func troubleIsWhatSomebodyShouldLookAt() throws {
    func view(_ state: String, serving: Bool?, reason: String? = nil, alarms: [String] = []) -> CredentialView {
      CredentialView(name: "a", state: state, isServing: serving, reason: reason, alarms: alarms)
    }
    for fine in [
      view("ready", serving: true), view("idle", serving: false), view("starting", serving: false),
      view("refreshing", serving: false), view("stored", serving: nil), view("new", serving: nil),
    ] { #expect(!fine.isTroubled, "\(fine)") }
    for troubled in [
      view("needs_login", serving: false, reason: "needs_login"), view("backing_off", serving: false),
      view("ready", serving: true, alarms: ["refresh_token_ending"]),
      view("backing_off", serving: true, reason: "token_endpoint_unreachable"),
      view("waiting_for_store", serving: false), view("stopped", serving: false),
    ] { #expect(troubled.isTroubled, "\(troubled)") }
  }

  @Test(arguments: [
    (0, "0 s"), (59, "59 s"), (60, "1 m"), (61, "1 m 1 s"), (3600, "1 h"), (3_661, "1 h 1 m"), (86_400, "1 d"),
    (90_061, "1 d 1 h"), (86_460, "1 d"), (-5, "0 s"),
  ]) func spans(_ seconds: Int, _ text: String) { #expect(StatusText.span(.seconds(seconds)) == text) }

  @Test func whatIsNotTheGatewaysJSONIsNotShown() {
    for text in ["", "{}", "[]", "<html>", #"{"time":"now","credentials":[]}"#, #"{"credentials":[]}"#] {
      #expect(CredentialViews(json: Array(text.utf8)) == nil, "\(text)")
    }
  }

  @Test func textForTerminalsHasNoControls() {
    #expect(Printable.text("a\u{1b}[2Jb\r\nc\u{202e}d\u{200b}e\u{9b}f") == "a [2Jb  cde f")
    #expect(Printable.text("đăng nhập") == "đăng nhập")
    #expect(Printable.text(String(repeating: "x", count: 300)).count == 201)
  }
}
