// What the store's row means for the credential: at start, when it has changed, and when the configuration has.

extension LeaseStateMachine {
  /// The row at start.
  mutating func loaded(_ record: StoreRecord, _ now: Moment) {
    guard case .loading = state else { return }
    let mark = record.row?.mark
    take(record.row, seedIsKnown: record.seedIsKnown, now)
    if let lease {
      actions.append(.note(.leaseRestored(generation: lease.generation, remaining: lease.expires - now.boot)))
    }
    guard let mark, case .resting = state, let token = tokenToSend,
      mark.fingerprint == terms.fingerprinter.refreshToken(token)
    else { return }
    // An attempt whose answer nobody got. Grace windows are short: its second comes 1 s after it, not after the start.
    isUnanswered = true
    unansweredAttempts = 1
    actions.append(.note(.interruptedGrantFound(owner: mark.owner)))
    let pause = policy.firstRetryAfterUnanswered
    let wait = min(max(pause - (now.wall - mark.time), .zero), pause)
    let until = now.boot + wait
    state = .backingOff(
      Wait(
        until: until, failure: LeaseFailure(.tokenEndpointUnreachable, code: "interrupted", until: until),
        isPatient: true, mayShorten: false))
  }

  /// Goes on from a row of the store, or from memory where that is ahead. Ends in `resting` or `needsLogin`.
  @discardableResult
  mutating func take(_ candidate: StoredCredential?, seedIsKnown: Bool, _ now: Moment) -> RefreshTokenChoice {
    storedGeneration = candidate?.generation ?? 0
    mustReconsider = false
    var newest = candidate
    if let row, candidate == nil || row.generation > storedGeneration { newest = row }
    if let row, row.generation == newest?.generation, row.refreshToken == newest?.refreshToken, row.needsLogin != nil {
      // The verdict may not have reached the store.
      newest?.needsLogin = row.needsLogin
    }
    let before = (token: tokenToSend, generation: row?.generation)
    let isKnown = seedIsKnown || (sentSeed != nil && sentSeed == terms.seedFingerprint)
    let choice = RefreshTokenChoice(terms: terms, row: newest, seedIsKnown: isKnown)
    switch choice {
    case .seed: takeSeed(over: newest, now)
    case .unneeded, .stored, .missing: row = newest
    }
    row?.mark = nil
    if tokenToSend != before.token || row?.generation != before.generation { forgetTrouble() }
    if choice == .stored, let seed = terms.seed, seed != row?.refreshToken, ignoredSeed != terms.seedFingerprint {
      ignoredSeed = terms.seedFingerprint
      actions.append(.note(.seedIgnored))
    }
    takeLease(choice, now)
    state = .resting
    if case .missing(let reason) = choice {
      needLogin(reason, code: "", now)
    } else if choice == .stored, let verdict = row?.needsLogin {
      if verdict.reason == .lostReply { isUnanswered = true }
      needLogin(verdict.reason, code: verdict.code, now)
    } else if trouble?.reason == .needsLogin {
      trouble = nil
    }
    return choice
  }

  /// A new seed wins: whatever the row has is replaced. The generation grows, so that replicas which still have the old
  /// row meet it when they compare.
  private mutating func takeSeed(over old: StoredCredential?, _ now: Moment) {
    actions.append(.note(.seedTaken))
    if let token = old?.refreshToken, token != terms.seed {
      unrecordedFingerprints.append(terms.fingerprinter.refreshToken(token))
    }
    var new = emptyRow(now)
    new.generation = old.map { $0.generation + 1 } ?? 0
    new.lifetime = old?.lifetime ?? .zero
    new.refreshToken = terms.seed
    row = new
  }

