// When something is due: the refresh ahead, and the next moment at which the machine wants to be woken.

extension LeaseStateMachine {
  /// When a lease is refreshed ahead: at 80 % of its lifetime, up to 5 % of that earlier; at half of the refresh token's
  /// remaining life if that ends first.
  mutating func due(
    sent: BootInstant, sentWall: WallTime, of row: StoredCredential, isRegular: Bool
  ) -> BootInstant {
    let early = 1 - (isRegular ? policy.jitter : max(policy.jitter, policy.spread)) * random.fraction()
    let usual = policy.refreshAt * row.lifetime
    if terms.usesRefreshToken, let end = row.refreshTokenEnd {
      let left = end - sentWall
      if left > .zero, left < usual { return sent + max(early * (0.5 * left), policy.minimumLifetime) }
    }
    return sent + early * usual
  }

  /// When a lease from the store is refreshed: as usual; or, where many are parted, at any time up to then. What then is
  /// too short for a crowd goes on to just before the lease's end.
  mutating func restoredDue(
    sent: BootInstant, sentWall: WallTime, of row: StoredCredential, usableUntil: BootInstant, now: BootInstant
  ) -> BootInstant {
    let usual = due(sent: sent, sentWall: sentWall, of: row, isRegular: true)
    guard policy.spread > policy.jitter else { return usual }
    var latest = usual
    if row.refreshTokenEnd.map({ $0 - sentWall > row.lifetime }) ?? true {
      let reserve = policy.jitter * row.lifetime
      latest = max(usual, min(now + 0.4 * row.lifetime, usableUntil - reserve))
    }
    return latest > now ? now + random.fraction() * (latest - now) : latest
  }

  /// Grants are at least this far apart, so that no answer of a server makes a loop of calls. Only forced refreshes,
  /// which have a floor of their own, don't wait for it.
  var spacedAt: BootInstant? { lastSent.map { $0 + policy.minimumLifetime } }

  func isSpaced(_ now: Moment) -> Bool { spacedAt.map { now.boot >= $0 } ?? true }

  /// When to send `wakeUp`; nil: only another event can change anything.
  public var nextWakeUp: BootInstant? {
    var next: BootInstant?
    func consider(_ instant: BootInstant?) {
      if let instant { next = next.map { min($0, instant) } ?? instant }
    }
    consider(alarmCheckAt)
    if isPaused, !isBusy { return next }
    if !isPaused { consider(readAgainAt) }
    let hasAdmin = waiters.contains { $0.want.cause == .admin }
    switch state {
    case .resting:
      consider(rewriteAt)
      if !mustReconsider { consider(grantDue(hasAdmin: hasAdmin)) }
    case .blocked(_, let retryAt, let byReplica):
      consider(retryAt)
      if !byReplica, !terms.storeIsShared { consider(lease?.usableUntil) }
    case .announcing(_, let until): consider(until)
    case .saving(let pair), .rereading(.conflict(let pair)): if !pair.isPublished { consider(pair.publishBy) }
    case .unsaved(_, let retryAt): consider(retryAt)
    case .backingOff(let wait):
      consider(wait.until)
      if hasAdmin { consider(spacedAt) }
    case .needsLogin(_, let recheckAt):
      consider(recheckAt)
      if hasAdmin { consider(spacedAt) }
    case .misconfigured(_, let until):
      consider(until)
      if hasAdmin { consider(spacedAt) }
    case .loading, .queued, .beginning, .calling, .rereading, .stopped: break
    }
    return next
  }

  /// In `resting`: when the next grant is due, as things stand.
  private func grantDue(hasAdmin: Bool) -> BootInstant? {
    let atOnce = BootInstant(nanoseconds: .min)
    var due: BootInstant?
    func consider(_ instant: BootInstant) { due = due.map { min($0, instant) } ?? instant }
    if isUnanswered || hasAdmin || waiters.contains(where: { $0.want.cause == .missing }) { consider(atOnce) }
    if let lease {
      if terms.usesRefreshToken {
        consider(min(refreshDue ?? lease.usableUntil, lease.usableUntil))
      } else if isUsed, let refreshDue {
        consider(refreshDue)
      }
      if !waiters.isEmpty {
        consider(lease.usableUntil)
        if let floorEnd { consider(floorEnd) }
      }
    } else if terms.usesRefreshToken || !waiters.isEmpty {
      consider(atOnce)
    }
    return due.map { max($0, spacedAt ?? atOnce) }
  }

  /// Compares the alarms with what they should be and notes what has changed.
  mutating func updateAlarms(_ now: Moment) {
    var current: Set<CredentialAlarm> = []
    switch state {
    case .unsaved: current.insert(.pairNotStored)
    case .saving(let pair), .rereading(.conflict(let pair)): if pair.failures > 0 { current.insert(.pairNotStored) }
    default: if rewriteAt != nil { current.insert(.pairNotStored) }
    }
    if markFailures > 0 { current.insert(.markNotWritten) }
    if trouble?.reason == .needsLogin { current.insert(.needsLogin) }
    if trouble?.reason == .misconfigured { current.insert(.misconfigured) }
    alarmCheckAt = nil
    if terms.usesRefreshToken, let end = row?.refreshTokenEnd, let life = row?.refreshTokenLifetime {
      let left = end - now.wall
      let limit = policy.refreshTokenAlarm * life
      if left <= limit { current.insert(.refreshTokenEnding) } else { alarmCheckAt = now.boot + (left - limit) }
    }
    guard current != alarms else { return }
    for alarm in CredentialAlarm.allCases where current.contains(alarm) != alarms.contains(alarm) {
      actions.append(.note(current.contains(alarm) ? .alarmRaised(alarm) : .alarmCleared(alarm)))
    }
    alarms = current
  }
}
