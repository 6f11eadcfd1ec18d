// How a credential is, for health, metrics and status pages. Without secrets.

/// A credential's state at one moment.
public struct CredentialStatus: Sendable, Equatable {
  /// What the credential is doing. Raw values stand in health and status.
  public enum State: String, Sendable, CaseIterable {
    /// Its row is being read.
    case starting
    /// It has a usable lease and nothing to do.
    case ready
    /// It has no usable lease and makes none until somebody asks.
    case idle
    /// A grant is being made, or its pair stored.
    case refreshing
    /// The last attempt failed; the next one has its time.
    case backingOff = "backing_off"
    /// The token host's limits let the grant begin later only.
    case rateLimited = "rate_limited"
    /// The store can't mark the grant, or another replica is at it.
    case waitingForStore = "waiting_for_store"
    /// A person must log in.
    case needsLogin = "needs_login"
    /// The token endpoint refuses the configuration.
    case misconfigured
    /// The gateway is stopping.
    case stopped
  }

  /// The credential's name.
  public var name: String
  /// What it is doing.
  public var state: State
  /// Whether requests can be sent with it now.
  public var isServing: Bool
  /// Why it is in trouble, with the token endpoint's code; nil when it isn't.
  public var failure: LeaseFailure?
  /// The lease's generation.
  public var generation: UInt64?
  /// When the lease ends.
  public var expires: WallTime?
  /// How long the lease lives in all.
  public var lifetime: Duration?
  /// When a grant is due next, if one is.
  public var nextAttempt: WallTime?
  /// The refresh token's own end, if known.
  public var refreshTokenEnd: WallTime?
  /// When the last pair was obtained by this process.
  public var lastSuccess: WallTime?
  /// Grants sent by this process.
  public var grants: UInt64
  /// Of them, those that brought no pair.
  public var failedGrants: UInt64
  /// What somebody should look at, in a fixed order.
  public var alarms: [CredentialAlarm]

  /// Whether it is as it should be: serving, or idle without need.
  public var isHealthy: Bool { isServing || state == .idle }
}
