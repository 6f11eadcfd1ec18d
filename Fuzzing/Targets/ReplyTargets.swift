// Replies of token endpoints through every provider: what is taken can be used, what is refused says so in known words.
internal import MisaCukcukProvider
internal import OAuth2Provider
internal import TokenKit
internal import VinIDProvider

enum JSONReplyTarget {
  static func run(_ input: [UInt8]) {
    for status in [200, 400, 503] { ReplyProperties.check(Providers.all, status: status, body: input) }
  }
}

enum XMLReplyTarget {
  static func run(_ input: [UInt8]) {
    for status in [200, 400] { ReplyProperties.check(Providers.misa, status: status, body: input) }
  }
}

/// A provider as a credential configures it.
private struct Configured {
  let provider: any TokenProvider
  /// Whether the grant has a refresh token, and may ask for a login.
  var refreshes = true
  /// Access tokens of any printable text, not only RFC 6750's.
  var takesOpaqueTokens = false
}

private enum Providers {
  static let misa = [
    Configured(provider: MisaCukcukProvider(settings: settings("company_code")), takesOpaqueTokens: true)
  ]
  static let all =
    [
      Configured(provider: VinIDProvider(settings: settings("client_id", "redirect_uri"))),
      Configured(provider: OAuth2Provider(settings: settings("client_id", grant: "refresh_token"))),
      Configured(
        provider: OAuth2Provider(settings: settings("client_id", grant: "client_credentials")), refreshes: false),
    ] + misa

  /// The providers read no secret here.
  private struct NoSecrets: SecretSource {
    func secret(from value: JSONValue, path: String, problems: SettingsProblems) -> Secret? { Secret("made-up") }
  }

  private static func settings(_ names: String..., grant: String? = nil) -> SettingsReader {
    var members: [String: JSONValue] = ["token_url": .string("https://token.example/")]
    for name in names { members[name] = .string("made-up") }
    if let grant {
      members["grant"] = .string(grant)
      members["client_secret"] = .object(["value": .string("made-up")])
    }
    return SettingsReader(path: "", members: members, problems: SettingsProblems(), secrets: NoSecrets())
  }
}

private enum ReplyProperties {
  private static let now = WallTime(milliseconds: 1_750_000_000_000)
  private static let codes: Set<String> = [
    "malformed_reply", "unknown_error", "concurrent_refresh", "unsupported_token_type", "invalid_grant",
    "token_inactive",
    "interaction_required", "login_required", "consent_required", "temporarily_unavailable", "slow_down",
    "server_error",
    "invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
    "invalid_target", "access_denied", "invalid_dpop_proof", "use_dpop_nonce", "misa_error_unknown",
  ]

  static func check(_ providers: [Configured], status: Int, body: [UInt8]) {
    for configured in providers {
      let context = GrantContext(refreshToken: configured.refreshes ? Secret("made-up") : nil, now: now)
      do throws(GrantError) {
        let token = try configured.provider.token(from: GrantResponse(status: status, body: body), context)
        require(status == 200, "a token out of a \(status)")
        check(token, of: configured)
      } catch {
        require(isKnown(error.code), "the code \(error.code) is nobody's")
        require(error.retryAfter == nil, "a wait that nobody asked for")
        require(configured.refreshes || error.kind != .needsLogin, "a login that would help nothing")
        require(status != 503 || error.kind == .unanswered, "a 503 is \(error.kind)")
      }
    }
  }

  private static func check(_ token: Token, of configured: Configured) {
    let access = token.accessToken.reveal()
    require(
      configured.takesOpaqueTokens ? TokenRules.isOpaqueAccessToken(access) : TokenRules.isBearerToken(access),
      "an access token that no header field can carry")
    if let refresh = token.refreshToken {
      require(configured.refreshes && TokenRules.isRefreshToken(refresh.reveal()), "a refresh token of no use")
    }
    switch token.lifetime {
    case .relative(let lifetime): require(isLifetime(lifetime), "a lifetime of \(lifetime)")
    case .absolute(let end): require(end > now && end < now + ReplyLifetime.longest, "an end at \(end)")
    case .unknown: break
    }
    if let lifetime = token.refreshTokenLifetime { require(isLifetime(lifetime), "a lifetime of \(lifetime)") }
    if let scope = token.scope { require(TokenRules.isScope(scope), "a scope that is none") }
  }

  private static func isLifetime(_ lifetime: Duration) -> Bool {
    lifetime >= .seconds(1) && lifetime <= ReplyLifetime.longest
  }

  private static func isKnown(_ code: String) -> Bool {
    if codes.contains(code) { return true }
    let digits = code.split(separator: "_").last ?? ""
    return digits.utf8.count <= 3 && digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
      && (code == "http_\(digits)" || code == "misa_error_\(digits)")
  }
}
