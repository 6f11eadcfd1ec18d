// Conformance: settings, traits and what a provider sends.
import TokenKit

extension ProviderConformance {
  var settingsCases: Rules {
    let subject = subject
    return [
      ("its settings are read without a problem and without a key left over", with { _ in nil }),
      (
        "the traits name the token URL and hold no secret",
        with { provider in
          let traits = provider.traits
          if traits.tokenURLs.isEmpty { return "no token URL" }
          for url in traits.tokenURLs {
            if case .failure = HTTPURL.parse(url) { return "a token URL that is none" }
          }
          if traits.usesRefreshToken != subject.usesRefreshToken { return "usesRefreshToken" }
          if traits.accessTokenIdentity.isEmpty { return "no identity of access tokens" }
          let shown =
            traits.accessTokenIdentity + traits.refreshTokenIdentity + traits.tokenURLs
            + traits.requestFields.flatMap { [$0.name, $0.value] }
          return shown.contains { text in subject.secrets.contains { text.contains($0) } } ? "a secret in them" : nil
        }
      ),
      (
        "fields for business calls are well-formed",
        with { provider in
          Self.malformedField(provider.traits.requestFields)
        }
      ),
      (
        "the name is one for gateway.json",
        with { provider in
          let name = type(of: provider).id
          let plain = name.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
          return plain && !name.isEmpty ? nil : "\(name)"
        }
      ),
    ]
  }

  var requestCases: Rules {
    let subject = subject
    var rules: Rules = [
      (
        "a request goes to the token URL, with a typed body and clean fields",
        with { provider in
          guard let request = try? provider.grantRequest(Self.context) else { return "no request" }
          if !provider.traits.tokenURLs.contains(request.url) { return "to a URL that the traits do not name" }
          let names = request.headers.map { $0.name.lowercased() }
          if names.count(where: { $0 == "content-type" }) != 1 { return "not exactly one Content-Type" }
          if names.contains("content-length") || names.contains("host") { return "sets the transport's fields" }
          if Set(names).count != names.count { return "a field twice" }
          if request.body.isEmpty { return "no body" }
          return Self.malformedField(request.headers.map { ($0.name, $0.value.reveal()) })
        }
      ),
      (
        "spendsRefreshToken says whether the body holds one",
        with { provider in
          guard let request = try? provider.grantRequest(Self.context) else { return "no request" }
          if request.spendsRefreshToken != subject.usesRefreshToken { return "\(request.spendsRefreshToken)" }
          // Of characters that no encoding changes.
          let plain = GrantContext(refreshToken: Secret("rt0plain"), now: Self.clock)
          let sent = try? provider.grantRequest(plain).body.reveal().contains("rt0plain")
          return sent == subject.usesRefreshToken ? nil : "sent: \(sent == true)"
        }
      ),
      (
        "no secret in the URL",
        with { provider in
          guard let request = try? provider.grantRequest(Self.context) else { return "no request" }
          return (subject.secrets + [Self.refreshToken]).contains { request.url.contains($0) } ? "there is one" : nil
        }
      ),
      (
        "equal attempts give equal bytes",
        {
          guard case .success(let first) = provider(), case .success(let second) = provider(),
            let a = try? first.grantRequest(Self.context), let b = try? second.grantRequest(Self.context)
          else { return "no request" }
          if a.url != b.url || a.body != b.body { return "URL or body differ" }
          return a.headers.elementsEqual(b.headers) { $0.name == $1.name && $0.value == $1.value }
            ? nil : "fields differ"
        }
      ),
    ]
    guard subject.usesRefreshToken else { return rules }
    for (name, token) in [("no", nil), ("an empty", Secret(""))] {
      rules.append(
        (
          "\(name) refresh token: needs_login, nothing is sent",
          with { Self.refused($0, token, .needsLogin) }
        ))
    }
    for (name, token) in [
      ("a line break", "rt\r\nX: y"), ("a final line break", "rt\n"), ("NUL", "rt\u{0}"), ("an umlaut", "rtü"),
      ("64 KiB", String(repeating: "r", count: 65537)),
    ] {
      rules.append(
        (
          "a refresh token with \(name) in it is never sent",
          with { Self.refused($0, Secret(token), .misconfigured) }
        ))
    }
    return rules
  }

  private static func refused(_ provider: any TokenProvider, _ token: Secret?, _ kind: GrantError.Kind) -> String? {
    do {
      _ = try provider.grantRequest(GrantContext(refreshToken: token, now: clock))
      return "there is a request"
    } catch {
      return error.kind == kind ? nil : error.kind.rawValue
    }
  }

  /// nil if all names are RFC 9110 tokens and all values printable ASCII without spaces around them.
  private static func malformedField(_ fields: [(name: String, value: String)]) -> String? {
    for (name, value) in fields {
      let isToken = name.unicodeScalars.allSatisfy { scalar in
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9": true
        default: "!#$%&'*+-.^_`|~".unicodeScalars.contains(scalar)
        }
      }
      if name.isEmpty || !isToken { return "a field name that is none" }
      if !TokenRules.isFieldText(value) { return "the value of \(name)" }
    }
    return nil
  }
}
