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
  private let login: AuthorizationSettings

  /// The vendor's paths are `/oauth2/auth` and `/oauth2/token`.
  public var authorization: Result<AuthorizationEndpoint, AuthorizationUnavailable> {
    login.endpoint(
      clientID: clientID, redirectURI: redirectURI, scope: scope, fallback: Self.authorizationURL(beside: tokenURL))
  }

  private enum Key {
    static let tokenURL = SettingsKey.tokenURL.examples("https://oauth-qc.vinid.dev/oauth2/token")
    static let clientID = SettingsKey.requiredLine("client_id", "The client's name.").examples("my-app")
    static let clientSecret = SettingsKey.clientSecret
    static let redirectURI = SettingsKey.requiredLine("redirect_uri", "The redirect URI that the client registered.")
      .examples("https://my.app/callback")
    static let scope = SettingsKey.scope
    static let authorizationURL = SettingsKey.authorizationURL.otherwise(
      "/oauth2/auth beside a token_url that ends in /oauth2/token")
    static let issuer = SettingsKey.issuer
    static let encoding = SettingsKey.choice("encoding", "How token calls are written.", default: Encoding.form)
  }

  /// The keys.
  public static let settings = SettingsObject(
    [
      Key.tokenURL.entry, Key.clientID.entry, Key.clientSecret.entry, Key.redirectURI.entry, Key.scope.entry,
      Key.encoding.entry, Key.authorizationURL.entry, Key.issuer.entry,
    ],
    rules: [
      SettingsRule(
        "\"refresh_token\" must be there, unless it is known where to log in.",
        .any([
          .isSet("refresh_token"), .isSet("authorization_url"),
          .matches("token_url", SettingsText("://[^/?]+(?:[/?].*)?/oauth2/token$")),
        ])),
      .authorizationURLIsSealed,
    ])

  /// Reads the keys.
  public init(settings: SettingsReader) {
    tokenURL = settings.read(Key.tokenURL)
    clientID = settings.read(Key.clientID)
    clientSecret = settings.read(Key.clientSecret)
    redirectURI = settings.read(Key.redirectURI)
    scope = settings.read(Key.scope)
    encoding = settings.read(Key.encoding)
    login = settings.authorizationSettings()
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
