// Who asks, who waits, and when a rejected lease may force a refresh.

extension LeaseStateMachine {
  mutating func wanted(_ id: UInt64, _ want: LeaseWant, _ now: Moment) {
    waiters.append(Waiter(id: id, want: want))
    guard !isServing(now), case .backingOff(var wait) = state, wait.mayShorten else { return }
    // Now somebody asks and there is no usable lease: the lower cap counts.
    wait.mayShorten = false
    let until =
      now.boot + policy.backoff(failures: failures, cap: policy.backoffCapWhenAsked, random: &random)
    wait.until = min(wait.until, until)
    wait.failure.until = wait.until
    state = .backingOff(wait)
  }

  func isServing(_ now: Moment) -> Bool { lease?.isUsable(at: now.boot) ?? false }

  /// Gives the lease to all who have another one.
  mutating func answerSatisfied(_ now: Moment) {
    guard !waiters.isEmpty, let lease, lease.isUsable(at: now.boot) else { return }
    var rest: [Waiter] = []
    for waiter in waiters {
      if waiter.want.above == lease.generation {
        rest.append(waiter)
      } else {
        isUsed = true
        actions.append(.answer(id: waiter.id, .success(lease)))
      }
    }
    waiters = rest
  }

  mutating func failAll(_ failure: LeaseFailure, exceptAdmin: Bool = false) {
    guard !waiters.isEmpty else { return }
    failWaiters(failure) { !exceptAdmin || $0.want.cause != .admin }
  }

  mutating func failAdmin(_ failure: LeaseFailure) {
    failWaiters(failure) { $0.want.cause == .admin }
  }

  /// Whether a refresh that a 401 has forced waits for something.
  private var isForcing: Bool {
    switch state {
    case .blocked(let attempt, _, _), .queued(let attempt, _): attempt.cause == .rejected
    default: false
    }
  }

  private mutating func failWaiters(_ failure: LeaseFailure, where isMeant: (Waiter) -> Bool) {
    for waiter in waiters where isMeant(waiter) {
      if case .rejected(let route) = waiter.want.cause, isForcing {
        unreplayed.insert(route)
        unreplayedGeneration = nil
      }
      actions.append(.answer(id: waiter.id, .failure(failure)))
    }
    waiters.removeAll(where: isMeant)
  }

  /// A person's wish ends every wait but the least distance between two grants.
  mutating func grantForAdmin(_ now: Moment) {
    guard waiters.contains(where: { $0.want.cause == .admin }), isSpaced(now) else { return }
    rereadThenGrant(.admin)
  }

  /// In `resting`: starts the grant that is due, if one is.
  mutating func considerGrant(_ now: Moment) {
    if mustReconsider {
      if let readAgainAt {
        failAll(LeaseFailure(.storeUnavailable, until: readAgainAt))
      } else if pendingRead == nil {
        read()
      }
      return
    }
    let isForced = judgeRejections(now)
    guard let cause = dueCause(now, isForced: isForced), cause == .rejected || isSpaced(now) else { return }
    start(cause, now)
  }

  private mutating func dueCause(_ now: Moment, isForced: Bool) -> GrantCause? {
    if waiters.contains(where: { $0.want.cause == .admin }) { return .admin }
    if isUnanswered { return .resend }
    if !isServing(now) {
      if terms.usesRefreshToken || !waiters.isEmpty { return .missing }
      // Nobody asks: it rests.
      lease = nil
      refreshDue = nil
      return nil
    }
    if waiters.contains(where: { $0.want.cause == .missing }) { return .missing }
    if let refreshDue, now.boot >= refreshDue, terms.usesRefreshToken || isUsed { return .refreshAhead }
    return isForced ? .rejected : nil
  }

  /// Until when no further refresh is forced.
  var floorEnd: BootInstant? {
    lastForced.map { $0 + max(policy.minimumRefreshInterval, policy.minimumLifetime) }
  }

  /// Whether a rejected lease forces a refresh now. Within the floor, those whose lease some upstream has accepted go on
  /// waiting; the others get their 401 through, as do routes that keep answering it.
  private mutating func judgeRejections(_ now: Moment) -> Bool {
    guard isServing(now), !waiters.isEmpty else { return false }
    let isFloored = floorEnd.map { now.boot < $0 } ?? false
    let isAccepted = acceptedGeneration != nil && acceptedGeneration == lease?.generation
    var isForced = false
    var rest: [Waiter] = []
    for waiter in waiters {
      guard case .rejected(let route) = waiter.want.cause else {
        rest.append(waiter)
        continue
      }
      if unreplayedGeneration == lease?.generation, unreplayed.remove(route) != nil {
        // It has met the lease that its own 401 had brought: as good as a replay.
        replayRejected(route, now)
      }
      if let penalty = routes[route], now.boot < penalty.until {
        actions.append(.answer(id: waiter.id, .failure(LeaseFailure(.routeBackoff, until: penalty.until))))
      } else if isFloored, !isAccepted {
        actions.append(.answer(id: waiter.id, .failure(LeaseFailure(.refreshFloor, until: floorEnd))))
      } else {
        isForced = isForced || !isFloored
        rest.append(waiter)
      }
    }
    waiters = rest
    return isForced
  }

  /// A fresh lease was rejected too: it isn't the token. The many requests of one moment count once.
  mutating func replayRejected(_ route: UInt32, _ now: Moment) {
    if let penalty = routes[route], now.boot < penalty.until { return }
    let strikes = (routes[route]?.strikes ?? 0) + 1
    let wait = policy.routeBackoff(strikes: strikes)
    routes[route] = RoutePenalty(strikes: strikes, until: now.boot + wait)
    actions.append(.note(.routeBackedOff(route: route, wait: wait)))
  }

  /// Stops if nothing is in flight or unsaved.
  mutating func stopWhereverPossible(_ now: Moment) {
    switch state {
    case .loading, .resting, .queued, .backingOff, .needsLogin, .misconfigured, .blocked, .rereading(.fresh),
      .rereading(.superseded):
      becomeStopped()
    case .announcing:
      // Marked, but nothing has been sent.
      releaseHold()
      abandon(keepsMark: isUnanswered)
      becomeStopped()
    case .beginning, .calling, .rereading(.verdict), .rereading(.conflict), .saving, .unsaved, .stopped: break
    }
  }

  mutating func becomeStopped() {
    state = .stopped
    actions.append(.stopped)
  }
}
