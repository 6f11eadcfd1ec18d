// Invariant 6: once faults stop, every credential that is not lost serves again within its back-off.

internal import TokenKit
internal import TokenService

/// What is known since faults ended.
struct Recovery {
  /// By process and credential: a request was served.
  var served: Set<Int> = []
  /// When it must be so.
  var deadline: [Int: Int64] = [:]
  var endedAt: Int64
  var isSettled = false
}

extension Replica {
  /// Whether requests could leave now.
  func isServing(_ credential: Int) -> Bool {
    guard let lease = loop.slots[credential].lease else { return false }
    return lease.usableUntil.nanoseconds > world.now
  }
}

extension Simulation {
  /// Long enough for what was under way when faults ended to be over.
  private static let settling = 15 * Span.second
  /// What an attempt may take besides its back-off: another replica's mark, statements, the call.
  private static let attempt = 40 * Span.second
  /// The longest wait without a Retry-After.
  private static let longestBackoff = 330 * Span.second

  func faultsEnd() {
    trace("faults end")
    rates = FaultRates()
    incidents = Incidents()
    database.standbyFollows()
    recovery = Recovery(endedAt: now)
    for place in places.indices {
      if places[place] < 0 {
        startProcess(place)
      } else {
        replicas[places[place]].effectsLeft = -1
        letGoEnds(replicas[places[place]], wasAway: true)
        if plan.isShared { add(.poll, at: now + random.below(5 * Span.second), replicas[places[place]]) }
      }
    }
    add(.probe, at: now + Span.second)
  }

  private func key(_ replica: Replica, _ credential: Int) -> Int { replica.serial * 8 + credential }

  /// A request was served.
  func served(_ replica: Replica, _ request: DataLoop.Request) {
    outcome.served += 1
    if request.isProbe { recovery?.served.insert(key(replica, request.credential)) }
  }

  /// Asks everywhere, and looks whether all is well.
  func probe() {
    guard let recovery else { return }
    if !recovery.isSettled, now - recovery.endedAt > Self.settling { settle() }
    var isWell = true
    for place in places.indices {
      guard let replica = replica(at: place) else {
        isWell = false
        continue
      }
      let status = replica.manager?.status ?? []
      for credential in servers.indices where !isWellNow(replica, credential, status[credential]) {
        isWell = false
        replica.arrive(DataLoop.Request(credential: credential, route: 0, isProbe: true))
        if replica.isAlive { replica.readInbox() }
      }
    }
    if isWell { end() } else { add(.probe, at: now + Span.second) }
  }

  private func settle() {
    recovery?.isSettled = true
    for place in places.indices {
      guard let replica = replica(at: place), let manager = replica.manager else { continue }
      let wall = replica.now.wall
      for (credential, status) in manager.status.enumerated() {
        let wait = status.nextAttempt.map { max(0, ($0 - wall).nanoseconds) } ?? 0
        if !status.isServing, wait > Self.longestBackoff {
          violate(.servesAgain, "\(replica.owner) c\(credential) waits \(wait / Span.second) s for its next attempt")
        }
        // A credential that serves may be in a back-off too, and its access token may be dead.
        let isResting = status.state == .ready || status.state == .refreshing
        recovery?.deadline[key(replica, credential)] = now + (isResting ? 0 : wait) + Self.attempt
      }
    }
  }

  private func isWellNow(_ replica: Replica, _ credential: Int, _ status: CredentialStatus) -> Bool {
    let slot = replica.loop.slots[credential]
    let isQuiet = slot.asked == nil && slot.parked.isEmpty && !status.alarms.contains(.pairNotStored)
    if isQuiet, recovery?.served.contains(key(replica, credential)) == true { return true }
    if isQuiet, status.state == .needsLogin, losses[credential].loss != nil {
      if mustSayLostReply(replica, credential), status.failure?.needsLogin != .lostReply {
        violate(.lossOnlyWhereUnavoidable, "\(replica.owner) does not say lost_reply at the end")
      }
      return true
    }
    let start = max(recovery?.deadline[key(replica, credential)] ?? 0, replica.startedAt + Self.attempt)
    if recovery?.isSettled == true, now > start {
      violate(
        .servesAgain,
        "\(replica.owner) c\(credential) is \(status.state.rawValue), lease \(status.isServing), "
          + "\(replica.loop.asked) asked, \(replica.loop.answered) answered")
    }
    return false
  }
}
