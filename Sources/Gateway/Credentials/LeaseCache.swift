// One loop's copies of the leases, and the requests that wait for one. Asks the control loop at most once at a time for
// each credential; every question gets exactly one answer.
internal import EventLoop
internal import TokenKit

/// What a data loop tells the control loop about credentials.
enum LeaseQuestion: Sendable {
  /// Answered by `LeaseCache.answer`.
  case want(LeaseWant)
  /// An upstream took a lease of this generation.
  case accepted(generation: UInt64)
  /// A route answered a replay with a fresh lease by another rejection.
  case replayRejected(route: UInt32)
  /// A route that had refused fresh leases has taken one.
  case routeRecovered(route: UInt32)
}

/// Confined to its loop.
final class LeaseCache: Runnable {
  /// 10 to 30 µs each, for going on as for an error, beside the events of the turn.
  private static let resumedPerTurn = 8

  /// What one that waited goes on with.
  private enum Outcome {
    case lease(LoopLease)
    case failure(GatewayError)
  }

  private struct Slot {
    var lease: LoopLease?
    /// The question that has no answer yet.
    var asked: LeaseWant.Cause?
    var isHolding = false
    /// The generation that an upstream is known to have accepted.
    var accepted: UInt64 = 0
    var parked: [Exchange] = []
    /// The configuration has it no more.
    var isRemoved = false
  }

  private let loop: EventLoop
  private let ask: (Int, LeaseQuestion) -> Void
  private var slots: [Slot]
  private var refusingRoutes: Set<UInt32> = []
  private var shared: SharedLeaseState
  /// Requests that go on in the coming turns, a few at a time, so that no turn is long. The ticket tells whether the
  /// exchange still is the request that waited.
  private var resuming: [(exchange: Exchange, ticket: UInt64, outcome: Outcome)] = []
  /// How many of them have gone on already.
  private var resumed = 0
  private var lastTicket: UInt64 = 0
  private var isQueued = false

  /// - Parameters:
  ///   - ask: tells the control loop; must not call back at once.
  init(_ loop: EventLoop, credentials: Int, _ shared: SharedLeaseState, ask: @escaping (Int, LeaseQuestion) -> Void) {
    self.loop = loop
    self.ask = ask
    self.shared = shared
    slots = [Slot](repeating: Slot(), count: credentials)
  }

  /// The configuration has changed.
  /// - Parameters:
  ///   - routed: the credentials that routes use; places are never taken away.
  ///   - isThere: by place, whether the configuration has the credential.
  ///   - anew: places that belong to other credentials now. No request goes by the old ones any more.
  func follow(_ routed: Set<Int>, _ isThere: [Bool], _ shared: SharedLeaseState, anew: [Int]) {
    self.shared = shared
    for place in anew where place < slots.count { slots[place] = Slot() }
    while slots.count <= routed.max() ?? -1 { slots.append(Slot()) }
    for index in slots.indices { slots[index].isRemoved = index >= isThere.count || !isThere[index] }
  }

  // MARK: For exchanges

  func usable(_ credential: Int) -> LoopLease? {
    guard let lease = slots[credential].lease, lease.usableUntil > loop.now else { return nil }
    return lease
  }

  func mayPark(_ credential: Int) -> Bool { shared.mayPark(credential) }

  func isHolding(_ credential: Int) -> Bool { slots[credential].isHolding }

  /// An upstream has refused this lease a moment ago, on whichever loop.
  func isRefused(_ generation: UInt64, _ credential: Int) -> Bool { shared.isRefused(generation, credential) }

  /// The exchange is told `leaseArrived` or `leaseFailed` later, unless it is removed before.
  /// - Returns: false when another loop has just taken the last place.
  func park(_ exchange: Exchange, _ credential: Int, _ cause: LeaseWant.Cause) -> Bool {
    guard shared.park(credential) else { return false }
    exchange.parkedFor = cause
    lastTicket += 1
    exchange.parkTicket = lastTicket
    slots[credential].parked.append(exchange)
    if cause != .missing || !slots[credential].isHolding || usable(credential) == nil {
      askOnce(
        credential, cause, above: cause == .missing ? slots[credential].lease?.generation : exchange.lease?.generation)
    }
    return true
  }

  func remove(_ exchange: Exchange) {
    guard exchange.parkedFor != nil, let credential = exchange.plan.credential else { return }
    exchange.parkedFor = nil
    if let index = slots[credential].parked.firstIndex(where: { $0 === exchange }) {
      slots[credential].parked.remove(at: index)
      shared.unpark(1, credential)
    }
  }

  /// A rejected lease should be replaced although nobody waits for it.
  func refresh(_ plan: RoutePlan, _ lease: LoopLease?) {
    guard let credential = plan.credential, let lease else { return }
    askOnce(credential, .rejected(route: plan.index), above: lease.generation)
  }

