// From the decision to make a grant to its outcome: mark, hold, call, and what a failed call leads to.

extension LeaseStateMachine {
  /// Starts a grant. Only from a state in which none is in flight.
  mutating func start(_ cause: GrantCause, _ now: Moment) {
    attemptIDs += 1
    if cause == .rejected || cause == .admin { lastForced = now.boot }
    queue(Attempt(id: attemptIDs, cause: cause))
  }

  /// Marks the grant in the store. Grants that spend nothing need no mark; in a shared store they take the lock all the
  /// same, so that replicas don't all call.
  mutating func begin(_ attempt: Attempt, _ now: Moment) {
    guard terms.usesRefreshToken || terms.storeIsShared else {
      announceOrCall(attempt, now)
      return
    }
    var marked = row ?? emptyRow(now)
    let fingerprint = tokenToSend.map(terms.fingerprinter.refreshToken)
    marked.mark = InFlightMark(
      owner: terms.owner, generation: marked.generation, time: now.wall, fingerprint: fingerprint)
    var fingerprints = unrecordedFingerprints
    if let fingerprint, !fingerprints.contains(fingerprint) { fingerprints.append(fingerprint) }
    // That the seed is spent is said each time: a database that failed over to an older state may have forgotten it.
    if let ignoredSeed, !fingerprints.contains(ignoredSeed) { fingerprints.append(ignoredSeed) }
    state = .beginning(attempt)
    actions.append(
      .begin(
        StoreBegin(row: marked, expected: storedGeneration, fingerprints: fingerprints), attempt: attempt.id))
  }

  /// The refresh token that grants send now.
  var tokenToSend: Secret? { terms.usesRefreshToken ? row?.refreshToken : nil }

  /// A row without tokens, for marks of credentials that have none yet.
  func emptyRow(_ now: Moment) -> StoredCredential {
    StoredCredential(
      name: terms.name, generation: 0, accessToken: nil, obtainedAt: now.wall, expiresAt: now.wall, lifetime: .zero,
      refreshToken: nil, accessIdentity: terms.accessIdentity, refreshIdentity: terms.refreshIdentity)
  }

  /// The store has marked the grant, or not.
  mutating func began(_ id: UInt64, _ result: Result<StoreBeginAnswer, StoreError>, _ now: Moment) {
    guard case .beginning(let attempt) = state, attempt.id == id else { return }
    switch result {
    case .success(.marked(let prior)):
      storedGeneration = row?.generation ?? 0
      unrecordedFingerprints = []
      markFailures = 0
      rewriteAt = nil
      if let prior, let sent = prior.fingerprint, !isUnanswered, terms.usesRefreshToken,
        sent == tokenToSend.map(terms.fingerprinter.refreshToken)
      {
        isUnanswered = true
        unansweredAttempts += 1
        actions.append(.note(.interruptedGrantFound(owner: prior.owner)))
      }
      if isStopping {
        abandon(keepsMark: isUnanswered)
        becomeStopped()
      } else if isPaused {
        abandon(keepsMark: isUnanswered)
        state = .resting
      } else {
        announceOrCall(attempt, now)
      }
    case .success(.superseded(let stored)):
      markFailures = 0
      if row?.accessToken == nil, let seed = terms.seed, row?.refreshToken == seed {
        // Whether the seed still is unknown has to be asked: the newer row may be its successor or not.
        mustReconsider = true
        state = .rereading(.superseded)
        read()
      } else {
        if stored.generation > storedGeneration { actions.append(.note(.pairAdopted(generation: stored.generation))) }
        take(stored, seedIsKnown: true, now)
      }
    case .success(.busy(let retryAfter)):
      markFailures = 0
      let wait = min(max(retryAfter, policy.backoffFloor), .seconds(5))
      state = .blocked(attempt, retryAt: now.boot + wait, byReplica: true)
    case .failure(let error):
      actions.append(.note(.storeFailed(operation: .mark, error)))
      markFailures += 1
      if isStopping {
        // The error may hide a success.
        abandon(keepsMark: isUnanswered)
        becomeStopped()
      } else if isPaused {
        abandon(keepsMark: isUnanswered)
        state = .resting
      } else if mayGoUnmarked(now) {
        callUnmarked(attempt, now)
      } else {
        let wait = policy.backoff(failures: markFailures, cap: policy.backoffCapWhenAsked, random: &random)
        state = .blocked(attempt, retryAt: now.boot + wait, byReplica: false)
      }
    }
  }

  /// Whether a grant may be sent although its mark couldn't be written: it spends nothing; or the lease is over and
  /// nobody else uses the store.
  func mayGoUnmarked(_ now: Moment) -> Bool {
    if !terms.usesRefreshToken { return true }
    return !terms.storeIsShared && !isServing(now)
  }

  mutating func callUnmarked(_ attempt: Attempt, _ now: Moment) {
    if terms.usesRefreshToken { actions.append(.note(.grantWithoutMark)) }
    announceOrCall(attempt, now)
  }

  private mutating func announceOrCall(_ attempt: Attempt, _ now: Moment) {
    if terms.killsOldTokenAtRotation, terms.usesRefreshToken, isServing(now) {
      isHolding = true
      state = .announcing(attempt, until: now.boot + policy.holdAcknowledgement)
      actions.append(.announceHold(attempt: attempt.id))
    } else {
      call(attempt, now)
    }
  }

