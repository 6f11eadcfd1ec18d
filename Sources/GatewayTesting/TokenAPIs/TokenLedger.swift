// Which tokens of one token API are good: rotation, reuse, races and families, without I/O and without a wire format.
package import TokenKit

/// What a token server is strict about.
package struct IssuingRules: Sendable {
  package var lifetime: Duration
  package var refreshTokenLifetime: Duration
  /// A refresh brings a new refresh token and spends the old one.
  package var rotates: Bool
  /// A rotation ends the access token that came with the old refresh token (Hydra).
  package var killsOldToken: Bool
  /// A spent refresh token that comes again ends all tokens of its login (Hydra, RFC 9700 §4.14).
  package var revokesFamilyOnReuse: Bool
  /// How long after a rotation the old refresh token is still taken.
  package var grace: Duration

  package init(
    lifetime: Duration = .seconds(3600), refreshTokenLifetime: Duration = .seconds(720 * 3600), rotates: Bool = true,
    killsOldToken: Bool, revokesFamilyOnReuse: Bool, grace: Duration = .zero
  ) {
    self.lifetime = lifetime
    self.refreshTokenLifetime = refreshTokenLifetime
    self.rotates = rotates
    self.killsOldToken = killsOldToken
    self.revokesFamilyOnReuse = revokesFamilyOnReuse
    self.grace = grace
  }
}

