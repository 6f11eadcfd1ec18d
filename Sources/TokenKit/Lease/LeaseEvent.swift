// What happens to a credential's machine, and what it wants done. Both are plain data: the manager carries actions out
// and brings their results back as events.

/// A good answer of the token endpoint, with the times that its expiry is counted from.
public struct GrantReply: Sendable {
  /// The token as the provider read it.
  public var token: Token
  /// The reply's `Date`.
  public var date: WallTime?
  /// When the grant was sent.
  public var sent: Moment
  /// When the answer was complete.
  public var received: Moment

  /// A reply.
  public init(token: Token, date: WallTime?, sent: Moment, received: Moment) {
    self.token = token
    self.date = date
    self.sent = sent
    self.received = received
  }
}

/// Something that happened. Numbers (`attempt`, `write`, `read`) name the action that it answers.
public enum LeaseEvent: Sendable {
  /// Before `loaded`: a pair that the process before this one had in memory, and maybe not in the store.
  case inherited(StoredCredential)
  /// The row was read at start. Everything before this one waits for it.
  case loaded(StoreRecord)
  /// A data loop (or a person) asks; `id` is unique and comes back in exactly one `answer`.
  case want(id: UInt64, LeaseWant)
  /// The time given by `nextWakeUp` has come.
  case wakeUp
  /// A data loop saw an upstream accept the lease of this generation (told once per loop and generation).
  case accepted(generation: UInt64)
  /// A replay with a new lease was rejected again on this route.
  case replayRejected(route: UInt32)
  /// A route that was backing off saw another status.
  case routeRecovered(route: UInt32)
  /// The answer to `askTurn`: the grant may begin.
  case turn(UInt64)
  /// `askTurn` waits: the host's limits let nothing begin before then.
  case turnDelayed(UInt64, until: BootInstant)
  /// The answer to `begin`.
  case began(attempt: UInt64, Result<StoreBeginAnswer, StoreError>)
  /// All data loops know of the hold.
  case holdAcknowledged(attempt: UInt64)
  /// The answer to `call`.
  case answered(attempt: UInt64, Result<GrantReply, GrantError>)
  /// The answer to `save`.
  case wrote(write: UInt64, Result<StoreSaveAnswer, StoreError>)
  /// The answer to `read`.
  case reread(read: UInt64, Result<StoreRecord, StoreError>)
  /// The store says that the row has changed (another replica, a login).
  case storeChanged(generation: UInt64)
  /// The configuration or its secrets have changed.
  case termsChanged(LeaseTerms)
  /// A person has logged in: a pair of a new family.
  case loggedIn(GrantReply)
  /// Start nothing that needs the store; finish and store the grant in flight, then say `paused`. Who asks waits, unless
  /// the lease at hand will do.
  case pause
  /// Go on. `wasAway`: another process may have had the store since `paused`.
  case resume(wasAway: Bool)
  /// Start no grant any more; finish and store the one in flight.
  case shutdown
}

/// Something to be done.
public enum LeaseAction: Sendable {
  /// A turn at the token host is wanted, or wanted sooner than said before; answer with `turn`.
  case askTurn(UInt64, TurnPriority)
  /// That turn is over, or no longer wanted.
  case endTurn(UInt64)
  /// Mark the grant in the store; answer with `began`.
  case begin(StoreBegin, attempt: UInt64)
  /// Tell the data loops that the access token is about to die; answer with `holdAcknowledged`.
  case announceHold(attempt: UInt64)
  /// The announced grant is over.
  case releaseHold
  /// Send the grant; answer with `answered`.
  case call(attempt: UInt64, refreshToken: Secret?)
  /// Write the pair; answer with `wrote`.
  case save(StoreSave, write: UInt64)
  /// End what `begin` began. Nothing waits for it.
  case abandon(StoreAbandon)
  /// Read the row; answer with `reread`.
  case read(StoreQuery, read: UInt64)
  /// Read file secrets again; answer with `termsChanged` if they differ, before any `reread` that follows.
  case rereadSecrets
  /// Hand the lease to the data loops.
  case publish(Lease)
  /// The published lease may not be used any more.
  case withdraw
  /// Answer a `want`.
  case answer(id: UInt64, LeaseAnswer)
  /// Tell the log.
  case note(CredentialEvent)
  /// After `pause`: nothing is in flight or has to be stored any more. Comes once for each.
  case paused
  /// After `shutdown`: nothing is in flight or unsaved any more. Comes once.
  case stopped
}

/// Why a grant is made. Raw values stand in logs and metrics.
public enum GrantCause: String, Sendable, CaseIterable {
  /// There is no usable lease, and the credential keeps one at all times, or somebody wants it.
  case missing
  /// The lease comes to its end.
  case refreshAhead = "refresh_ahead"
  /// An upstream rejected the lease.
  case rejected
  /// A person asked.
  case admin
  /// An earlier attempt's answer never came: the same token again.
  case resend
}