  mutating func call(_ attempt: Attempt, _ now: Moment) {
    attempts += 1
    lastSent = now.boot
    // The mark may have taken its time: the floor between forced calls counts from the call.
    if attempt.cause == .rejected || attempt.cause == .admin { lastForced = now.boot }
    if tokenToSend != nil, tokenToSend == terms.seed { sentSeed = terms.seedFingerprint }
    state = .calling(attempt)
    actions.append(.note(.grantSent(cause: attempt.cause, attempt: attempts)))
    actions.append(.call(attempt: attempt.id, refreshToken: tokenToSend))
  }

  mutating func answered(_ id: UInt64, _ result: Result<GrantReply, GrantError>, _ now: Moment) {
    guard case .calling(let attempt) = state, attempt.id == id else { return }
    switch result {
    case .success(let reply):
      if !obtained(reply, isLogin: false, now) {
        failed(GrantError(.unanswered, "malformed_token"), attempt, now)
      }
    case .failure(let error): failed(error, attempt, now)
    }
  }

  /// A call that brought no pair. Grants that spend nothing can't lose a reply, and nobody can log in for them.
  private mutating func failed(_ error: GrantError, _ attempt: Attempt, _ now: Moment) {
    failedAttempts += 1
    failures += 1
    releaseHold()
    switch error.kind {
    case .transient:
      abandon(keepsMark: isUnanswered)
      backOff(error, now)
    case .unanswered:
      guard terms.usesRefreshToken else {
        abandon(keepsMark: false)
        backOff(error, now)
        return
      }
      isUnanswered = true
      unansweredAttempts += 1
      abandon(keepsMark: true)
      backOff(error, now)
      read()
    case .needsLogin:
      guard terms.usesRefreshToken else {
        refuse(error, now)
        return
      }
      state = .rereading(.verdict(attempt, error))
      read()
    case .misconfigured: refuse(error, now)
    }
  }

  /// Waits before the next attempt. Retry-After wins. The first attempt after an unanswered one comes after 1 s, so
  /// callers wait for it instead of sharing a failure.
  private mutating func backOff(_ error: GrantError, _ now: Moment) {
    let isAsked = !waiters.isEmpty && !isServing(now)
    let isFirst = error.kind == .unanswered && terms.usesRefreshToken && unansweredAttempts == 1
    let wait: Duration
    if let asked = error.retryAfter {
      wait = min(max(asked, policy.backoffBase), policy.maximumRetryAfter)
    } else if isFirst {
      wait = policy.firstRetryAfterUnanswered
    } else {
      let usual = policy.backoff(
        failures: failures, cap: isAsked ? policy.backoffCapWhenAsked : policy.backoffCapAtRest, random: &random)
      // The end of the lease is not slept through: callers wait for that attempt instead of sharing an old failure.
      let left = lease.map { $0.usableUntil - now.boot } ?? .zero
      wait = left > .zero ? min(usual, max(left, policy.backoffFloor)) : usual
    }
    let until = now.boot + wait
    let isTold = error.kind == .transient && error.retryAfter != nil
    let failure = LeaseFailure(isTold ? .rateLimited : .tokenEndpointUnreachable, code: error.code, until: until)
    actions.append(.note(.grantFailed(kind: error.kind, code: error.code, retryIn: wait)))
    let isPatient = isFirst && error.retryAfter == nil
    state = .backingOff(
      Wait(until: until, failure: failure, isPatient: isPatient, mayShorten: error.retryAfter == nil && !isAsked))
    if isPatient { failAdmin(failure) } else { failAll(failure) }
  }

  /// The token endpoint refuses the configuration: file secrets are read again, and it is tried rarely.
  private mutating func refuse(_ error: GrantError, _ now: Moment) {
    let wait = max(policy.misconfiguredRetry, min(error.retryAfter ?? .zero, policy.maximumRetryAfter))
    let failure = LeaseFailure(.misconfigured, code: error.code, until: now.boot + wait)
    abandon(keepsMark: isUnanswered)
    actions.append(.note(.grantFailed(kind: .misconfigured, code: error.code, retryIn: wait)))
    actions.append(.rereadSecrets)
    trouble = failure
    state = .misconfigured(failure, until: now.boot + wait)
    failAll(failure)
  }

  /// The refresh token is dead and the store has no newer one. Kept in the store, so that a restart doesn't ask again.
  mutating func condemn(_ error: GrantError, _ now: Moment) {
    let reason: NeedsLoginReason = isUnanswered ? .lostReply : .rejected
    let verdict = StoredVerdict(reason: reason, code: error.code, time: now.wall)
    actions.append(.note(.grantFailed(kind: .needsLogin, code: error.code, retryIn: nil)))
    abandon(keepsMark: false, verdict)
    row?.needsLogin = verdict
    needLogin(reason, code: error.code, now)
    if let trouble { failAll(trouble) }
  }

  /// Asks nobody any more. Now and then a new seed in a file, or a newer row, is looked for.
  mutating func needLogin(_ reason: NeedsLoginReason, code: String, _ now: Moment) {
    let failure = LeaseFailure(.needsLogin, needsLogin: reason, code: code)
    if trouble != failure { actions.append(.note(.loginNeeded(reason: reason, code: code))) }
    trouble = failure
    state = .needsLogin(failure, recheckAt: now.boot + policy.misconfiguredRetry)
  }

  /// Ends what `begin` began: the mark goes, or stays where the answer never came; a lock is given up.
  mutating func abandon(keepsMark: Bool, _ verdict: StoredVerdict? = nil) {
    guard terms.usesRefreshToken || terms.storeIsShared else { return }
    actions.append(
      .abandon(
        StoreAbandon(
          name: terms.name, generation: row?.generation ?? 0, keepsMark: keepsMark, needsLogin: verdict)))
  }

  mutating func releaseHold() {
    guard isHolding else { return }
    isHolding = false
    actions.append(.releaseHold)
  }
}
