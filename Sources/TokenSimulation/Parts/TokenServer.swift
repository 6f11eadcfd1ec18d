// A token server in memory: families of refresh tokens, rotation, reuse detection, grace windows, access tokens.

/// What the server knows of one credential.
struct TokenServer {
  /// The tokens that came of one login.
  struct Family {
    /// The place of the refresh token that is good now.
    var current = 0
    /// When each earlier one was replaced.
    var replacedAt: [Int64] = []
    /// Whether a token that had been replaced came again, out of its grace.
    var isRevoked = false
  }

  /// The answer to a grant.
  enum Answer: Equatable {
    /// A pair; `refresh` is nil where nothing rotates.
    case pair(access: TokenName, refresh: TokenName?)
    /// The token is not good; `isReuse`: it was good once.
    case invalid(isReuse: Bool)
  }

  private struct Access {
    var end: Int64
    var isGood: Bool
    var family: Int
  }

  let credential: Int
  let rules: TokenServerRules
  private(set) var families = [Family()]
  private var access: [Access] = []

  init(credential: Int, rules: TokenServerRules) {
    self.credential = credential
    self.rules = rules
  }

  /// The newest family.
  var family: Int { families.count - 1 }
  /// The refresh token that is good now; whoever lost it has lost the credential, or waits for a grace window.
  var current: TokenName { TokenName(credential: credential, family: family, number: families[family].current) }

  /// Answers a grant. A nil token is a grant that needs none.
  mutating func grant(_ token: TokenName?, at now: Int64) -> Answer {
    guard let token else { return .pair(access: newAccess(family: 0, at: now), refresh: nil) }
    guard token.credential == credential, token.family < families.count else { return .invalid(isReuse: false) }
    let known = families[token.family]
    if known.isRevoked { return .invalid(isReuse: false) }
    if token.number != known.current {
      guard isInGrace(token, at: now) else {
        if rules.killsFamilyOnReuse { revoke(token.family) }
        return .invalid(isReuse: true)
      }
    }
    if rules.killsOldAccessToken { revokeAccess() }
    let new = newAccess(family: token.family, at: now)
    guard rules.rotates else { return .pair(access: new, refresh: nil) }
    if token.number == known.current {
      families[token.family].replacedAt.append(now)
      families[token.family].current += 1
    }
    return .pair(
      access: new,
      refresh: TokenName(
        credential: credential, family: token.family, number: families[token.family].current))
  }

  /// Whether a replaced token still would be answered.
  func isInGrace(_ token: TokenName, at now: Int64) -> Bool {
    let family = families[token.family]
    // Only the last one that was replaced: its successor has not been used yet.
    guard !family.isRevoked, token.number == family.current - 1, rules.grace > 0 else { return false }
    return now - family.replacedAt[token.number] <= rules.grace
  }

  /// A person has logged in.
  mutating func login(at now: Int64) -> (access: TokenName, refresh: TokenName) {
    families.append(Family())
    return (newAccess(family: family, at: now), current)
  }

  /// Takes all access tokens back; refresh tokens stay good.
  mutating func revokeAccess() {
    for index in access.indices { access[index].isGood = false }
  }

  private mutating func revoke(_ family: Int) {
    families[family].isRevoked = true
    for index in access.indices where access[index].family == family { access[index].isGood = false }
  }

  private mutating func newAccess(family: Int, at now: Int64) -> TokenName {
    access.append(Access(end: now + Int64(rules.lifetime) * Span.second, isGood: true, family: family))
    return TokenName(credential: credential, family: family, number: access.count - 1)
  }

  /// Whether an upstream takes the token.
  func accepts(_ token: TokenName, at now: Int64) -> Bool {
    guard token.credential == credential, token.number < access.count else { return false }
    return access[token.number].isGood && now < access[token.number].end
  }

  /// Whether the token's time is over, whatever else may have ended it.
  func isExpired(_ token: TokenName, at now: Int64) -> Bool {
    guard token.number < access.count else { return true }
    return now >= access[token.number].end
  }
}
