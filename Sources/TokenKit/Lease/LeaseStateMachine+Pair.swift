// From a good answer to the published lease: the pair is written first, and published when that has ended or takes too
// long. Also logins, and the store's conflicts.

extension LeaseStateMachine {
  /// Turns a good answer into the new row and starts to write it. False if its token can't stand in a header.
  mutating func obtained(_ reply: GrantReply, isLogin: Bool, _ now: Moment) -> Bool {
    let lifetime = Expiry.lifetime(
      reply.token.lifetime, sent: reply.sent.wall, received: reply.received.wall, date: reply.date,
      lastKnown: row?.lifetime, policy: policy)
    let generation = max(row?.generation ?? 0, storedGeneration) + 1
    guard
      let new = Lease(
        generation: generation, accessToken: reply.token.accessToken, rules: terms.rules,
        expires: reply.sent.boot + lifetime, lifetime: lifetime)
    else { return false }
    let sent = tokenToSend
    var pair = row ?? emptyRow(now)
    pair.generation = generation
    pair.accessToken = reply.token.accessToken
    pair.obtainedAt = reply.sent.wall
    pair.expiresAt = reply.sent.wall + lifetime
    pair.lifetime = lifetime
    pair.accessIdentity = terms.accessIdentity
    pair.refreshIdentity = terms.refreshIdentity
    pair.mark = nil
    pair.needsLogin = nil
    setRefreshToken(of: &pair, from: reply)
    let isRotated = pair.refreshToken != sent
    var fingerprints = unrecordedFingerprints
    if let sent {
      let fingerprint = terms.fingerprinter.refreshToken(sent)
      if !fingerprints.contains(fingerprint) { fingerprints.append(fingerprint) }
    }
    if isLogin {
      unreplayed = []
    } else if unreplayedGeneration == nil, !unreplayed.isEmpty {
      unreplayedGeneration = generation
    }
    row = pair
    pendingLease = (
      new, due(sent: reply.sent.boot, sentWall: reply.sent.wall, of: pair, isRegular: isRegularRefresh)
    )
    forgetTrouble()
    lastSuccess = now.wall
    actions.append(
      .note(
        isLogin
          ? .loggedIn(generation: generation)
          : .grantSucceeded(
            generation: generation, lifetime: lifetime, took: reply.received.boot - reply.sent.boot,
            rotated: isRotated)))
    save(
      Pair(
        write: 0, replacing: storedGeneration, fingerprints: fingerprints,
        publishBy: now.boot + policy.publishDelay, mustBeStored: isRotated, isLogin: isLogin))
    return true
  }

  /// A reply without a refresh token (or with an empty one) keeps the old one, and its end: unless the reply names an
  /// end, or the token has just outlived the one we knew, so that each use seems to prolong it.
  private func setRefreshToken(of pair: inout StoredCredential, from reply: GrantReply) {
    guard terms.usesRefreshToken else {
      pair.refreshToken = nil
      pair.refreshTokenEnd = nil
      pair.refreshTokenLifetime = nil
      return
    }
    let new = reply.token.refreshToken.flatMap { $0.isEmpty ? nil : $0 }
    let told = reply.token.refreshTokenLifetime.flatMap { $0 > .zero ? $0 : nil }
    let isOutlived = pair.refreshTokenEnd.map { $0 < reply.sent.wall } ?? true
    if new != nil || told != nil || isOutlived {
      let life = told ?? terms.refreshTokenLifetime
      pair.refreshTokenLifetime = life
      pair.refreshTokenEnd = life.map { reply.sent.wall + $0 }
    }
    if let new { pair.refreshToken = new }
  }

  /// Whether the grant at hand is a refresh at its usual time, and the first attempt at it.
  private var isRegularRefresh: Bool {
    if case .calling(let attempt) = state { attempt.cause == .refreshAhead && failures == 0 } else { false }
  }

  mutating func forgetTrouble() {
    failures = 0
    isUnanswered = false
    unansweredAttempts = 0
    trouble = nil
  }

  /// Writes the row. While that is under way, no grant is started.
  mutating func save(_ pair: Pair) {
    guard let row else { return }
    var pair = pair
    writes += 1
    pair.write = writes
    rewriteAt = nil
    state = .saving(pair)
    actions.append(
      .save(
        StoreSave(row: row, replacing: pair.replacing, fingerprints: pair.fingerprints), write: pair.write))
  }

  /// Writes the pair in memory over a store that has an older one.
  mutating func rewrite(_ now: Moment) {
    save(
      Pair(
        write: 0, replacing: storedGeneration, fingerprints: unrecordedFingerprints, publishBy: now.boot,
        isPublished: true, mustBeStored: row?.refreshToken != nil))
  }

  /// A write has ended.
  mutating func wrote(_ write: UInt64, _ result: Result<StoreSaveAnswer, StoreError>, _ now: Moment) {
    guard case .saving(var pair) = state, pair.write == write else { return }
    switch result {
    case .success(.saved): stored(pair, now)
    case .success(.conflict(let stored)): conflict(stored, pair, now)
    case .failure(let error):
      actions.append(.note(.storeFailed(operation: .save, error)))
      pair.failures += 1
      publishUnlessDone(&pair, now)
      let wait = policy.backoff(failures: pair.failures, cap: policy.backoffCapWhenAsked, random: &random)
      if pair.mustBeStored {
        state = .unsaved(pair, retryAt: now.boot + wait)
      } else {
        // Nothing is lost without it: the next grant writes the row again, or this retry does.
        unrecordedFingerprints = pair.fingerprints
        rewriteAt = now.boot + wait
        state = .resting
      }
    }
  }

