// The surface of a provider module: all that the gateway knows of a token API.

/// One token API. A provider is a value without I/O: it says what to send and what an answer means. Calls, clocks,
/// retries, storage and caching are not its business.
public protocol TokenProvider: Sendable {
  /// The name in gateway.json (`"provider": "vinid"`).
  static var id: String { get }

  /// The provider's own keys of a credential: what is not among them is refused, and editors are told of them.
  static var settings: SettingsObject { get }

  /// Reads the provider's own keys of a credential. Every problem goes to `settings`; the value is only used when
  /// there was none.
  init(settings: SettingsReader)

  /// What the life of its tokens depends on.
  var traits: ProviderTraits { get }

  /// The request of one attempt.
  /// - Throws: `GrantError` (misconfigured or needsLogin) when no request can be made.
  func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest

  /// What an answer means. Called for every complete answer, whatever its status.
  /// - Throws: `GrantError` for everything that is not a token that may be used as it is.
  func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token
}

/// Facts about a provider, as one credential configures it.
public struct ProviderTraits: Sendable {
  /// Grants send a refresh token, which the credential must have as a seed or in the store.
  public var usesRefreshToken: Bool
  /// The server kills the old access token when it rotates (Hydra's strict mode).
  public var killsOldTokenAtRotation: Bool
  /// A refresh token's life when the reply does not say one (720 h for vinid).
  public var refreshTokenLifetime: Duration?
  /// Everything that an access token belongs to (token URL, client id, account, scopes): when it changes, a stored
  /// access token is not used. Without secrets.
  public var accessTokenIdentity: [String]
  /// Everything that a refresh token belongs to besides the credential's name (client id, account).
  public var refreshTokenIdentity: [String]
  /// Fields that business calls carry besides the token (`CompanyCode`).
  public var requestFields: [(name: String, value: String)]
  /// The URLs that grants go to, for name resolution ahead of the first call.
  public var tokenURLs: [String]

  /// Facts with the defaults of a plain OAuth2 server.
  public init(
    usesRefreshToken: Bool, killsOldTokenAtRotation: Bool = false, refreshTokenLifetime: Duration? = nil,
    accessTokenIdentity: [String], refreshTokenIdentity: [String],
    requestFields: [(name: String, value: String)] = [], tokenURLs: [String]
  ) {
    self.usesRefreshToken = usesRefreshToken
    self.killsOldTokenAtRotation = killsOldTokenAtRotation
    self.refreshTokenLifetime = refreshTokenLifetime
    self.accessTokenIdentity = accessTokenIdentity
    self.refreshTokenIdentity = refreshTokenIdentity
    self.requestFields = requestFields
    self.tokenURLs = tokenURLs
  }
}
