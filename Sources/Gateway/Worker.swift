// A data loop: everything that one thread of the data plane owns. Other threads reach it by its mailbox only.
internal import EventLoop
internal import HTTPWire
internal import Synchronization
internal import TokenKit

/// What other threads tell a data loop.
enum WorkerMessage: Sendable {
  case lease(Lease, credential: Int)
  case withdraw(credential: Int)
  case answer(LeaseAnswer, credential: Int)
  case hold(credential: Int, ticket: UInt64)
  case release(credential: Int)
  case addresses(Result<[SocketAddress], GatewayError>, upstream: Int)
  case adopt(fd: Int32, peer: SocketAddress, listener: Int)
  /// Take no new connections and finish what is going on.
  case drain
  /// The time for that is over.
  case abort
}

/// What a data loop tells the control loop.
enum ControlMessage: Sendable {
  case lease(LeaseQuestion, credential: Int, worker: Int)
  case holding(ticket: UInt64)
  /// It accepts no connections any more, and has taken what was queued.
  case stoppedListening
  case drained(worker: Int)
  /// Its loop can't go on. The others would hide that a part of the callers is not served.
  case failed(String)
}

/// How many connections a loop has, for those that hand out new ones. Touched when one opens or closes.
final class WorkerLoad: Sendable {
  let connections = Atomic<Int>(0)
}

/// What every data loop needs from outside; immutable.
struct WorkerContext: Sendable {
  let index: Int
  let configuration: GatewayConfiguration
  let forwarding: Forwarding
  let leases: SharedLeaseState
  let connectionLimit: Int
  let replayMemory: ReplayMemory
  let loads: [WorkerLoad]
  let mailboxes: [Mailbox<WorkerMessage>]
  let control: Mailbox<ControlMessage>
}

/// Confined to its thread.
final class Worker {
  /// Per loop; merged by whoever reads them.
  struct Counters {
    var requests: UInt64 = 0
    var errors: UInt64 = 0
    var clientGone: UInt64 = 0
    var accepted: UInt64 = 0
    var shed: UInt64 = 0
  }

  private static let exchangesKept = 256

  let loop: EventLoop
  let context: WorkerContext
  /// This loop's own copy.
  let plan: DataPlanePlan
  let forwarding: Forwarding
  let noRoute = RoutePlan.none()
  let replay: ReplayBudget
  let leases: LeaseCache
  private(set) var pools: [UpstreamPool] = []
  private(set) var isDraining = false
  var counters = Counters()

  // Parsed into by every connection of the loop, one at a time.
  var requestHead = RequestHead()
  var responseHead = ResponseHead()
  var trailers = TrailerSection()

  private var listeners: [Listener] = []
  private var receiver: Mailbox<WorkerMessage>.Receiver?
  private var connections: [ObjectIdentifier: HTTP1Downstream] = [:]
  private var spareExchanges: [Exchange] = []
  private let idPrefix = Array("\(String(UInt64.random(in: .min ... .max), radix: 16))-".utf8)
  private var nextID: UInt64 = 0
  private var drainTimer: DrainSweep?

  var plans: [RoutePlan] { plan.plans }
  var routes: RouteTable { plan.routes }

  init(_ context: WorkerContext) throws {
    self.context = context
    plan = try DataPlanePlan(context.configuration)
    forwarding = Forwarding(copying: context.forwarding)
    loop = try EventLoop()
    replay = ReplayBudget(context.replayMemory)
    let control = context.control
    let index = context.index
    leases = LeaseCache(loop, credentials: context.configuration.credentials.count, context.leases) {
      control.send(.lease($1, credential: $0, worker: index))
    }
    pools = zip(plan.targets, plan.upstreamConnections).map { UpstreamPool(self, $0, limit: $1) }
    receiver = try context.mailboxes[index].attach(to: loop) { [unowned self] in receive($0) }
  }

  /// Turns until the drain is over.
  func run(listening: [Int32]) throws(SystemError) {
    for (plan, fd) in zip(plan.listeners, listening) {
      listeners.append(
        try Listener(loop, fd: fd) { [unowned self] connection, peer in accept(connection, peer, plan.index) })
    }
    try loop.run()
  }

  private func receive(_ message: WorkerMessage) {
    switch message {
    case .lease(let lease, let credential): leases.publish(lease, credential)
    case .withdraw(let credential): leases.withdraw(credential)
    case .answer(let answer, let credential): leases.answer(answer, credential)
    case .hold(let credential, let ticket):
      leases.hold(credential)
      context.control.send(.holding(ticket: ticket))
    case .release(let credential): leases.release(credential)
    case .addresses(let result, let upstream): pools[upstream].update(result)
    case .adopt(let fd, let peer, let listener): adopt(fd, peer, listener)
    case .drain: drain()
    case .abort: abort()
    }
  }

  // MARK: Connections

