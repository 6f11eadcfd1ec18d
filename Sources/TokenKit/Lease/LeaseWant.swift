// What data loops ask of a credential, and the one answer that each question gets.

/// A question for a lease. Exactly one `LeaseAnswer` follows.
public struct LeaseWant: Sendable, Equatable {
  /// Why the lease at hand won't do.
  public enum Cause: Sendable, Equatable {
    /// There is none, or it is no longer usable.
    case missing
    /// An upstream of this route answered that the token is not good. Routes are numbered by the gateway.
    case rejected(route: UInt32)
    /// A person asks for a new one, whatever the state.
    case admin
  }

  /// The generation that the asking loop has; any usable lease with another one is an answer. Nil: it has none.
  public var above: UInt64?
  /// Why it asks.
  public var cause: Cause

  /// A question.
  public init(above: UInt64?, cause: Cause) {
    self.above = above
    self.cause = cause
  }
}

/// The answer to a `LeaseWant`.
public typealias LeaseAnswer = Result<Lease, LeaseFailure>

/// Why there is no lease, or no newer one. All who ask share it until `until`.
public struct LeaseFailure: Error, Sendable, Equatable {
  /// The reason; raw values stand in logs, metrics, Proxy-Status and problem+json.
  public enum Reason: String, Sendable, CaseIterable {
    /// The token endpoint didn't answer, or refused for now.
    case tokenEndpointUnreachable = "token_endpoint_unreachable"
    /// The token host's limits, or its Retry-After, let no call begin yet.
    case rateLimited = "rate_limited"
    /// A person must log in.
    case needsLogin = "needs_login"
    /// The credential's configuration is wrong.
    case misconfigured
    /// The store can't take the pair or the mark, and without it no grant may be sent.
    case storeUnavailable = "store_unavailable"
    /// The gateway is stopping.
    case shuttingDown = "shutting_down"
    /// A refresh was forced moments ago, and no upstream has accepted the lease since: the 401 is the answer.
    case refreshFloor = "refresh_floor"
    /// This route keeps answering 401 to fresh leases: the 401 is the answer.
    case routeBackoff = "route_backoff"
  }

  /// Why.
  public var reason: Reason
  /// With `needsLogin`: why a login is needed.
  public var needsLogin: NeedsLoginReason?
  /// The cause's code as `GrantError.code` has it (`invalid_grant`, `timeout`); empty when there is none.
  public var code: String
  /// When the next attempt is made; nil if nothing will change by itself.
  public var until: BootInstant?

  /// A failure.
  public init(
    _ reason: Reason, needsLogin: NeedsLoginReason? = nil, code: String = "", until: BootInstant? = nil
  ) {
    self.reason = reason
    self.needsLogin = needsLogin
    self.code = code
    self.until = until
  }

  /// One token for logs and headers: the reason, or `lost_reply` where that says more.
  public var text: String { needsLogin == .lostReply ? NeedsLoginReason.lostReply.rawValue : reason.rawValue }

  /// Whole seconds for a Retry-After field, at least 1; nil if asking again is of no use.
  public func retryAfter(at now: BootInstant) -> Int? {
    guard let until else { return nil }
    return Int(max(1, ((until - now).nanoseconds + 999_999_999) / 1_000_000_000))
  }
}
