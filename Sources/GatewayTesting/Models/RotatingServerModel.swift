// A token server's rules in memory: rotation, reuse detection, grace windows. It says which calls it saw, so that tests can
// tell whether a spent token was sent.

package import TokenKit

/// An OAuth2 server that knows one family of refresh tokens.
package struct RotatingServerModel {
  /// What it does to a refresh token that is used.
  package enum Rotation: Sendable, Equatable {
    /// It stays good.
    case none
    /// It is replaced; the old one is good for `grace` more. Used after that, the whole family is revoked.
    case rotating(grace: Duration)
  }

  /// The answer to a grant.
  package enum Answer: Sendable, Equatable {
    /// A pair; `refresh` is nil where nothing rotates.
    case pair(access: String, refresh: String?)
    /// 400 `invalid_grant`.
    case invalidGrant
  }

  /// Its rule.
  package let rotation: Rotation
  /// Whether a rotation kills the access token before it.
  package var killsOldAccessToken = false
  /// Whether the family was revoked because a spent token came.
  package private(set) var isRevoked = false
  /// How often a token came that had been replaced and was out of its grace.
  package private(set) var reuses = 0
  /// All grants that came.
  package private(set) var calls = 0
  /// The refresh token that is good now.
  package private(set) var current: String
  private var replacedAt: [String: BootInstant] = [:]
  private var goodAccessTokens: Set<String> = []

  /// A server that has given out `seed`.
  package init(seed: String, rotation: Rotation) {
    current = seed
    self.rotation = rotation
  }

  /// Someone has logged in: a new family.
  package mutating func login(_ seed: String) {
    current = seed
    replacedAt = [:]
    isRevoked = false
  }

  /// Whether an upstream would accept this access token.
  package func accepts(_ access: String) -> Bool { goodAccessTokens.contains(access) }

  /// Takes every access token back.
  package mutating func revokeAccessTokens() { goodAccessTokens = [] }

  /// Answers a grant.
  package mutating func refresh(_ token: String, at now: BootInstant) -> Answer {
    calls += 1
    if isRevoked { return .invalidGrant }
    if token != current {
      guard let replaced = replacedAt[token] else { return .invalidGrant }
      guard case .rotating(let grace) = rotation, now - replaced <= grace else {
        reuses += 1
        isRevoked = true
        return .invalidGrant
      }
    }
    if killsOldAccessToken { goodAccessTokens = [] }
    let access = "access-\(calls)"
    goodAccessTokens.insert(access)
    guard case .rotating = rotation else { return .pair(access: access, refresh: nil) }
    if token == current { replacedAt[token] = now }
    // Within the grace window the successor is handed out again, as most servers do.
    if token == current { current = "refresh-\(calls)" }
    return .pair(access: access, refresh: current)
  }
}