  /// A connection goes to the loop that has clearly fewer.
  private func accept(_ fd: Int32, _ peer: SocketAddress, _ listener: Int) {
    counters.accepted += 1
    var total = 0
    var least = context.index
    var leastCount = context.loads[least].connections.load(ordering: .relaxed)
    let own = leastCount
    for (index, load) in context.loads.enumerated() {
      let count = load.connections.load(ordering: .relaxed)
      total += count
      if count < leastCount {
        least = index
        leastCount = count
      }
    }
    if total >= context.connectionLimit, !closeOneIdle() { return shed(fd) }
    // Who is drained already would not take it.
    if own - leastCount > 8, least != context.index, !isDraining {
      context.loads[least].connections.add(1, ordering: .relaxed)
      return context.mailboxes[least].send(.adopt(fd: fd, peer: peer, listener: listener))
    }
    context.loads[context.index].connections.add(1, ordering: .relaxed)
    adopt(fd, peer, listener)
  }

  private func adopt(_ fd: Int32, _ peer: SocketAddress, _ listener: Int) {
    Socket.disableNagle(fd)
    do throws(SystemError) {
      let stream = try Stream(loop, connected: fd)
      let connection = HTTP1Downstream(self, stream, plan.listeners[listener], peer: peer)
      connections[ObjectIdentifier(connection)] = connection
    } catch {
      // Out of memory for the registration: this caller sees its connection closed.
      Socket.close(fd)
      context.loads[context.index].connections.subtract(1, ordering: .relaxed)
      counters.shed += 1
    }
  }

  /// Closes a caller's connection on which nothing has gone on since that time. False when there is none.
  func closeOneIdle(since time: Int64 = .max) -> Bool {
    guard let idle = connections.values.first(where: { $0.isIdle && $0.idleSince <= time }) else { return false }
    idle.closeIfIdle()
    return true
  }

  /// Says why before it closes; a caller that does not read at once loses the answer, which is all that it loses.
  private func shed(_ fd: Int32) {
    counters.shed += 1
    let answer = ProblemResponse.render(
      GatewayError(.connectionLimit), proxyName: forwarding.proxyName, closing: true, withBody: true)
    Socket.writeOnce(fd, answer.span)
    Socket.close(fd)
  }

  func closed(_ connection: HTTP1Downstream) {
    connections[ObjectIdentifier(connection)] = nil
    context.loads[context.index].connections.subtract(1, ordering: .relaxed)
    if isDraining { finishIfDrained() }
  }

  // MARK: Exchanges

  func takeExchange() -> Exchange {
    counters.requests += 1
    return spareExchanges.popLast() ?? Exchange(self)
  }

  func giveBack(_ exchange: Exchange) {
    if spareExchanges.count < Self.exchangesKept { spareExchanges.append(exchange) } else { exchange.discard() }
  }

  /// An error of our own was answered.
  func note(_ error: GatewayError) { counters.errors += 1 }

  func isTrustedProxy(_ peer: SocketAddress) -> Bool {
    !forwarding.trustedProxies.isEmpty && forwarding.trustedProxies.contains { $0.contains(peer) }
  }

  /// A new X-Request-ID: unique in the process by its counter, and among processes by its random part.
  func writeRequestID(into out: inout OutputSpan<UInt8>) {
    nextID += 1
    let prefix = idPrefix
    out.append(copying: prefix.span)
    out.appendHex(nextID)
  }

  // MARK: The end

  private func drain() {
    if isDraining { return }
    isDraining = true
    for listener in listeners { listener.drain() }
    context.control.send(.stoppedListening)
    // Callers with a request on its way get it answered with `Connection: close`; who sends nothing for a moment has
    // none on its way.
    drainTimer = DrainSweep(loop) { [unowned self] in
      for connection in Array(connections.values) { connection.closeIfIdle() }
      finishIfDrained()
      return !connections.isEmpty
    }
    finishIfDrained()
  }

  private func abort() {
    for connection in Array(connections.values) { connection.abort() }
    finishIfDrained()
  }

  private func finishIfDrained() {
    guard connections.isEmpty, let receiver else { return }
    receiver.detach()
    self.receiver = nil
    drainTimer?.cancel()
    for pool in pools { pool.close() }
    // Both refer back to this object, which must not outlive its loop.
    pools.removeAll()
    spareExchanges.removeAll()
    context.control.send(.drained(worker: context.index))
    loop.stop()
  }
}

/// Repeats a sweep over idle connections while a loop drains.
private final class DrainSweep: TimerHandler {
  private static let pause: Int64 = 500_000_000

  private let loop: EventLoop
  private let sweep: () -> Bool
  private var timer: TimerWheel.Timer?

  init(_ loop: EventLoop, _ sweep: @escaping () -> Bool) {
    self.loop = loop
    self.sweep = sweep
    let timer = loop.timers.make(self)
    self.timer = timer
    loop.timers.schedule(timer, at: loop.now + Self.pause)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    if sweep() { loop.timers.schedule(timer, at: loop.now + Self.pause) }
  }

  func cancel() {
    if let timer { loop.timers.release(timer) }
    timer = nil
  }
}
