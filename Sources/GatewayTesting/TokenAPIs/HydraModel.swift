// VinID's token endpoint as the sandbox plays it: Ory Hydra in its strict mode.
package import TokenKit

/// `POST /oauth2/token` with `grant_type=refresh_token`, as a form or multipart.
package struct HydraModel: TokenModel {
  package var rules: IssuingRules
  package var ledger = TokenLedger(prefix: "vinid")
  package var clientID: String
  /// nil for a public client (PKCE), which must not send one.
  package var clientSecret: String?

  package init(
    clientID: String = "sandbox-app", clientSecret: String? = nil,
    rules: IssuingRules = IssuingRules(killsOldToken: true, revokesFamilyOnReuse: true)
  ) {
    self.clientID = clientID
    self.clientSecret = clientSecret
    self.rules = rules
  }

  package mutating func receive(_ request: IncomingRequest) -> TokenCall {
    if request.method != "POST" {
      return refuse(
        OAuthAnswer.error("invalid_request", "HTTP method is '\(request.method)', expected 'POST'.", status: 405))
    }
    guard let form = FormBody(request) else {
      return refuse(
        OAuthAnswer.error(
          "invalid_request", "Unable to parse HTTP body, make sure to send a properly formatted form request body."))
    }
    if form.hasRepeated {
      return refuse(OAuthAnswer.error("invalid_request", "The request includes a parameter more than once."))
    }
    guard form["grant_type"] == "refresh_token" else {
      return refuse(
        OAuthAnswer.error(
          "unsupported_grant_type", "The authorization grant type is not supported by the authorization server."))
    }
    guard form["client_id"] == clientID, form["client_secret"] == clientSecret else {
      return refuse(
        OAuthAnswer.error(
          "invalid_client",
          "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported "
            + "authentication method).", status: 401))
    }
    guard let token = form["refresh_token"] else {
      return refuse(
        OAuthAnswer.error("invalid_request", "The request is missing a required parameter: refresh_token."))
    }
    return TokenCall(kind: .refresh(ledger.begin(token)))
  }

  private func refuse(_ result: TokenResult) -> TokenCall { TokenCall(kind: .refused(result)) }

  package mutating func finish(_ call: TokenCall, now: WallTime) -> TokenResult {
    switch call.kind {
    case .refused(let result): return result
    case .clientCredentials: return OAuthAnswer.error("unauthorized_client", "The client may not use this grant type.")
    case .refresh(let attempt):
      switch ledger.finish(attempt, rules, now: now) {
      case .granted(let pair): return TokenResult(OAuthAnswer.json(Self.body(pair)), "granted")
      case .lostRace:
        return OAuthAnswer.error(
          "invalid_request",
          "Failed to refresh token because of multiple concurrent requests using the same token which is not allowed, "
            + "please retry the request.")
      case .unknown, .expired, .revoked, .reused:
        return OAuthAnswer.error(
          "invalid_grant",
          "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is "
            + "invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was "
            + "issued to another client.")
      }
    }
  }

  /// The members and their order are those of the vendor's page.
  private static func body(_ pair: TokenLedger.Pair) -> OrderedJSON {
    [
      "access_token": .string(pair.accessToken),
      "expires_in": .int(Int(pair.lifetime.nanoseconds / 1_000_000_000)),
      "id_token": "sandbox.id.token",
      "refresh_token": pair.refreshToken.map { .string($0) } ?? .null,
      "scope": "openid offline profile",
      "token_type": "bearer",
    ]
  }
}
