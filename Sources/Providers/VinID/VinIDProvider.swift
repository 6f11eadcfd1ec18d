// VinID OneID: the refresh_token grant of an OAuth2 server with Ory Hydra's rules, as form or as multipart.
public import TokenKit

/// The `vinid` provider. The vendor's page shows a form in one place and multipart in another; the server parses both.
public struct VinIDProvider: AuthorizationCodeProvider {
  /// How the request's body is written.
  enum Encoding: String, CaseIterable, Sendable {
    case form
    case multipart
  }

  /// `"provider": "vinid"`.
  public static let id = "vinid"

  let tokenURL: String
  let clientID: String
  let clientSecret: Secret?
  let redirectURI: String
  let scope: String?
  let encoding: Encoding
  /// The vendor's paths are `/oauth2/auth` and `/oauth2/token`.
  public let authorization: Result<AuthorizationEndpoint, AuthorizationUnavailable>

  /// Reads `token_url`, `client_id`, `client_secret`, `redirect_uri`, `scope` and `encoding`, and for logins
  /// `authorization_url` and `issuer`.
  public init(settings: SettingsReader) {
    tokenURL = settings.tokenURL()
    clientID = settings.requiredText("client_id")
    clientSecret = settings.clientSecret()
    redirectURI = settings.requiredText("redirect_uri")
    scope = settings.scope()
    encoding = settings.choice("encoding", default: .form)
    authorization = settings.authorization(
      clientID: clientID, redirectURI: redirectURI, scope: scope, fallback: Self.authorizationURL(beside: tokenURL))
  }

  private static func authorizationURL(beside tokenURL: String) -> HTTPURL? {
    guard case .success(var url) = HTTPURL.parse(tokenURL), url.pathAndQuery.hasSuffix("/oauth2/token") else {
      return nil
    }
    url.pathAndQuery = url.pathAndQuery.dropLast("token".count) + "auth"
    return url
  }

  /// Hydra's strict mode: the old access token dies with the refresh; an idle refresh token lives 720 h.
  public var traits: ProviderTraits {
    ProviderTraits(
      usesRefreshToken: true, killsOldTokenAtRotation: true, refreshTokenLifetime: .seconds(720 * 3600),
      accessTokenIdentity: [Self.id, tokenURL, clientID, scope ?? ""], refreshTokenIdentity: [Self.id, clientID],
      tokenURLs: [tokenURL])
  }

  /// The fields of the vendor's page, in its order.
  /// - Throws: `needsLogin` or `misconfigured` when there is no refresh token that could be sent.
  public func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest {
    var fields = [
      (name: "grant_type", value: "refresh_token"), (name: "refresh_token", value: try context.requiredRefreshToken()),
      (name: "client_id", value: clientID),
    ]
    // A public (PKCE) client that sends a secret gets invalid_client.
    if let clientSecret { fields.append((name: "client_secret", value: clientSecret.reveal())) }
    fields.append((name: "redirect_uri", value: redirectURI))
    if let scope { fields.append((name: "scope", value: scope)) }
    return request(fields)
  }

  /// The fields of the vendor's page, and the client as it shows itself in a refresh.
  public func codeRequest(code: Secret, verifier: Secret, redirectURI: String) -> GrantRequest {
    var fields = [
      (name: "grant_type", value: "authorization_code"), (name: "code", value: code.reveal()),
      (name: "code_verifier", value: verifier.reveal()), (name: "client_id", value: clientID),
    ]
    if let clientSecret { fields.append((name: "client_secret", value: clientSecret.reveal())) }
    fields.append((name: "redirect_uri", value: redirectURI))
    return request(fields)
  }

  private func request(_ fields: [(name: String, value: String)]) -> GrantRequest {
    let contentType: String
    let body: String
    switch encoding {
    case .form:
      contentType = "application/x-www-form-urlencoded"
      body = FormEncoding.encode(fields)
    case .multipart:
      let form = MultipartForm(fields)
      contentType = form.contentType
      body = form.body
    }
    return GrantRequest(
      url: tokenURL,
      headers: [("Content-Type", Secret(contentType)), ("Accept", Secret("application/json"))],
      body: Secret(body), spendsRefreshToken: true)
  }

  /// Hydra's answers, old and new, are those of `OAuth2Reply`.
  public func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
    try OAuth2Reply.token(from: response)
  }
}
