// A token server whose refresh tokens end, for credentials that nobody calls: it says how near to its end each one came.

package import TokenKit

/// Strict rotation, with a life for refresh tokens.
package struct ExpiringServerModel {
  /// Of access tokens.
  package let lifetime: Duration
  /// Of refresh tokens, each from the moment in which it is given.
  package let refreshTokenLifetime: Duration
  /// Grants that brought a pair.
  package private(set) var calls = 0
  /// Grants that came with a token that was over or not the newest.
  package private(set) var refusals = 0
  /// The least that was left of a refresh token when it was used.
  package private(set) var leastLeft: Duration
  package private(set) var current: String
  private var end: BootInstant

  /// A server that gives out `seed` now.
  package init(seed: String, lifetime: Duration, refreshTokenLifetime: Duration, now: BootInstant) {
    self.lifetime = lifetime
    self.refreshTokenLifetime = refreshTokenLifetime
    current = seed
    leastLeft = refreshTokenLifetime
    end = now + refreshTokenLifetime
  }

  /// Answers a grant: a pair, or nil for `invalid_grant`.
  package mutating func refresh(_ token: String, at now: BootInstant) -> (access: String, refresh: String)? {
    guard token == current, now < end else {
      refusals += 1
      return nil
    }
    leastLeft = min(leastLeft, end - now)
    calls += 1
    current = "refresh-\(calls)"
    end = now + refreshTokenLifetime
    return ("access-\(calls)", current)
  }
}
