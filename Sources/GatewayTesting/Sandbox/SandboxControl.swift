// The sandbox's control endpoint: knobs and counters over HTTP, for people with curl and for tests of other processes.
internal import TokenKit

enum SandboxControl {
  /// What becomes of the token port.
  enum Door: Sendable {
    case none
    /// For that time; nil: until it is opened.
    case close(for: Duration?)
    case open
  }

  struct Decision: Sendable {
    var answer: Answer
    var door = Door.none
  }

  static let help = """
    GET  /control/counters                   token calls and upstream requests
    POST /control/reset                      sets all counters to 0
    POST /control/down   {"for":"20s"}       the token port refuses connections ("for" may be absent)
    POST /control/up                         the token port takes them again
    POST /control/API    {"lifetime":"3s","latency_before":"50ms","latency_after":"0s","rotates":true,
                          "kills_old_token":true,"grace":"0s","replies_as_html":false}
                                             changes what is given
    POST /control/API/fail {"kind":"http_500","count":3,"retry_after":2}
                                             the next calls go wrong: http_500, http_429, malformed, hang,
                                             read_and_close, lose_answer
    POST /control/API/clear                  forgets the faults that are still to come
    POST /control/API/revoke                 access tokens die, the refresh token stays good
    POST /control/API/kill                   refresh tokens die: invalid_grant from now on
    POST /control/API/login                  a new refresh token, as after a login
    API is vinid, cukcuk or oauth2. The control port serves the same while the token port is down.

    """

  static func answer(_ request: IncomingRequest, _ state: inout SandboxState, now: WallTime) -> Decision {
    let parts = request.path.split(separator: "/").dropFirst().map(String.init)
    if request.method == "GET" {
      switch parts {
      case []: return Decision(answer: .text(help))
      case ["counters"]: return Decision(answer: .json(counters(state)))
      default: return error("no such control; GET /control tells what there is", 404)
      }
    }
    if request.method != "POST" { return error("GET or POST", 405) }
    let problems = SettingsProblems()
    guard let members = request.body.isEmpty ? [:] : JSONValue.parse(request.body)?.members else {
      return error("the body is not a JSON object", 400)
    }
    let settings = SettingsReader(path: "", members: members, problems: problems, secrets: NoSecrets())
    var changed = state
    guard let decision = perform(parts, settings, &changed, now: now) else {
      return error("no such control; GET /control tells what there is", 404)
    }
    settings.finish()
    if !problems.all.isEmpty {
      return error(problems.all.map { "\($0.path): \($0.message)" }.joined(separator: "; "), 400)
    }
    state = changed
    return decision
  }

  /// nil when there is no such control. What it changes counts only if the body had no problem.
  private static func perform(
    _ parts: [String], _ settings: SettingsReader, _ state: inout SandboxState, now: WallTime
  ) -> Decision? {
    switch parts {
    case ["reset"]:
      for api in SandboxAPI.allCases {
        state.apis[api]?.counters = TokenCounters()
        state.upstreams[api]?.counters = UpstreamCounters()
      }
      return done
    case ["down"]: return Decision(answer: done.answer, door: .close(for: settings.duration("for")))
    case ["up"]: return Decision(answer: done.answer, door: .open)
    default: break
    }
    guard let api = parts.first.flatMap(SandboxAPI.init), var endpoint = state.apis[api], parts.count <= 2 else {
      return nil
    }
    var decision = done
    switch parts.dropFirst().first {
    case nil: change(&endpoint, settings)
    case "fail":
      let kind = settings.choice("kind", default: TokenFault.http500)
      if !settings.has("kind") { settings.reject("kind", "is missing") }
      let count = settings.integer("count", in: 1...1_000_000) ?? 1
      endpoint.fail(kind, count: count, retryAfter: settings.integer("retry_after", in: 0...86400) ?? 1)
    case "clear": endpoint.clearFaults()
    case "revoke": endpoint.model.ledger.revokeAccessTokens()
    case "kill": endpoint.model.ledger.revokeLogins(includingAccessTokens: false)
    case "login":
      let token = endpoint.model.ledger.logIn(endpoint.model.rules, now: now)
      decision.answer = .json(["refresh_token": .string(token)])
    default: return nil
    }
    state.apis[api] = endpoint
    return decision
  }

  private static func change(_ endpoint: inout TokenEndpoint, _ settings: SettingsReader) {
    var rules = endpoint.model.rules
    rules.lifetime = settings.duration("lifetime") ?? rules.lifetime
    rules.rotates = settings.flag("rotates", default: rules.rotates)
    rules.killsOldToken = settings.flag("kills_old_token", default: rules.killsOldToken)
    rules.grace = settings.duration("grace") ?? rules.grace
    endpoint.model.rules = rules
    endpoint.latencyBefore = settings.duration("latency_before") ?? endpoint.latencyBefore
    endpoint.latencyAfter = settings.duration("latency_after") ?? endpoint.latencyAfter
    if var misa = endpoint.model as? MisaModel {
      misa.repliesAsHTML = settings.flag("replies_as_html", default: misa.repliesAsHTML)
      endpoint.model = misa
    }
  }

  private static let done = Decision(answer: .json(["done": true]))

  private static func counters(_ state: SandboxState) -> OrderedJSON {
    .object(
      SandboxAPI.allCases.map { api in
        let token = state.apis[api]?.counters ?? TokenCounters()
        let upstream = state.upstreams[api]?.counters ?? UpstreamCounters()
        return (api.rawValue, ["token_api": token.json, "upstream": upstream.json])
      })
  }

  /// The control endpoint takes no secrets.
  private struct NoSecrets: SecretSource {
    func secret(from value: JSONValue, path: String, problems: SettingsProblems) -> Secret? { nil }
  }

  private static func error(_ text: String, _ status: Int) -> Decision {
    Decision(answer: .json(["error": .string(text)], status: status))
  }
}
