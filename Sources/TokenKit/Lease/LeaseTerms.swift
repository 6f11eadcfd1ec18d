// What a credential's machine knows of its configuration and provider. Replaced as a whole when they change.

/// The terms on which one credential lives.
public struct LeaseTerms: Sendable {
  /// The credential's name.
  public var name: String
  /// Of everything that an access token belongs to.
  public var accessIdentity: Fingerprint
  /// Of everything that a refresh token belongs to.
  public var refreshIdentity: Fingerprint
  /// The refresh token in the configuration.
  public var seed: Secret?
  /// How tokens are put on requests, the provider's own fields included.
  public var rules: InjectionRules
  /// What many credentials have in common.
  var common: CommonTerms
  /// The seed's fingerprint; made anew each time, which takes less than keeping it.
  public var seedFingerprint: Fingerprint? { seed.map(fingerprinter.refreshToken) }

  /// Terms from a provider's traits and the credential's configuration.
  public init(
    name: String, providerID: String, traits: ProviderTraits, seed: Secret?, policy: RefreshPolicy,
    rules: InjectionRules, storeIsShared: Bool, owner: String, fingerprinter: Fingerprinter
  ) {
    self.name = name
    accessIdentity = fingerprinter.identity(["access", providerID] + traits.accessTokenIdentity)
    refreshIdentity = fingerprinter.identity(["refresh", name, providerID] + traits.refreshTokenIdentity)
    self.seed = seed.flatMap { traits.usesRefreshToken && !$0.isEmpty ? $0 : nil }
    self.rules = rules
    common = CommonTerms(
      usesRefreshToken: traits.usesRefreshToken, killsOldTokenAtRotation: traits.killsOldTokenAtRotation,
      refreshTokenLifetime: policy.refreshTokenLifetime ?? traits.refreshTokenLifetime, policy: policy,
      storeIsShared: storeIsShared, owner: owner, fingerprinter: fingerprinter)
  }

  /// Grants send a refresh token (as opposed to client_credentials and logins).
  public var usesRefreshToken: Bool { common.usesRefreshToken }
  /// The server kills the old access token when it rotates: such grants are announced to the data loops first.
  public var killsOldTokenAtRotation: Bool { common.killsOldTokenAtRotation }
  /// A refresh token's life when no reply says one.
  public var refreshTokenLifetime: Duration? { common.refreshTokenLifetime }
  /// When to refresh.
  public var policy: RefreshPolicy { common.policy }
  /// Whether replicas share the store: then no refresh token is sent without a mark.
  public var storeIsShared: Bool { common.storeIsShared }
  /// This process, as marks name it.
  public var owner: String { common.owner }
  /// Makes fingerprints of refresh tokens.
  public var fingerprinter: Fingerprinter { common.fingerprinter }

  /// Lets credentials whose terms are alike in most things keep those once.
  public mutating func share(
    _ commons: inout Interner<CommonTerms>, _ rules: inout Interner<InjectionRules>
  ) {
    common = commons.shared(common)
    self.rules = rules.shared(self.rules)
  }

  /// What the store is asked about this credential.
  public var query: StoreQuery { StoreQuery(name: name, seed: seedFingerprint) }
}

/// Terms that most credentials of a process share. They are compared without `fingerprinter`, of which there is one.
public final class CommonTerms: Sendable, Hashable {
  let usesRefreshToken: Bool
  let killsOldTokenAtRotation: Bool
  let refreshTokenLifetime: Duration?
  let policy: RefreshPolicy
  let storeIsShared: Bool
  let owner: String
  let fingerprinter: Fingerprinter

  init(
    usesRefreshToken: Bool, killsOldTokenAtRotation: Bool, refreshTokenLifetime: Duration?, policy: RefreshPolicy,
    storeIsShared: Bool, owner: String, fingerprinter: Fingerprinter
  ) {
    self.usesRefreshToken = usesRefreshToken
    self.killsOldTokenAtRotation = killsOldTokenAtRotation
    self.refreshTokenLifetime = refreshTokenLifetime
    self.policy = policy
    self.storeIsShared = storeIsShared
    self.owner = owner
    self.fingerprinter = fingerprinter
  }

  /// By what they say.
  public static func == (a: CommonTerms, b: CommonTerms) -> Bool {
    a === b
      || (a.usesRefreshToken == b.usesRefreshToken && a.killsOldTokenAtRotation == b.killsOldTokenAtRotation
        && a.refreshTokenLifetime == b.refreshTokenLifetime && a.policy == b.policy
        && a.storeIsShared == b.storeIsShared && a.owner == b.owner)
  }

  /// By most of what they say.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(usesRefreshToken)
    hasher.combine(refreshTokenLifetime)
    hasher.combine(policy)
  }
}

/// Which refresh token a credential goes on with, given its configuration and its row.
enum RefreshTokenChoice: Equatable {
  /// Its grants send none.
  case unneeded
  /// The row's: the newest successor of whatever was sent before.
  case stored
  /// The configuration's: it was never sent or replaced, or the row has exactly it and the client has changed.
  case seed
  /// There is none that may be sent.
  case missing(NeedsLoginReason)

  /// A seed that the store knows is spent: the row has its newest successor. An unknown seed wins, once: from then on
  /// the store knows it. A row whose refresh identity is another's (client id, account edited) lends no token.
  init(terms: LeaseTerms, row: StoredCredential?, seedIsKnown: Bool) {
    guard terms.usesRefreshToken else {
      self = .unneeded
      return
    }
    let belongs = row?.refreshIdentity == terms.refreshIdentity
    if let seed = terms.seed {
      if row?.refreshToken == seed {
        self = belongs ? .stored : .seed
        return
      }
      if !seedIsKnown {
        self = .seed
        return
      }
    }
    if belongs, row?.refreshToken != nil {
      self = .stored
    } else {
      self = .missing(terms.seed == nil ? .noRefreshToken : .seedSpent)
    }
  }
}