  private func askOnce(_ credential: Int, _ cause: LeaseWant.Cause, above generation: UInt64?) {
    if case .rejected = cause, let generation { shared.refused(generation, credential) }
    if slots[credential].asked != nil { return }
    slots[credential].asked = cause
    ask(credential, .want(LeaseWant(above: generation, cause: cause)))
  }

  /// Called for every response, so it is cheap when there is nothing new to tell.
  func accepted(_ credential: Int, _ generation: UInt64, route: UInt32) {
    if slots[credential].accepted != generation {
      slots[credential].accepted = generation
      ask(credential, .accepted(generation: generation))
    }
    // Another route takes the lease that one has refused: it is not dead.
    if slots[credential].asked != nil, shared.isRefused(generation, credential) { shared.keeps(credential) }
    if !refusingRoutes.isEmpty, refusingRoutes.remove(route) != nil {
      ask(credential, .routeRecovered(route: route))
    }
  }

  func replayRejected(_ credential: Int, route: UInt32) {
    refusingRoutes.insert(route)
    ask(credential, .replayRejected(route: route))
  }

  // MARK: From the control loop

  func publish(_ lease: Lease, _ credential: Int) { take(lease, credential) }

  private func take(_ lease: Lease, _ credential: Int) {
    // An answer to a question follows the publication of the same lease.
    // The rotation that was announced is over: its release follows.
    if let old = slots[credential].lease, old.generation != lease.generation { slots[credential].isHolding = false }
    let copy: LoopLease
    if let known = slots[credential].lease, known.isCopy(of: lease) { copy = known } else { copy = LoopLease(lease) }
    slots[credential].lease = copy
    resume(credential, with: copy)
  }

  func withdraw(_ credential: Int) { slots[credential].lease = nil }

  func answer(_ answer: LeaseAnswer, _ credential: Int) {
    let asked = slots[credential].asked
    slots[credential].asked = nil
    switch answer {
    case .success(let lease):
      take(lease, credential)
      // Who met its 401 with this very lease, while the question was on its way, needs a question of its own.
      if let first = slots[credential].parked.first, let cause = first.parkedFor {
        askOnce(credential, cause, above: first.lease?.generation)
      }
    case .failure(let failure): fail(credential, failure, asked)
    }
  }

  func hold(_ credential: Int) { slots[credential].isHolding = true }

  func release(_ credential: Int) {
    slots[credential].isHolding = false
    if let lease = usable(credential) {
      resume(credential, with: lease)
    } else if !slots[credential].parked.isEmpty {
      askOnce(credential, .missing, above: slots[credential].lease?.generation)
    }
  }

  /// Everybody who waited for another lease than the one that was refused goes on with this one.
  private func resume(_ credential: Int, with lease: LoopLease) {
    let waiting = slots[credential].parked
    if waiting.isEmpty { return }
    slots[credential].parked.removeAll()
    for exchange in waiting {
      if exchange.parkedFor != .missing, exchange.lease?.generation == lease.generation {
        slots[credential].parked.append(exchange)
      } else {
        resuming.append((exchange, exchange.parkTicket, .lease(lease)))
      }
    }
    shared.unpark(waiting.count - slots[credential].parked.count, credential)
    runAgain()
  }

  func runAgain() {
    isQueued = false
    var left = Self.resumedPerTurn
    while left > 0, resumed < resuming.count {
      let (exchange, ticket, outcome) = resuming[resumed]
      resumed += 1
      guard exchange.parkedFor != nil, exchange.parkTicket == ticket else { continue }
      left -= 1
      switch outcome {
      case .lease(let lease): exchange.leaseArrived(lease)
      case .failure(let error): exchange.leaseFailed(error)
      }
    }
    if resumed == resuming.count {
      resuming.removeAll(keepingCapacity: true)
      resumed = 0
    } else if !isQueued {
      isQueued = true
      loop.runLater(self)
    }
  }

  private func fail(_ credential: Int, _ failure: LeaseFailure, _ asked: LeaseWant.Cause?) {
    let waiting = slots[credential].parked
    slots[credential].parked.removeAll()
    shared.keeps(credential)
    let isRemoved = slots[credential].isRemoved
    let error = GatewayError(
      failure.reason == .shuttingDown && !isRemoved ? .draining : .tokenUnavailable,
      reason: isRemoved ? "credential_removed" : failure.text,
      retryAfter: failure.retryAfter(at: BootInstant(nanoseconds: loop.now)))
    for exchange in waiting where exchange.parkedFor != nil {
      // A refusal that concerns one route, or 401s only, is no answer for the others.
      let concerns: Bool =
        switch failure.reason {
        case .routeBackoff: exchange.parkedFor == asked
        case .refreshFloor: exchange.parkedFor != .missing
        default: true
        }
      if concerns {
        resuming.append((exchange, exchange.parkTicket, .failure(error)))
      } else if let cause = exchange.parkedFor {
        slots[credential].parked.append(exchange)
        askOnce(credential, cause, above: exchange.lease?.generation ?? slots[credential].lease?.generation)
      }
    }
    shared.unpark(waiting.count - slots[credential].parked.count, credential)
    runAgain()
  }
}
