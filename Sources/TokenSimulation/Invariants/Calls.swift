// Invariants 1, 3, 4 and 5, each checked at the one moment in which it can break: when something leaves a process.

internal import TokenKit

extension Simulation {
  /// A token call leaves.
  func checkCall(_ index: Int, _ replica: Replica) {
    let call = calls[index]
    if let token = call.token { checkSpent(token, replica) }
    checkSingleFlight(call, replica)
    checkBudget(call, replica)
    if replica.credentials[call.credential].cause == .admin {
      // What a person starts may need more than one attempt.
      replica.credentials[call.credential].saysLoginNeeded = false
    } else if replica.credentials[call.credential].saysLoginNeeded {
      violate(.lossOnlyWhereUnavoidable, "\(replica.owner) asks on although it says that a login is needed")
    }
  }

  /// 1: its successor is neither in the store nor in the sender's memory.
  private func checkSpent(_ token: TokenName, _ replica: Replica) {
    if let stored = storedToken(token.credential), stored.family == token.family, token.isBefore(stored),
      !hasFailedOver, !isOvertakenByLateWrite(replica, token.credential)
    {
      violate(
        .spentTokenIsNeverSent, "\(replica.owner) sends \(token.refreshText); the store has \(stored.refreshText)")
    }
    if let received = replica.credentials[token.credential].received, received.family == token.family,
      token.isBefore(received)
    {
      violate(.spentTokenIsNeverSent, "\(replica.owner) sends \(token.refreshText); it has \(received.refreshText)")
    }
  }

  /// A replica that had lost its lock may store its pair while another one, which has taken its mark over, is about to
  /// call: nothing that one could look at would tell it.
  private func isOvertakenByLateWrite(_ replica: Replica, _ credential: Int) -> Bool {
    guard let at = losses[credential].lateWriteAt else { return false }
    return at >= replica.credentials[credential].markedAt
  }

  /// 3: nobody else who can reach the store has a grant in flight.
  private func checkSingleFlight(_ call: TokenCall, _ replica: Replica) {
    let credential = call.credential
    if replica.credentials[credential].inFlight > 0 {
      violate(.oneGrantInFlight, "\(replica.owner) has two grants in flight for c\(credential)")
    }
    guard plan.isShared, !hasFailedOver, !isCutOffSinceMark(replica, credential) else { return }
    for other in replicas
    where other.serial != replica.serial && other.isAlive && other.credentials[credential].inFlight > 0 {
      if isCutOffSinceMark(other, credential) { continue }
      violate(.oneGrantInFlight, "\(other.owner) and \(replica.owner) have grants in flight for c\(credential)")
    }
  }

  private func isCutOffSinceMark(_ replica: Replica, _ credential: Int) -> Bool {
    replica.lastCutOff >= replica.credentials[credential].markedAt
  }

  /// 5: it has a reason.
  private func checkBudget(_ call: TokenCall, _ replica: Replica) {
    // A question that was asked before another call still stands if that call brought nothing.
    if case .rejected? = replica.loop.slots[call.credential].asked {
      replica.credentials[call.credential].calls.isRejected = true
    }
    let problem = replica.credentials[call.credential].calls.sent(
      at: now, cause: replica.credentials[call.credential].cause, processStarted: replica.startedAt,
      youngLease: youngLease(replica, call.credential))
    if let problem { violate(.callsAreBounded, "\(replica.owner) calls for c\(call.credential): \(problem)") }
  }

  /// What keeps a lease from being refreshed ahead, if anything does.
  private func youngLease(_ replica: Replica, _ credential: Int) -> String? {
    guard !isClockStepped, replica.isServing(credential), let lease = replica.loop.slots[credential].lease else {
      return nil
    }
    let rules = plan.servers[credential]
    // Grants that spend nothing go on without a store: replicas may then have pairs of one number.
    if plan.isShared, !rules.usesRefreshToken { return nil }
    // `Date` has whole seconds: of several readings, the one that makes the token end soonest counts.
    let doubt = rules.saysDate ? Span.second + Self.callLimit : 0
    let lifetime = Int64(rules.lifetime) * Span.second
    // Lifetimes count from sending; replicas' clocks differ a little.
    let age = lifetime - (lease.expires.nanoseconds - now) + 30 * Span.millisecond
    guard age < (lifetime - doubt) * 3 / 4 else { return nil }
    return "generation \(lease.generation) is \(age / Span.millisecond) ms old, of \(rules.lifetime) s"
  }

  /// 4: a request leaves with its own credential's token, which is not over.
  func requestLeft(_ replica: Replica, _ credential: Int, _ access: TokenName?) {
    outcome.requests += 1
    guard let access else {
      violate(.onlyGoodTokensLeave, "a request of \(replica.owner) leaves without a token")
      return
    }
    if access.credential != credential {
      violate(.onlyGoodTokensLeave, "a request for c\(credential) leaves with \(access.accessText)")
    }
    if !isClockStepped, servers[access.credential].isExpired(access, at: now) {
      violate(.onlyGoodTokensLeave, "a request of \(replica.owner) leaves with \(access.accessText), which is over")
    }
  }
}
