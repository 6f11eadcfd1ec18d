// Taking turns at the token host: before anything else of a grant, so that what waits for its turn holds no mark, no lock
// and no request back.

extension LeaseStateMachine {
  /// Asks for a turn; the grant goes on when it comes.
  mutating func queue(_ attempt: Attempt) {
    endTurn()
    state = .queued(attempt, until: nil)
  }

  /// It is this credential's turn.
  mutating func turnCame(_ id: UInt64, _ now: Moment) {
    guard turn == id, case .queued(let attempt, _) = state else { return }
    if attempt.skipsMark, mayGoUnmarked(now) {
      callUnmarked(attempt, now)
    } else {
      begin(attempt, now)
    }
  }

  /// The host's limits let no call begin before then.
  mutating func turnDelayed(_ id: UInt64, until: BootInstant) {
    guard turn == id, case .queued(let attempt, _) = state else { return }
    state = .queued(attempt, until: until)
  }

  /// Callers wait for a turn that is near; one that is far they are told of.
  mutating func failWherePatienceEnds(_ until: BootInstant?, _ now: Moment) {
    guard let until, until - now.boot > policy.backoffCapWhenAsked else { return }
    // Who comes again finds the same wait, shorter by then: the grant keeps the place of one that is asked for.
    if !waiters.isEmpty { isTurnWanted = true }
    failAll(LeaseFailure(.rateLimited, until: until))
  }

  /// Asks for what the state needs and gives back what it doesn't, whichever way led here.
  mutating func keepTurn(_ now: Moment) {
    switch state {
    case .queued:
      if !waiters.isEmpty || isUnanswered { isTurnWanted = true }
      if turn == nil {
        turns += 1
        turn = turns
      } else if isTurnUrgent == isTurnWanted {
        return
      }
      isTurnUrgent = isTurnWanted
      let priority = TurnPriority(isUrgent: isTurnUrgent, deadline: turnDeadline(now))
      actions.append(.askTurn(turns, priority))
    case .beginning, .announcing, .calling: break
    default: endTurn()
    }
  }

  /// When it is too late: the lease is over, or the refresh token is.
  private func turnDeadline(_ now: Moment) -> BootInstant {
    let leaseEnd = lease?.usableUntil ?? now.boot
    guard terms.usesRefreshToken, let end = row?.refreshTokenEnd else { return leaseEnd }
    return min(leaseEnd, now.boot + (end - now.wall))
  }

  private mutating func endTurn() {
    isTurnWanted = false
    isTurnUrgent = false
    guard let turn else { return }
    self.turn = nil
    actions.append(.endTurn(turn))
  }
}
