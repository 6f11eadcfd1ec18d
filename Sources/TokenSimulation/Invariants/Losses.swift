// Invariant 2: a credential is lost only where that is unavoidable; then the gateway says so, and asks no more.

internal import TokenKit

/// How a credential was lost.
package enum Loss: String, CaseIterable, Sendable {
  /// The server rotated, the reply never reached a living process (or it ended before the pair was durable), and no grace
  /// window was left.
  case lostReply = "lost-reply"
  /// A call that nobody waited for any more (its process was killed) was processed after the one that followed it.
  case overtaken
  /// The pair was in a replica that was cut off from the store for longer than others wait for it.
  case cutOff = "cut-off"
  /// The database went back to an older state.
  case failover
  /// A login's pair was in memory only when its process was killed.
  case loginNotStored = "login-not-stored"
}

/// What is known of one credential's losses.
struct LossTrack {
  /// Set from the moment in which the server refuses the token for good; nil again after a login.
  var loss: Loss?
  /// Every process must say `lost_reply`: the store knew of the attempt whose reply was lost.
  var mustSayLostReply = false
  /// This one must in any case: it was its own attempt.
  var rotator: Int?
  /// Somebody was refused a token whose successor a process has that is away.
  var wasRefused = false
  /// A pair that a replica wrote although it had been cut off since its mark.
  var lateWriteAt: Int64?
  /// The call that rotated last.
  var rotatedBy: Int?
  /// When a person last logged in.
  var loginAt: Int64?
}

extension Simulation {
  /// The server has refused a token that was good once.
  func judgeInvalid(_ index: Int, isReuse: Bool) {
    let call = calls[index]
    guard isReuse, let token = call.token, losses[call.credential].loss == nil else { return }
    let credential = call.credential
    let current = servers[credential].current
    guard token.family == current.family else { return }
    let isOvertaken = !call.isWaiting || !replicas[call.replica].isAlive
    let isSure = plan.servers[credential].killsFamilyOnReuse
    losses[credential].wasRefused = true
    if let stored = storedToken(credential), stored.family == current.family, token.isBefore(stored) {
      if !isSure { return }
      let sender = replicas[call.replica]
      if isOvertaken {
        lose(credential, .overtaken)
      } else if hasFailedOver {
        lose(credential, .failover)
      } else if wasCutOff(sender, credential) || losses[credential].lateWriteAt != nil {
        lose(credential, .cutOff)
      } else {
        violate(.lossOnlyWhereUnavoidable, "\(token.refreshText) came although the store has \(stored.refreshText)")
      }
      return
    }
    if isOvertaken, let rotation = losses[credential].rotatedBy, rotation != index, calls[rotation].isWaiting,
      calls[rotation].reply != nil
    {
      // The answer to the later call is on its way.
      if isSure { lose(credential, .overtaken) }
      return
    }
    if let holder = replicas.first(where: { $0.isAlive && $0.credentials[credential].received == current }) {
      if !isSure { return }
      if isOvertaken {
        lose(credential, .overtaken)
      } else if hasFailedOver {
        lose(credential, .failover)
      } else if holder.serial != call.replica, wasCutOff(holder, credential) {
        lose(credential, .cutOff)
      } else {
        violate(
          .lossOnlyWhereUnavoidable, "\(token.refreshText) came although \(holder.owner) has \(current.refreshText)")
      }
      return
    }
    lose(credential, hasFailedOver ? .failover : .lostReply)
    // An attempt without a mark that died with its process can't be known of.
    if !hasFailedOver, let rotation = losses[credential].rotatedBy {
      let rotated = calls[rotation]
      losses[credential].mustSayLostReply = rotated.isMarked
      losses[credential].rotator = rotated.replica
    }
  }

  private func lose(_ credential: Int, _ loss: Loss) {
    trace("c\(credential) is lost: \(loss.rawValue)")
    losses[credential].loss = loss
    outcome.losses[loss, default: 0] += 1
  }

  func storedToken(_ credential: Int) -> TokenName? { TokenName(database.rows[credential]?.refreshToken) }

  /// Whether the store says that this token is being sent.
  func isMarkDurable(_ token: TokenName) -> Bool {
    guard let row = database.rows[token.credential] else { return false }
    return row.mark != nil && TokenName(row.refreshToken) == token
  }

  /// Whether a replica has been away from the store since its last mark.
  func wasCutOff(_ replica: Replica, _ credential: Int) -> Bool {
    plan.isShared && replica.lastCutOff >= replica.credentials[credential].markedAt
  }

  /// A process says that a person must log in.
  func loginNeeded(_ replica: Replica, _ credential: Int, _ reason: NeedsLoginReason, _ code: String) {
    replica.credentials[credential].saysLoginNeeded = true
    let track = losses[credential]
    guard track.loss != nil else {
      if hasFailedOver {
        lose(credential, .failover)
        return
      }
      // What was read of the store may be older than a login of a moment ago.
      if let login = track.loginAt, now - login < 5 * Span.second { return }
      let current = servers[credential].current
      let isAway = replicas.contains {
        // A login's pair is taken when no grant is in flight, and stored after that.
        let isLogin = current.number == 0 && storedToken(credential) != current
        return $0.isAlive && $0.credentials[credential].received == current
          && (isLogin || ($0.serial != replica.serial && (wasCutOff($0, credential) || hasFailedOver)))
      }
      if !isAway {
        violate(
          .lossOnlyWhereUnavoidable, "\(replica.owner) gives up c\(credential), which is not lost: \(reason.rawValue)")
      }
      return
    }
    if mustSayLostReply(replica, credential), reason != .lostReply {
      violate(.lossOnlyWhereUnavoidable, "\(replica.owner) says \(reason.rawValue) for a lost reply")
    }
  }

  func mustSayLostReply(_ replica: Replica, _ credential: Int) -> Bool {
    let track = losses[credential]
    return track.loss == .lostReply && !hasFailedOver && (track.mustSayLostReply || track.rotator == replica.serial)
  }

  /// A row was written.
  func wrote(_ replica: Replica, _ row: StoredCredential, over before: StoredCredential?) {
    let index = Database.index(row.name)
    trace(
      "store: c\(index) generation \(row.generation) \(TokenName(row.refreshToken)?.refreshText ?? "-")"
        + (row.mark == nil ? "" : ", marked by \(replica.owner)"))
    if row.mark == nil, wasCutOff(replica, index) { losses[index].lateWriteAt = now }
    if row.mark != nil { replica.credentials[index].markedAt = now }
    if let old = TokenName(before?.refreshToken), let new = TokenName(row.refreshToken), new.isBefore(old),
      !hasFailedOver
    {
      violate(.lossOnlyWhereUnavoidable, "\(old.refreshText) was overwritten by \(new.refreshText), which is older")
    }
    if plan.isShared, row.generation != before?.generation { tellOthers(replica, index) }
    replica.effect(row.mark == nil ? "pair written" : "mark written")
  }

  /// A process has ended. A login's pair that only it had is gone, and so is one that it had while it was away from the
  /// store, of which another replica has been told that it is too late.
  func judgeEnd(of replica: Replica) {
    for credential in servers.indices {
      let current = servers[credential].current
      let isLogin = current.family > 0 && current.number == 0
      guard isLogin || losses[credential].wasRefused, losses[credential].loss == nil,
        replica.credentials[credential].received == current, storedToken(credential) != current,
        !replicas.contains(where: { $0.isAlive && $0.credentials[credential].received == current })
      else { continue }
      lose(credential, isLogin ? .loginNotStored : .cutOff)
    }
  }
}