  /// The row's lease, if it belongs to these terms; else the one in use goes on, unless a new seed has ended it: that may
  /// be another account's.
  private mutating func takeLease(_ choice: RefreshTokenChoice, _ now: Moment) {
    switch choice {
    case .seed:
      withdraw()
    case .unneeded, .stored:
      guard let row, row.generation != lease?.generation, let (new, due) = restoredLease(row, now),
        new.isUsable(at: now.boot)
      else { return }
      lease = new
      refreshDue = due
      isUsed = false
      actions.append(.publish(new))
    case .missing: break
    }
  }

  private mutating func withdraw() {
    guard lease != nil else { return }
    lease = nil
    refreshDue = nil
    actions.append(.withdraw)
  }

  /// A lease from a row; nil if its token is over or belongs to other terms. The wall clock may have been set back: no
  /// token has more left than its lifetime.
  mutating func restoredLease(_ row: StoredCredential, _ now: Moment) -> (lease: Lease, due: BootInstant)? {
    guard let token = row.accessToken, row.generation > 0, row.accessIdentity == terms.accessIdentity,
      row.refreshIdentity == terms.refreshIdentity
    else { return nil }
    let lifetime = min(max(row.lifetime, policy.minimumLifetime), policy.maximumLifetime)
    let remaining = min(row.expiresAt - now.wall, lifetime)
    guard remaining > .zero else { return nil }
    let expires = now.boot + remaining
    guard
      let lease = Lease(
        generation: row.generation, accessToken: token, rules: terms.rules, expires: expires, lifetime: lifetime)
    else { return nil }
    let sent = expires - lifetime
    let due = restoredDue(
      sent: sent, sentWall: now.wall(at: sent), of: row, usableUntil: lease.usableUntil, now: now.boot)
    return (lease, due)
  }

  /// Asks for the row. Only the answer to the latest question counts.
  mutating func read() {
    reads += 1
    pendingRead = reads
    readAgainAt = nil
    var query = terms.query
    if case .rereading(.conflict) = state, let token = row?.refreshToken {
      query.seed = terms.fingerprinter.refreshToken(token)
    }
    actions.append(.read(query, read: reads))
  }

  /// The row was read.
  mutating func reread(_ id: UInt64, _ result: Result<StoreRecord, StoreError>, _ now: Moment) {
    guard pendingRead == id else { return }
    pendingRead = nil
    if case .failure(let error) = result {
      actions.append(.note(.storeFailed(operation: .read, error)))
      if mustReconsider { readAgainAt = now.boot + policy.backoffBase }
    }
    switch state {
    case .rereading(let reread): conclude(reread, try? result.get(), now)
    case .resting, .queued, .backingOff, .needsLogin, .misconfigured, .blocked:
      if case .success(let record) = result { consider(record, now) }
    case .loading, .beginning, .announcing, .calling, .saving, .unsaved, .stopped: break
    }
  }

  private func isNewer(_ record: StoreRecord) -> Bool {
    guard let stored = record.row else { return false }
    return row.map { stored.generation > $0.generation } ?? true
  }

  /// The row was read although nothing waited for it.
  private mutating func consider(_ record: StoreRecord, _ now: Moment) {
    if mustReconsider || isNewer(record) {
      if isNewer(record) { actions.append(.note(.pairAdopted(generation: record.row?.generation ?? 0))) }
      takeUnderWay(record, now)
      return
    }
    guard let row else { return }
    let stored = record.row?.generation ?? 0
    if stored < row.generation {
      // A store that fell behind (a failover) is overwritten from memory, never adopted.
      storedGeneration = stored
      if case .resting = state, row.accessToken != nil, !isPaused { rewrite(now) }
    } else if let verdict = record.row?.needsLogin, record.row?.refreshToken == row.refreshToken, row.needsLogin == nil
    {
      self.row?.needsLogin = verdict
      needLogin(verdict.reason, code: verdict.code, now)
    }
  }

