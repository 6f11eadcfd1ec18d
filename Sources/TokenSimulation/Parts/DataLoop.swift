// The requests of one process: they take a lease, wait for one, meet a 401, are replayed once. The rules are those of the
// gateway's exchange and of its loops' lease caches, without connections.

internal import TokenKit
internal import TokenService

/// One process's data loop.
struct DataLoop {
  /// What the control loop tells it; it hears of it after the event in which it was said.
  enum Message {
    case publish(Lease, Int)
    case withdraw(Int)
    case answer(LeaseAnswer, Int)
  }

  /// A request of a caller.
  struct Request {
    var credential: Int
    var route: UInt32
    /// The lease that it was sent with, if it was.
    var used: UInt64?
    var hasReplayed = false
    /// Why it waits; nil: it doesn't.
    var parkedFor: LeaseWant.Cause?
    /// One that looks whether all is well again.
    var isProbe = false
    var access: TokenName?
    var isOver = false
  }

  struct Slot {
    var lease: Lease?
    var asked: LeaseWant.Cause?
    var accepted: UInt64 = 0
    var parked: [Int] = []
  }

  var slots: [Slot]
  var requests: [Request] = []
  var refusing: Set<UInt32> = []
  /// Questions asked, and answers that came.
  var asked = 0
  var answered = 0

  init(credentials: Int) { slots = [Slot](repeating: Slot(), count: credentials) }

  /// The URL that always answers 401.
  static func isBad(_ route: UInt32) -> Bool { route == 9 }
}

extension Replica {
  /// A caller's request.
  func arrive(_ request: DataLoop.Request) {
    loop.requests.append(request)
    let index = loop.requests.count - 1
    if let lease = usableLease(request.credential) {
      depart(index, with: lease)
    } else {
      park(index, .missing)
    }
  }

  private func usableLease(_ credential: Int) -> Lease? {
    guard let lease = loop.slots[credential].lease else { return nil }
    if world.mutation == .leaseOutlives { return lease }
    return lease.usableUntil.nanoseconds > world.now ? lease : nil
  }

  private func depart(_ index: Int, with lease: Lease) {
    let credential = loop.requests[index].credential
    loop.requests[index].parkedFor = nil
    loop.requests[index].used = lease.generation
    let access = TokenName(rendered: lease.rendered)
    loop.requests[index].access = access
    world.requestLeft(self, credential, access)
    world.add(
      .upstream, at: world.now + world.random.below(20 * Span.millisecond), self, UInt64(index))
  }

  /// The upstream has judged the token.
  func upstreamAnswered(_ index: Int) {
    let request = loop.requests[index]
    guard let access = request.access, let used = request.used else { return }
    let isGood = world.servers[request.credential].accepts(access, at: world.now)
    if isGood, !DataLoop.isBad(request.route) {
      loop.requests[index].isOver = true
      if loop.slots[request.credential].accepted != used {
        loop.slots[request.credential].accepted = used
        manager?.accepted(credential: request.credential, generation: used)
      }
      if loop.refusing.remove(request.route) != nil {
        manager?.routeRecovered(credential: request.credential, route: request.route)
      }
      world.served(self, request)
      return
    }
    if !isGood { credentials[request.credential].calls.rejected(generation: used) }
    if request.hasReplayed {
      loop.requests[index].isOver = true
      loop.refusing.insert(request.route)
      if world.mutation != .penaltyForgotten {
        manager?.replayRejected(credential: request.credential, route: request.route)
      }
      return
    }
    if let lease = usableLease(request.credential), lease.generation != used {
      loop.requests[index].hasReplayed = true
      depart(index, with: lease)
    } else {
      park(index, .rejected(route: request.route))
    }
  }

  private func park(_ index: Int, _ cause: LeaseWant.Cause) {
    let credential = loop.requests[index].credential
    loop.requests[index].parkedFor = cause
    loop.slots[credential].parked.append(index)
    ask(
      credential, cause, above: cause == .missing ? loop.slots[credential].lease?.generation : loop.requests[index].used
    )
  }

  private func ask(_ credential: Int, _ cause: LeaseWant.Cause, above: UInt64?) {
    guard isAlive, loop.slots[credential].asked == nil else { return }
    loop.slots[credential].asked = cause
    loop.asked += 1
    world.trace("\(owner) c\(credential) asks above \(above ?? 0): \(cause)")
    if case .rejected = cause { credentials[credential].calls.isRejected = true }
    manager?.want(credential: credential, LeaseWant(above: above, cause: cause)) { [unowned self] answer in
      guard isAlive else { return }
      inbox.append(.answer(answer, credential))
    }
  }

  /// Hears what the control loop has said.
  func readInbox() {
    while !inbox.isEmpty, isAlive {
      let messages = inbox
      inbox = []
      for message in messages where isAlive {
        switch message {
        case .publish(let lease, let credential): take(lease, credential)
        case .withdraw(let credential): loop.slots[credential].lease = nil
        case .answer(let answer, let credential): answered(answer, credential)
        }
      }
    }
  }

  private func take(_ lease: Lease, _ credential: Int) {
    loop.slots[credential].lease = lease
    let waiting = loop.slots[credential].parked
    if waiting.isEmpty { return }
    loop.slots[credential].parked = waiting.filter {
      loop.requests[$0].parkedFor != .missing && loop.requests[$0].used == lease.generation
    }
    for index in waiting
    where loop.requests[index].parkedFor == .missing || loop.requests[index].used != lease.generation {
      if loop.requests[index].parkedFor != .missing { loop.requests[index].hasReplayed = true }
      // What was published may be over by the time it is heard of.
      if let usable = usableLease(credential) { depart(index, with: usable) } else { park(index, .missing) }
    }
  }

  private func answered(_ answer: LeaseAnswer, _ credential: Int) {
    let asked = loop.slots[credential].asked
    loop.slots[credential].asked = nil
    loop.answered += 1
    world.trace("\(owner) c\(credential) is answered: \(answer)")
    switch answer {
    case .success(let lease):
      take(lease, credential)
      if let first = loop.slots[credential].parked.first, let cause = loop.requests[first].parkedFor {
        ask(credential, cause, above: loop.requests[first].used)
      }
    case .failure(let failure):
      let waiting = loop.slots[credential].parked
      loop.slots[credential].parked = []
      for index in waiting {
        let request = loop.requests[index]
        let concerns: Bool =
          switch failure.reason {
          case .routeBackoff: request.parkedFor == asked
          case .refreshFloor: request.parkedFor != .missing
          default: true
          }
        if concerns {
          loop.requests[index].parkedFor = nil
          loop.requests[index].isOver = true
        } else if let cause = request.parkedFor {
          loop.slots[credential].parked.append(index)
          ask(credential, cause, above: request.used ?? loop.slots[credential].lease?.generation)
        }
      }
    }
  }
}
