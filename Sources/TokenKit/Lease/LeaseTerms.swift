// What a credential's machine knows of its configuration and provider. Replaced as a whole when they change.

/// The terms on which one credential lives.
public struct LeaseTerms: Sendable {
  /// The credential's name.
  public var name: String
  /// Grants send a refresh token (as opposed to client_credentials and logins).
  public var usesRefreshToken: Bool
  /// The server kills the old access token when it rotates: such grants are announced to the data loops first.
  public var killsOldTokenAtRotation: Bool
  /// Of everything that an access token belongs to.
  public var accessIdentity: Fingerprint
  /// Of everything that a refresh token belongs to.
  public var refreshIdentity: Fingerprint
  /// The refresh token in the configuration.
  public var seed: Secret?
  /// Its fingerprint.
  public var seedFingerprint: Fingerprint?
  /// A refresh token's life when no reply says one.
  public var refreshTokenLifetime: Duration?
  /// When to refresh.
  public var policy: RefreshPolicy
  /// How tokens are put on requests, the provider's own fields included.
  public var rules: InjectionRules
  /// Whether replicas share the store: then no refresh token is sent without a mark.
  public var storeIsShared: Bool
  /// This process, as marks name it.
  public var owner: String
  /// Makes fingerprints of refresh tokens.
  public var fingerprinter: Fingerprinter

  /// Terms from a provider's traits and the credential's configuration.
  public init(
    name: String, providerID: String, traits: ProviderTraits, seed: Secret?, policy: RefreshPolicy,
    rules: InjectionRules, storeIsShared: Bool, owner: String, fingerprinter: Fingerprinter
  ) {
    self.name = name
    usesRefreshToken = traits.usesRefreshToken
    killsOldTokenAtRotation = traits.killsOldTokenAtRotation
    accessIdentity = fingerprinter.identity(["access", providerID] + traits.accessTokenIdentity)
    refreshIdentity = fingerprinter.identity(["refresh", name, providerID] + traits.refreshTokenIdentity)
    let seed = seed.flatMap { traits.usesRefreshToken && !$0.isEmpty ? $0 : nil }
    self.seed = seed
    seedFingerprint = seed.map(fingerprinter.refreshToken)
    refreshTokenLifetime = policy.refreshTokenLifetime ?? traits.refreshTokenLifetime
    self.policy = policy
    self.rules = rules
    self.storeIsShared = storeIsShared
    self.owner = owner
    self.fingerprinter = fingerprinter
  }

  /// What the store is asked about this credential.
  public var query: StoreQuery { StoreQuery(name: name, seed: seedFingerprint) }
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