  /// Goes on from the row; a wait goes on too, unless there is another token to send.
  private mutating func takeUnderWay(_ record: StoreRecord, _ now: Moment) {
    let before = (state: state, token: tokenToSend, generation: row?.generation)
    take(record.row, seedIsKnown: record.seedIsKnown, now)
    guard case .resting = state, tokenToSend == before.token, row?.generation == before.generation else { return }
    switch before.state {
    case .misconfigured, .backingOff: state = before.state
    default: break
    }
  }

  /// The row that something waited for was read; nil if it couldn't be.
  private mutating func conclude(_ reread: Reread, _ record: StoreRecord?, _ now: Moment) {
    switch reread {
    case .conflict(let pair): resolve(pair, record, now)
    case .verdict(_, let error):
      if let record, isNewer(record) {
        abandon(keepsMark: false)
        actions.append(.note(.pairAdopted(generation: record.row?.generation ?? 0)))
        take(record.row, seedIsKnown: record.seedIsKnown, now)
      } else {
        condemn(error, now)
      }
    case .superseded:
      if let record {
        take(record.row, seedIsKnown: record.seedIsKnown, now)
      } else {
        waitForStore(now)
      }
    case .fresh(let cause):
      let choice: RefreshTokenChoice
      if let record {
        choice = take(record.row, seedIsKnown: record.seedIsKnown, now)
        answerSatisfied(now)
        // The store had what was asked for.
        if cause == .admin, !waiters.contains(where: { $0.want.cause == .admin }) { return }
      } else if mustReconsider {
        waitForStore(now)
        return
      } else {
        choice = RefreshTokenChoice(terms: terms, row: row, seedIsKnown: true)
      }
      if case .missing(let reason) = choice {
        needLogin(reason, code: trouble?.code ?? "", now)
        if let trouble { failAll(trouble) }
      } else if case .needsLogin(let failure, _) = state, cause != .admin {
        // Another replica has been told that this token is dead: only a person has it asked again.
        failAll(failure)
      } else {
        start(cause, now)
      }
    }
  }

  /// The store must be read before anything can be sent, and can't be.
  private mutating func waitForStore(_ now: Moment) {
    let until = now.boot + policy.backoffBase
    let failure = LeaseFailure(.storeUnavailable, until: until)
    state = .backingOff(Wait(until: until, failure: failure, mayShorten: false))
    failAll(failure)
  }

  /// Secrets and row are read again, then a grant is made.
  mutating func rereadThenGrant(_ cause: GrantCause) {
    state = .rereading(.fresh(cause))
    actions.append(.rereadSecrets)
    read()
  }

  /// New terms count from the next moment in which no grant is in flight. A lease that belongs to the old ones is
  /// withdrawn; one that is only rendered differently is rendered again.
  mutating func applyNewTerms(_ now: Moment) {
    guard let new = newTerms else { return }
    switch state {
    case .resting, .backingOff, .needsLogin, .misconfigured, .rereading(.fresh), .rereading(.superseded): break
    // What waits for its turn is decided anew, maybe at another host.
    case .queued: state = .resting
    case .loading, .beginning, .blocked, .announcing, .calling, .rereading(.verdict), .rereading(.conflict), .saving,
      .unsaved, .stopped:
      return
    }
    newTerms = nil
    let old = terms
    replaceTerms(new)
    if old.accessIdentity != new.accessIdentity || old.refreshIdentity != new.refreshIdentity {
      withdraw()
      // What failed before says nothing about another server or client.
      if case .backingOff = state { state = .resting }
    } else if old.rules != new.rules, let row, row.generation == lease?.generation,
      let (rendered, _) = restoredLease(row, now)
    {
      lease = rendered
      actions.append(.publish(rendered))
    }
    if case .misconfigured(let failure, let until) = state,
      lastHurried.map({ now.boot - $0 >= policy.misconfiguredRetry }) ?? true
    {
      // Tried soon, but not again and again: settings that change whenever they are read must not make a loop.
      lastHurried = now.boot
      state = .misconfigured(failure, until: min(until, now.boot + policy.backoffBase))
    }
    mustReconsider = true
    read()
  }
}
