// Conformance: refusals, statuses, garbage, and that no secret gets out through an error.
import TokenKit

extension ProviderConformance {
  private static let page =
    "<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>Not now</h1><br></body></html>"
  private static let xhtml = "<?xml version=\"1.0\"?><html><body><p>Not now</p></body></html>"

  var statusCases: Rules {
    let good = subject.goodReply(ConformanceReply(accessToken: Self.accessToken, refreshToken: Self.successor))
    let bodies = ["", Self.page, Self.xhtml, "{}", "gateway timeout", good, subject.refusal("invalid_grant")]
    func every(_ statuses: [Int], _ kind: GrantError.Kind, _ bodies: [String]) -> @Sendable () -> String? {
      with { provider in
        for status in statuses {
          for (index, body) in bodies.enumerated() {
            if let problem = Self.failure(Self.outcome(provider, status, body), kind, "http_\(status)") {
              return "\(status), body \(index): \(problem)"
            }
          }
        }
        return nil
      }
    }
    var rules: Rules = [
      (
        "5xx and 408 are unanswered, whatever the body",
        every([408, 500, 502, 503, 504, 520, 599], .unanswered, bodies)
      ),
      ("429 and 425 are transient, whatever the body", every([425, 429], .transient, bodies)),
      ("redirects are not followed: misconfigured", every([301, 302, 303, 307, 308], .misconfigured, bodies)),
      (
        "4xx pages are misconfigured, never a login",
        every(
          [400, 401, 403, 404, 405, 407, 410, 413, 415, 421, 451], .misconfigured,
          ["", " ", Self.page, Self.xhtml, "{}", "[]", "null", "Forbidden", "\u{0}", good])
      ),
      (
        "Retry-After is handed on",
        with { provider in
          for status in [429, 503] {
            let response = GrantResponse(status: status, body: [], retryAfter: .seconds(7))
            guard case .failure(let error) = Self.outcome(provider, response) else { return "a token" }
            if error.retryAfter != .seconds(7) { return "\(status): not" }
          }
          return nil
        }
      ),
    ]
    for refusal in subject.refusals {
      rules.append(
        (
          "\(refusal.status) \(refusal.code) is \(refusal.kind.rawValue): \(refusal.body.prefix(160))",
          with {
            Self.failure(Self.outcome($0, refusal.status, refusal.body), refusal.kind, refusal.code)
          }
        ))
    }
    return rules
  }

  var garbageCases: Rules {
    let good = subject.goodReply(ConformanceReply(accessToken: Self.accessToken, refreshToken: Self.successor))
    let mebibyte = 1024 * 1024
    var garbage: [(String, [UInt8])] = [
      ("nothing", ""), ("white space", " \r\n\t"), ("a byte order mark", "\u{feff}"), ("null", "null"), ("[]", "[]"),
      ("{}", "{}"), ("0", "0"), ("a JSON string", "\"token\""), ("an HTML page", Self.page), ("XHTML", Self.xhtml),
      ("text", "OK"), ("an open brace", "{"), ("an open tag", "<"), ("two replies", good + good),
      ("an array of replies", "[\(good)]"), ("a reply in a page", "<html><body>\(good)</body></html>"),
    ].map { ($0.0, Array($0.1.utf8)) }
    garbage += [
      ("NULs", [UInt8](repeating: 0, count: 64)), ("every byte", Array(0...255)),
      ("not UTF-8", [0x7b, 0xff, 0xfe, 0x7d]),
      ("1 MiB of a", [UInt8](repeating: UInt8(ascii: "a"), count: mebibyte)),
      ("1 MiB of spaces", [UInt8](repeating: UInt8(ascii: " "), count: mebibyte)),
      ("1 MiB of [", [UInt8](repeating: UInt8(ascii: "["), count: mebibyte)),
      ("1 MiB of objects", Array(String(repeating: "{\"a\":", count: mebibyte / 5).utf8)),
      ("1 MiB of elements", Array(String(repeating: "<a>", count: mebibyte / 3).utf8)),
      ("1 MiB of NUL", [UInt8](repeating: 0, count: mebibyte)),
    ]
    let malformed = subject.malformed.enumerated().map {
      ("a wrong member, sample \($0.offset)", Array($0.element.utf8))
    }
    var rules: Rules = (garbage + malformed).map { name, body in
      (
        "200 with \(name) is unanswered",
        with {
          Self.failure(Self.outcome($0, GrantResponse(status: 200, body: body)), .unanswered, "malformed_reply")
        }
      )
    }
    rules.append(
      (
        "a reply cut anywhere is unanswered",
        with { provider in
          for length in 0..<good.utf8.count {
            let body = Array(good.utf8.prefix(length))
            let outcome = Self.outcome(provider, GrantResponse(status: 200, body: body, date: Self.clock))
            if let problem = Self.failure(outcome, .unanswered, "malformed_reply") {
              return "\(length) bytes: \(problem)"
            }
          }
          return nil
        }
      ))
    rules.append(
      (
        "a changed byte gives a failure or clean tokens",
        with { provider in
          let original = Array(good.utf8)
          for index in original.indices {
            for byte: UInt8 in [0, 0x0a, 0x20, 0x22, 0x26, 0x30, 0x3c, 0x5c, 0x7f, 0xff, original[index] ^ 0x20] {
              var body = original
              body[index] = byte
              let outcome = Self.outcome(provider, GrantResponse(status: 200, body: body, date: Self.clock))
              guard case .success(let token) = outcome else { continue }
              if !TokenRules.isOpaqueAccessToken(token.accessToken.reveal()) { return "byte \(index): access token" }
              if let text = token.refreshToken?.reveal(), !TokenRules.isRefreshToken(text) {
                return "byte \(index): refresh token"
              }
              if let problem = Self.lifetimes(token) { return "byte \(index): \(problem)" }
            }
          }
          return nil
        }
      ))
    return rules
  }

  var secrecyCases: Rules {
    let secrets = subject.secrets + [Self.refreshToken, Self.accessToken]
    let refusal = subject.refusal
    return [
      (
        "no error quotes a secret, not even one that the server quotes",
        with { provider in
          for secret in secrets {
            for status in [200, 302, 400, 401, 403, 429, 500, 503] {
              for body in [
                refusal(secret), secret, "<html>\(secret)</html>", "error=\(secret)", "{\"error\":\"\(secret)\"}",
              ] {
                guard case .failure(let error) = Self.outcome(provider, status, body) else {
                  return "\(status): a token"
                }
                // GrantError replaces characters, so compare what is left of the secret.
                let shown = GrantError(error.kind, secret).code
                if error.code.contains(shown) || error.code.contains(secret) { return "\(status): it does" }
                if "\(error)".contains(secret) { return "\(status): it prints it" }
              }
            }
          }
          return nil
        }
      ),
      (
        "a token prints redacted",
        with { provider in
          let body = subject.goodReply(ConformanceReply(accessToken: Self.accessToken, refreshToken: Self.successor))
          guard case .success(let token) = Self.outcome(provider, 200, body) else { return "no token" }
          var dumped = "\(token)"
          dump(token, to: &dumped)
          return dumped.contains(Self.accessToken) || dumped.contains(Self.successor) ? "it does not" : nil
        }
      ),
      (
        "a request prints redacted",
        with { provider in
          guard let request = try? provider.grantRequest(Self.context) else { return "no request" }
          var dumped = "\(request)"
          dump(request, to: &dumped)
          return secrets.contains { dumped.contains($0) } ? "it does not" : nil
        }
      ),
    ]
  }
}
