// The machine's state in words that health, metrics and status pages use.

extension LeaseStateMachine {
  /// How the credential is now.
  public func status(at now: Moment) -> CredentialStatus {
    let serving = isServing(now)
    var state: CredentialStatus.State
    var failure = trouble
    var next: BootInstant?
    switch self.state {
    case .loading: state = .starting
    case .resting:
      state = serving ? .ready : .idle
      next = terms.usesRefreshToken || isUsed ? refreshDue : nil
    case .queued(_, nil): state = .refreshing
    case .queued(_, let until?):
      state = .rateLimited
      next = until
      if !serving { failure = failure ?? LeaseFailure(.rateLimited, until: until) }
    case .beginning, .announcing, .calling, .rereading, .saving: state = .refreshing
    case .blocked(_, let retryAt, let byReplica):
      state = .waitingForStore
      next = retryAt
      if !byReplica { failure = failure ?? LeaseFailure(.storeUnavailable, until: retryAt) }
    case .unsaved(_, let retryAt):
      state = .waitingForStore
      next = retryAt
      failure = failure ?? LeaseFailure(.storeUnavailable, until: retryAt)
    case .backingOff(let wait):
      state = .backingOff
      next = wait.until
      failure = failure ?? wait.failure
    case .needsLogin: state = .needsLogin
    case .misconfigured(_, let until):
      state = .misconfigured
      next = until
    case .stopped: state = .stopped
    }
    if state == .idle, terms.usesRefreshToken { state = .refreshing }
    return CredentialStatus(
      name: terms.name, state: state, isServing: serving, failure: failure, generation: lease?.generation,
      expires: lease.map { now.wall(at: $0.expires) }, lifetime: lease?.lifetime, nextAttempt: next.map(now.wall(at:)),
      refreshTokenEnd: row?.refreshTokenEnd, lastSuccess: lastSuccess, grants: attempts,
      failedGrants: failedAttempts, alarms: CredentialAlarm.allCases.filter(alarms.contains))
  }

  /// The terms that it was given last, in force or not.
  public var latestTerms: LeaseTerms { newTerms ?? terms }

  /// The refresh token in the configuration, by the newest terms.
  public var latestSeed: Secret? { if let newTerms { newTerms.seed } else { terms.seed } }

  /// The lease in use, for the manager's own bookkeeping.
  public var currentLease: Lease? { lease }

  /// The newest pair's number, stored or not; 0 while there is none.
  public var newestGeneration: UInt64 { row?.generation ?? 0 }
}
