// The row of one credential in the store: what survives a restart and what replicas share.

/// One credential as the store keeps it. Rows are never deleted by themselves. `accessToken` and `refreshToken` are the
/// two values that a store encrypts.
public struct StoredCredential: Sendable, Equatable {
  /// The credential's name in gateway.json; the row's key.
  public var name: String
  /// Counts pairs, from 1; 0 while no token has been obtained yet. Kept across logins, seeds, restarts and reloads.
  public var generation: UInt64
  /// The access token; nil while there is none, or when a new seed made the old one useless.
  public var accessToken: Secret?
  /// When the grant that brought the access token was sent.
  public var obtainedAt: WallTime
  /// The access token's end.
  public var expiresAt: WallTime
  /// How long the access token lives, counted from `obtainedAt`.
  public var lifetime: Duration {
    get { compactLifetime.wrappedValue }
    set { compactLifetime.wrappedValue = newValue }
  }
  private var compactLifetime: CompactDuration
  /// The refresh token to send next; nil for credentials without one.
  public var refreshToken: Secret?
  /// The refresh token's own end, if known.
  public var refreshTokenEnd: WallTime? {
    get { compactRefreshTokenEnd.wrappedValue }
    set { compactRefreshTokenEnd.wrappedValue = newValue }
  }
  private var compactRefreshTokenEnd: CompactWallTime
  /// How long the refresh token lived when it was new, if known: a fifth of it left is an alarm.
  public var refreshTokenLifetime: Duration? {
    get { compactRefreshTokenLifetime.wrappedValue }
    set { compactRefreshTokenLifetime.wrappedValue = newValue }
  }
  private var compactRefreshTokenLifetime: CompactOptionalDuration
  /// Identity of everything that the access token belongs to (provider, token URL, client id, account, scopes).
  public var accessIdentity: Fingerprint
  /// Identity of what the refresh token belongs to (name, provider, client id, account).
  public var refreshIdentity: Fingerprint
  /// A grant that may be in flight with `refreshToken`.
  public var mark: InFlightMark? {
    get { boxedMark.value }
    set { boxedMark = Boxed(newValue) }
  }
  /// Set when the token endpoint has said that `refreshToken` is dead; gone with the next pair or seed.
  public var needsLogin: StoredVerdict? {
    get { boxedVerdict.value }
    set { boxedVerdict = Boxed(newValue) }
  }
  private var boxedMark: Boxed<InFlightMark>
  private var boxedVerdict: Boxed<StoredVerdict>

  /// A row with all its columns.
  public init(
    name: String, generation: UInt64, accessToken: Secret?, obtainedAt: WallTime, expiresAt: WallTime,
    lifetime: Duration, refreshToken: Secret?, refreshTokenEnd: WallTime? = nil,
    refreshTokenLifetime: Duration? = nil, accessIdentity: Fingerprint, refreshIdentity: Fingerprint,
    mark: InFlightMark? = nil, needsLogin: StoredVerdict? = nil
  ) {
    self.name = name
    self.generation = generation
    self.accessToken = accessToken
    self.obtainedAt = obtainedAt
    self.expiresAt = expiresAt
    compactLifetime = CompactDuration(wrappedValue: lifetime)
    self.refreshToken = refreshToken
    compactRefreshTokenEnd = CompactWallTime(wrappedValue: refreshTokenEnd)
    compactRefreshTokenLifetime = CompactOptionalDuration(wrappedValue: refreshTokenLifetime)
    self.accessIdentity = accessIdentity
    self.refreshIdentity = refreshIdentity
    boxedMark = Boxed(mark)
    boxedVerdict = Boxed(needsLogin)
  }
}

/// Says in the store, before the call, that a refresh token is about to be sent. Found at start it means an attempt
/// whose answer nobody got.
public struct InFlightMark: Sendable, Equatable {
  /// The process that makes the call (random per process).
  public var owner: String
  /// The row's generation at that moment: the one to be replaced.
  public var generation: UInt64
  /// When it was set.
  public var time: WallTime
  /// Of the refresh token being sent; nil when the grant sends none.
  public var fingerprint: Fingerprint?

  /// A mark with all its columns.
  public init(owner: String, generation: UInt64, time: WallTime, fingerprint: Fingerprint?) {
    self.owner = owner
    self.generation = generation
    self.time = time
    self.fingerprint = fingerprint
  }
}

/// The token endpoint's last word on a refresh token, kept so that a restart doesn't ask again.
public struct StoredVerdict: Sendable, Equatable {
  /// Why a login is needed.
  public var reason: NeedsLoginReason
  /// The token endpoint's code, e.g. `invalid_grant`.
  public var code: String
  /// When it was said.
  public var time: WallTime

  /// A verdict with all its columns.
  public init(reason: NeedsLoginReason, code: String, time: WallTime) {
    self.reason = reason
    self.code = code
    self.time = time
  }
}

/// Why a credential needs a person to log in. Raw values stand in the store, in logs and in health.
public enum NeedsLoginReason: String, Sendable, CaseIterable {
  /// The token endpoint says that the refresh token is dead.
  case rejected
  /// The same, after an attempt whose answer never came: the server rotated and its reply was lost.
  case lostReply = "lost_reply"
  /// There is neither a seed nor a stored refresh token.
  case noRefreshToken = "no_refresh_token"
  /// The only refresh token at hand is a seed that was sent or replaced before.
  case seedSpent = "seed_spent"
}
