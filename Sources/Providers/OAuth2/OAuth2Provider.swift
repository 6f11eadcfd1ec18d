// Any RFC 6749 server: the refresh_token (§6) and client_credentials (§4.4) grants.
public import TokenKit

/// The `oauth2` provider.
public struct OAuth2Provider: AuthorizationCodeProvider {
  /// The grant that gets tokens.
  enum Grant: String, CaseIterable, Sendable {
    case refreshToken = "refresh_token"
    case clientCredentials = "client_credentials"
  }

  /// `"provider": "oauth2"`.
  public static let id = "oauth2"

  let tokenURL: String
  let grant: Grant
  let client: ClientAuthentication
  let scope: String?
  private let login: AuthorizationSettings

  /// With a refresh token only: nobody logs in for client_credentials.
  public var authorization: Result<AuthorizationEndpoint, AuthorizationUnavailable> {
    guard grant == .refreshToken else {
      return .failure(
        AuthorizationUnavailable("needs no login: its tokens come by client_credentials; use gateway refresh"))
    }
    return login.endpoint(clientID: client.id, scope: scope)
  }

  private enum Key {
    static let tokenURL = SettingsKey.tokenURL
    static let grant = SettingsKey.requiredChoice(
      "grant", "How tokens are got: with a refresh token, or with the client's own credentials.",
      standIn: Grant.refreshToken)
    static let scope = SettingsKey.scope
    static let authorizationURL = SettingsKey.authorizationURL
    static let redirectURI = SettingsKey.redirectURI
    static let issuer = SettingsKey.issuer
  }

  private static let loginKeys = [Key.authorizationURL.name, Key.redirectURI.name, Key.issuer.name]
  private static let usesNoSeed = SettingsClaim.equals("grant", .string(Grant.clientCredentials.rawValue))

  /// The keys, and which of them a grant needs.
  public static let settings = SettingsObject(
    [Key.tokenURL.entry, Key.grant.entry] + ClientAuthentication.settings.entries + [
      Key.scope.entry, Key.authorizationURL.entry, Key.redirectURI.entry, Key.issuer.entry,
    ],
    rules: ClientAuthentication.settings.rules + [
      SettingsRule(
        "\"refresh_token\" and the keys of logins are for the grant refresh_token.", when: usesNoSeed,
        .not(.any((["refresh_token"] + loginKeys).map(SettingsClaim.isSet)))),
      SettingsRule(
        "The grant refresh_token needs \"refresh_token\", unless \"authorization_url\" says where to log in.",
        when: .not(usesNoSeed), .any([.isSet("refresh_token"), .isSet("authorization_url")])),
      .authorizationURLIsSealed,
      SettingsRule(
        "The grant client_credentials needs \"client_secret\", unless \"client_auth\" says \"none\".",
        when: .all([usesNoSeed, .not(.isSet("client_auth"))]), .isSet("client_secret")),
    ])

  /// Reads the keys.
  public init(settings: SettingsReader) {
    tokenURL = settings.read(Key.tokenURL)
    grant = settings.read(Key.grant)
    client = ClientAuthentication(settings: settings, secretRequired: grant == .clientCredentials)
    scope = settings.read(Key.scope)
    guard grant == .refreshToken else {
      for key in Self.loginKeys where settings.isSet(key) {
        settings.reject(key, "is not used by this grant; take it away")
      }
      login = .unset
      return
    }
    login = settings.authorizationSettings(redirectURI: settings.read(Key.redirectURI))
  }

  /// A refresh token is used, and belongs to the client, by the refresh_token grant only.
  public var traits: ProviderTraits {
    ProviderTraits(
      usesRefreshToken: grant == .refreshToken,
      accessTokenIdentity: [Self.id, tokenURL, grant.rawValue, client.id, scope ?? ""],
      refreshTokenIdentity: [Self.id, client.id], tokenURLs: [tokenURL])
  }

  /// The grant's fields, then the client's.
  /// - Throws: `needsLogin` or `misconfigured` when there is no refresh token that could be sent.
  public func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest {
    var fields = [(name: "grant_type", value: grant.rawValue)]
    if grant == .refreshToken { fields.append((name: "refresh_token", value: try context.requiredRefreshToken())) }
    if let scope { fields.append((name: "scope", value: scope)) }
    return request(fields + client.fields, spendsRefreshToken: grant == .refreshToken)
  }

  /// RFC 6749 §4.1.3; the client authenticates as in every other grant.
  public func codeRequest(code: Secret, verifier: Secret, redirectURI: String) -> GrantRequest {
    let fields = [
      (name: "grant_type", value: "authorization_code"), (name: "code", value: code.reveal()),
      (name: "redirect_uri", value: redirectURI), (name: "code_verifier", value: verifier.reveal()),
    ]
    return request(fields + client.fields, spendsRefreshToken: true)
  }

  private func request(_ fields: [(name: String, value: String)], spendsRefreshToken: Bool) -> GrantRequest {
    let headers = [
      (name: "Content-Type", value: Secret("application/x-www-form-urlencoded")),
      (name: "Accept", value: Secret("application/json")),
    ]
    return GrantRequest(
      url: tokenURL, headers: headers + client.headers, body: Secret(FormEncoding.encode(fields)),
      spendsRefreshToken: spendsRefreshToken)
  }

  /// RFC 6749 §5. With client_credentials there is nothing to log in again, and nothing to refresh with (§4.4.3): the
  /// codes that otherwise ask for a person mean a wrong configuration, and a refresh token in the reply is ignored.
  public func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
    do {
      var token = try OAuth2Reply.token(from: response)
      if grant == .clientCredentials {
        token.refreshToken = nil
        token.refreshTokenLifetime = nil
      }
      return token
    } catch {
      guard grant == .clientCredentials, error.kind == .needsLogin else { throw error }
      throw GrantError(.misconfigured, error.code)
    }
  }
}