  private mutating func stored(_ pair: Pair, _ now: Moment) {
    var pair = pair
    storedGeneration = row?.generation ?? 0
    unrecordedFingerprints = []
    // Where a pair can be written, a mark can.
    markFailures = 0
    if pair.failures > 0 { actions.append(.note(.pairStored(generation: storedGeneration))) }
    publishUnlessDone(&pair, now)
    state = .resting
  }

  private mutating func publishUnlessDone(_ pair: inout Pair, _ now: Moment) {
    guard !pair.isPublished else { return }
    pair.isPublished = true
    publishPair(now)
  }

  /// Hands the new lease to the data loops. Those who asked get it as their answer besides.
  mutating func publishPair(_ now: Moment) {
    if let (new, due) = pendingLease {
      pendingLease = nil
      lease = new
      refreshDue = due
      isUsed = false
      actions.append(.publish(new))
    }
    releaseHold()
  }

  /// The store's row is not the one that was to be replaced. What is older than memory is overwritten. A pair that is not
  /// may descend from ours: a write that had failed may have succeeded, and another replica gone on from it. The store
  /// knows: it remembers every refresh token that was sent.
  private mutating func conflict(_ stored: StoredCredential?, _ pair: Pair, _ now: Moment) {
    guard let ours = row else { return }
    var pair = pair
    let theirs = stored?.generation ?? 0
    if let stored, theirs == ours.generation, stored.accessToken == ours.accessToken,
      stored.refreshToken == ours.refreshToken
    {
      self.stored(pair, now)
      return
    }
    actions.append(.note(.storeConflict(stored: theirs, ours: ours.generation)))
    pair.failures += 1
    if theirs >= ours.generation {
      // Nothing is replaced before that is known.
      state = .rereading(.conflict(pair))
      read()
    } else {
      pair.replacing = theirs
      saveAgain(pair, now)
    }
  }

  /// Another pair stands in the store, and whether ours has been sent from there is known; nil: it can't be read. Ours is
  /// over if it has; else, of two pairs with equal rights the one obtained later is taken to be the living one. Numbers
  /// only grow.
  mutating func resolve(_ pair: Pair, _ record: StoreRecord?, _ now: Moment) {
    guard var ours = row else { return }
    var pair = pair
    guard let record else {
      publishUnlessDone(&pair, now)
      let wait = policy.backoff(failures: pair.failures, cap: policy.backoffCapWhenAsked, random: &random)
      state = .unsaved(pair, retryAt: now.boot + wait)
      return
    }
    let theirs = record.row?.generation ?? 0
    pair.replacing = theirs
    if let stored = record.row, theirs >= ours.generation {
      let isSpent = record.seedIsKnown && stored.refreshToken != ours.refreshToken
      let oursIsNewer =
        !isSpent
        && (pair.isLogin || stored.obtainedAt <= ours.obtainedAt || stored.refreshIdentity != ours.refreshIdentity)
      if !oursIsNewer, theirs > ours.generation {
        if let token = ours.refreshToken { unrecordedFingerprints.append(terms.fingerprinter.refreshToken(token)) }
        pendingLease = nil
        abandon(keepsMark: false)
        releaseHold()
        actions.append(.note(.pairAdopted(generation: theirs)))
        take(stored, seedIsKnown: true, now)
        return
      }
      let replaced = oursIsNewer ? stored.refreshToken : ours.refreshToken
      if !oursIsNewer { ours = stored }
      if let replaced, replaced != ours.refreshToken {
        pair.fingerprints.append(terms.fingerprinter.refreshToken(replaced))
      }
      ours.generation = theirs + 1
      ours.mark = nil
      row = ours
      pendingLease = restoredLease(ours, now)
      pair.isPublished = false
    }
    saveAgain(pair, now)
  }

  private mutating func saveAgain(_ conflicted: Pair, _ now: Moment) {
    var pair = conflicted
    if pair.failures <= 3 {
      save(pair)
    } else {
      publishUnlessDone(&pair, now)
      let wait = policy.backoff(failures: pair.failures, cap: policy.backoffCapWhenAsked, random: &random)
      state = .unsaved(pair, retryAt: now.boot + wait)
    }
  }

  /// A login's pair is written like a grant's, as soon as none is in flight; it needs no mark.
  mutating func applyLogin(_ now: Moment) {
    guard let reply = login else { return }
    switch state {
    case .resting, .queued, .backingOff, .needsLogin, .misconfigured, .unsaved, .blocked, .rereading(.fresh),
      .rereading(.superseded):
      break
    case .loading, .beginning, .announcing, .calling, .rereading(.verdict), .rereading(.conflict), .saving, .stopped:
      return
    }
    login = nil
    if case .unsaved(let pair, _) = state { unrecordedFingerprints += pair.fingerprints }
    if !obtained(reply, isLogin: true, now) {
      actions.append(.note(.grantFailed(kind: .unanswered, code: "malformed_token", retryIn: nil)))
    }
  }
}