/// The tokens of one API. Codable, so that a sandbox can be stopped and started again.
package struct TokenLedger: Sendable, Codable {
  private struct Refresh: Codable {
    var family: Int
    var expires: Int64
    var spentAt: Int64?
    var spentInStep: Int?
    /// The answer that carried its successor never left.
    var isSuccessorLost: Bool
  }

  private struct Access: Codable {
    var family: Int?
    var parent: String?
    var expires: Int64
  }

  private static let mostRemembered = 10_000

  private var refreshTokens: [String: Refresh] = [:]
  private var accessTokens: [String: Access] = [:]
  private var revokedFamilies: Set<Int> = []
  private var lastFamily = 0
  /// Counts rotations, to tell a race from a reuse.
  private var step = 0
  private let prefix: String

  /// - Parameter prefix: what its tokens begin with, for people who look at them.
  package init(prefix: String) { self.prefix = prefix }

  /// A new pair.
  package struct Pair: Sendable, Equatable {
    package var accessToken: String
    /// nil when the old one stays good.
    package var refreshToken: String?
    package var lifetime: Duration
    package var expires: WallTime
  }

  /// A refresh under way, from the arrival of the request to its processing.
  package struct Attempt: Sendable {
    package var refreshToken: String
    fileprivate var step: Int
  }

  /// What a refresh token was when it came.
  package enum Standing: Sendable, Equatable { case unknown, good, spent, spentWithLostAnswer }

  package enum Outcome: Sendable, Equatable {
    case granted(Pair)
    case unknown
    case expired
    case revoked
    /// It was spent before this attempt began.
    case reused
    /// Another attempt that was under way at the same time has spent it.
    case lostRace
  }

  /// A login: the refresh token is good from now on. Nothing happens if it was ever known.
  package mutating func logIn(_ refreshToken: String, _ rules: IssuingRules, now: WallTime) {
    if refreshTokens[refreshToken] != nil { return }
    lastFamily += 1
    add(refreshToken, family: lastFamily, rules, now: now)
  }

  /// A login with a refresh token of its own making.
  package mutating func logIn(_ rules: IssuingRules, now: WallTime) -> String {
    let token = mint("rt")
    logIn(token, rules, now: now)
    return token
  }

  package func standing(of refreshToken: String) -> Standing {
    guard let record = refreshTokens[refreshToken] else { return .unknown }
    if record.spentAt == nil { return .good }
    return record.isSuccessorLost ? .spentWithLostAnswer : .spent
  }

  package func begin(_ refreshToken: String) -> Attempt { Attempt(refreshToken: refreshToken, step: step) }

  package mutating func finish(_ attempt: Attempt, _ rules: IssuingRules, now: WallTime) -> Outcome {
    let token = attempt.refreshToken
    guard var record = refreshTokens[token] else { return .unknown }
    if revokedFamilies.contains(record.family) { return .revoked }
    if record.expires <= now.milliseconds { return .expired }
    if let spentAt = record.spentAt, let spentInStep = record.spentInStep {
      let isInGrace = now.milliseconds - spentAt < rules.grace.nanoseconds / 1_000_000
      if !isInGrace {
        if spentInStep > attempt.step { return .lostRace }
        if rules.revokesFamilyOnReuse { revoke(record.family) }
        return .reused
      }
    }
    step += 1
    var successor: String?
    if rules.rotates {
      if record.spentAt == nil {
        record.spentAt = now.milliseconds
        record.spentInStep = step
        if rules.killsOldToken { endAccessTokens(ofParent: token) }
      }
      refreshTokens[token] = record
      let made = mint("rt")
      add(made, family: record.family, rules, now: now)
      successor = made
    } else if rules.killsOldToken {
      endAccessTokens(ofParent: token)
    }
    return .granted(issue(family: record.family, parent: successor ?? token, refreshToken: successor, rules, now: now))
  }

  /// A grant without a refresh token (client_credentials).
  package mutating func issue(_ rules: IssuingRules, now: WallTime) -> Pair {
    issue(family: nil, parent: nil, refreshToken: nil, rules, now: now)
  }

  /// The answer to that refresh token's rotation did not leave: its sender cannot know that it is spent.
  package mutating func loseSuccessor(of refreshToken: String) { refreshTokens[refreshToken]?.isSuccessorLost = true }

  /// Whether an upstream takes the access token.
  package func isCurrent(_ accessToken: String, now: WallTime) -> Bool {
    guard let record = accessTokens[accessToken] else { return false }
    return record.expires > now.milliseconds
  }

  /// Access tokens that are good now.
  package func currentTokens(now: WallTime) -> [String] { accessTokens.keys.filter { isCurrent($0, now: now) } }

  /// Every access token dies; refresh tokens stay good.
  package mutating func revokeAccessTokens() { accessTokens = [:] }

  /// Every refresh token dies, and with `includingAccessTokens` the access tokens too.
  package mutating func revokeLogins(includingAccessTokens: Bool) {
    for record in refreshTokens.values { revokedFamilies.insert(record.family) }
    if includingAccessTokens { accessTokens = [:] }
  }

  private mutating func revoke(_ family: Int) {
    revokedFamilies.insert(family)
    accessTokens = accessTokens.filter { $0.value.family != family }
  }

  private mutating func endAccessTokens(ofParent token: String) {
    accessTokens = accessTokens.filter { $0.value.parent != token }
  }

  private mutating func add(_ token: String, family: Int, _ rules: IssuingRules, now: WallTime) {
    let expires = now + rules.refreshTokenLifetime
    if refreshTokens.count >= Self.mostRemembered {
      refreshTokens = refreshTokens.filter { $0.value.spentInStep.map { $0 > step - Self.mostRemembered / 2 } ?? true }
    }
    refreshTokens[token] = Refresh(family: family, expires: expires.milliseconds, isSuccessorLost: false)
  }

  private mutating func issue(
    family: Int?, parent: String?, refreshToken: String?, _ rules: IssuingRules, now: WallTime
  ) -> Pair {
    accessTokens = accessTokens.filter { $0.value.expires > now.milliseconds }
    let token = mint("at")
    let expires = now + rules.lifetime
    accessTokens[token] = Access(family: family, parent: parent, expires: expires.milliseconds)
    return Pair(accessToken: token, refreshToken: refreshToken, lifetime: rules.lifetime, expires: expires)
  }

  private func mint(_ kind: String) -> String {
    let digits =
      String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
    return "\(prefix)-\(kind)-\(digits)"
  }
}
