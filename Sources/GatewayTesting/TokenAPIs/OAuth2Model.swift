// A plain OAuth2 token endpoint (RFC 6749) as the sandbox plays it: old access tokens stay good to their end.
internal import FoundationEssentials
package import TokenKit

/// refresh_token and client_credentials; the client says who it is by Basic or in the body, not by both.
package struct OAuth2Model: TokenModel {
  package var rules: IssuingRules
  package var ledger = TokenLedger(prefix: "oauth2")
  package var clientID: String
  package var clientSecret: String

  package init(
    clientID: String = "sandbox-client", clientSecret: String = "sandbox-secret",
    rules: IssuingRules = IssuingRules(killsOldToken: false, revokesFamilyOnReuse: false)
  ) {
    self.clientID = clientID
    self.clientSecret = clientSecret
    self.rules = rules
  }

  package mutating func receive(_ request: IncomingRequest) -> TokenCall {
    guard request.method == "POST", let form = FormBody(request), !form.hasRepeated else {
      return refuse(OAuthAnswer.error("invalid_request", "a POST with a form and no repeated parameter is expected"))
    }
    if let refusal = refusal(request, form) { return refuse(refusal) }
    switch form["grant_type"] {
    case "client_credentials": return TokenCall(kind: .clientCredentials)
    case "refresh_token":
      guard let token = form["refresh_token"] else {
        return refuse(OAuthAnswer.error("invalid_request", "refresh_token is missing"))
      }
      return TokenCall(kind: .refresh(ledger.begin(token)))
    case .some: return refuse(OAuthAnswer.error("unsupported_grant_type", "unknown grant_type"))
    case nil: return refuse(OAuthAnswer.error("invalid_request", "grant_type is missing"))
    }
  }

  private func refuse(_ result: TokenResult) -> TokenCall { TokenCall(kind: .refused(result)) }

  private func refusal(_ request: IncomingRequest, _ form: FormBody) -> TokenResult? {
    let authorizations = request.fields.all("Authorization")
    if authorizations.isEmpty {
      if form["client_id"] == clientID, form["client_secret"] == clientSecret { return nil }
      return OAuthAnswer.error("invalid_client", "unknown client or wrong secret", status: 401)
    }
    // RFC 6749 §2.3: one way of authentication in each request.
    if authorizations.count > 1 || form["client_secret"] != nil {
      return OAuthAnswer.error("invalid_request", "more than one way of client authentication")
    }
    if let (id, secret) = Self.basic(authorizations[0]), id == clientID, secret == clientSecret { return nil }
    var result = OAuthAnswer.error("invalid_client", "unknown client or wrong secret", status: 401)
    result.answer = result.answer.adding("WWW-Authenticate", "Basic realm=\"sandbox\"")
    return result
  }

  /// RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
  static func basic(_ value: String) -> (id: String, secret: String)? {
    let parts = value.split(separator: " ")
    guard parts.count == 2, parts[0].lowercased() == "basic", let data = Data(base64Encoded: String(parts[1])) else {
      return nil
    }
    let joined = Array(data)
    guard let colon = joined.firstIndex(of: UInt8(ascii: ":")), let id = FormBody.decoded(joined[..<colon]),
      let secret = FormBody.decoded(joined[(colon + 1)...])
    else { return nil }
    return (id, secret)
  }

  package mutating func finish(_ call: TokenCall, now: WallTime) -> TokenResult {
    switch call.kind {
    case .refused(let result): return result
    case .clientCredentials: return granted(ledger.issue(rules, now: now))
    case .refresh(let attempt):
      switch ledger.finish(attempt, rules, now: now) {
      case .granted(let pair): return granted(pair)
      case .unknown, .expired, .revoked, .reused, .lostRace:
        return OAuthAnswer.error("invalid_grant", "the refresh token is not good")
      }
    }
  }

  private func granted(_ pair: TokenLedger.Pair) -> TokenResult {
    var members: [(String, OrderedJSON)] = [
      ("access_token", .string(pair.accessToken)), ("token_type", "Bearer"),
      ("expires_in", .int(Int(pair.lifetime.nanoseconds / 1_000_000_000))),
    ]
    if let successor = pair.refreshToken { members.append(("refresh_token", .string(successor))) }
    return TokenResult(OAuthAnswer.json(.object(members)), "granted")
  }
}
