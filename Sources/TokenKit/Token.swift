// What a provider reads out of a good answer.

/// A token as the token endpoint gave it, before it becomes a lease.
public struct Token: Sendable, Equatable {
  /// How long the access token lives, as the reply said it.
  public enum Lifetime: Sendable, Equatable {
    /// `expires_in`, counted from the moment the grant was sent.
    case relative(Duration)
    /// A date by the server's clock; corrected by the reply's `Date` when there is one.
    case absolute(WallTime)
    /// The reply said nothing usable: the last known lifetime counts, else the configured default.
    case unknown
  }

  /// What goes on business calls.
  public var accessToken: Secret
  /// The successor of the refresh token sent; nil when the reply had none (the old one stays good) or an empty one.
  public var refreshToken: Secret?
  /// The access token's life.
  public var lifetime: Lifetime
  /// The refresh token's own life, if the reply said one (`refresh_expires_in`, `refresh_token_expires_in`).
  public var refreshTokenLifetime: Duration?
  /// The granted scope, if the reply said one.
  public var scope: String?

  /// A token with the parts that every API has.
  public init(
    accessToken: Secret, refreshToken: Secret? = nil, lifetime: Lifetime, refreshTokenLifetime: Duration? = nil,
    scope: String? = nil
  ) {
    self.accessToken = accessToken
    self.refreshToken = refreshToken
    self.lifetime = lifetime
    self.refreshTokenLifetime = refreshTokenLifetime
    self.scope = scope
  }
}
