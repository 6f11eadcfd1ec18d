// Conformance: good replies, and replies whose tokens may not be used.
import TokenKit

extension ProviderConformance {
  private typealias Good = ConformanceReply

  var goodReplyCases: Rules {
    let reply = subject.goodReply
    let rotated = reply(Good(accessToken: Self.accessToken, refreshToken: Self.successor))
    func good(_ text: String, successor: String? = Self.successor) -> @Sendable () -> String? {
      with { token(Self.outcome($0, 200, text), Self.accessToken, successor: successor) }
    }
    return [
      ("a rotated pair", good(rotated)),
      (
        "a reply without refresh token keeps the old one",
        good(reply(Good(accessToken: Self.accessToken, refreshToken: nil)), successor: nil)
      ),
      (
        "an empty refresh token never overwrites",
        good(reply(Good(accessToken: Self.accessToken, refreshToken: "")), successor: nil)
      ),
      ("a byte order mark and white space around it", good("\u{feff}\r\n\t \(rotated) \r\n")),
      (
        "Content-Type does not matter",
        with { provider in
          for type in [nil, "text/html", "text/plain; charset=utf-8", "application/octet-stream", "nonsense"] {
            let response = GrantResponse(status: 200, body: Array(rotated.utf8), contentType: type, date: Self.clock)
            if let problem = token(Self.outcome(provider, response), Self.accessToken, successor: Self.successor) {
              return "\(type ?? "none"): \(problem)"
            }
          }
          return nil
        }
      ),
      (
        "a reply without Date",
        with { provider in
          let response = GrantResponse(status: 200, body: Array(rotated.utf8))
          return token(Self.outcome(provider, response), Self.accessToken, successor: Self.successor)
        }
      ),
      (
        "a good reply of nearly 1 MiB",
        good(
          reply(
            Good(
              accessToken: Self.accessToken, refreshToken: Self.successor,
              filler: String(repeating: "x", count: 1024 * 1024 - 4096))))
      ),
      (
        "the longest tokens",
        with { provider in
          let access = String(repeating: "a", count: TokenRules.maximumAccessToken)
          let refresh = String(repeating: "r", count: TokenRules.maximumRefreshToken)
          return token(
            Self.outcome(provider, 200, reply(Good(accessToken: access, refreshToken: refresh))), access,
            successor: refresh)
        }
      ),
      (
        "odd lifetimes: never over, never endless, and the token counts",
        with { [bodies = subject.oddLifetimes] provider in
          for (index, body) in bodies.enumerated() {
            switch Self.outcome(provider, 200, body) {
            case .failure(let error): return "body \(index): \(error.kind.rawValue) \(error.code)"
            case .success(let token): if let problem = Self.lifetimes(token) { return "body \(index): \(problem)" }
            }
          }
          return bodies.isEmpty ? "the subject has none" : nil
        }
      ),
    ]
  }

  var tokenSyntaxCases: Rules {
    let reply = subject.goodReply
    let bad = [
      ("CR LF", "to\r\nX-Injected: 1"), ("LF", "to\nken"), ("CR", "to\rken"), ("a final LF", "token\n"),
      ("NUL", "to\u{0}ken"), ("a tab", "to\tken"), ("DEL", "to\u{7f}ken"), ("C1 NEL", "to\u{85}ken"),
      ("an umlaut", "tökén"), ("an emoji", "to🙂ken"), ("a line separator", "to\u{2028}ken"),
    ]
    let access =
      bad + [
        ("nothing", ""), ("a space only", " "), ("a space in front", " token"), ("a space behind", "token "),
        ("over 16 KiB", String(repeating: "a", count: TokenRules.maximumAccessToken + 1)),
      ]
    let refresh = bad + [("over 64 KiB", String(repeating: "r", count: TokenRules.maximumRefreshToken + 1))]
    let accessRules: Rules = access.map { name, text in
      (
        "an access token with \(name) in it is a failed refresh",
        with {
          let body = reply(Good(accessToken: text, refreshToken: Self.successor))
          return Self.failure(Self.outcome($0, 200, body), .unanswered, "malformed_reply")
        }
      )
    }
    let refreshRules: Rules = refresh.map { name, text in
      (
        "a refresh token with \(name) in it is a failed refresh",
        with {
          let body = reply(Good(accessToken: Self.accessToken, refreshToken: text))
          return Self.failure(Self.outcome($0, 200, body), .unanswered, "malformed_reply")
        }
      )
    }
    return accessRules + refreshRules
  }
}
