// Any RFC 6749 server: the refresh_token (§6) and client_credentials (§4.4) grants.
public import TokenKit

/// The `oauth2` provider.
public struct OAuth2Provider: TokenProvider {
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

  /// Reads `token_url`, `grant`, `client_id`, `client_secret`, `client_auth` and `scope`.
  public init(settings: SettingsReader) {
    tokenURL = settings.tokenURL()
    if !settings.isSet("grant") { settings.reject("grant", "is missing: \"refresh_token\" or \"client_credentials\"") }
    grant = settings.choice("grant", default: .refreshToken)
    client = ClientAuthentication(settings: settings, secretRequired: grant == .clientCredentials)
    scope = settings.scope()
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
    fields += client.fields
    let headers = [
      (name: "Content-Type", value: Secret("application/x-www-form-urlencoded")),
      (name: "Accept", value: Secret("application/json")),
    ]
    return GrantRequest(
      url: tokenURL, headers: headers + client.headers, body: Secret(FormEncoding.encode(fields)),
      spendsRefreshToken: grant == .refreshToken)
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
