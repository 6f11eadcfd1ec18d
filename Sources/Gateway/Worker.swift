// A data loop: everything that one thread of the data plane owns. Other threads reach it by its mailbox only.
internal import EventLoop
internal import HTTPWire
internal import Synchronization
internal import TokenKit

/// How many connections a loop has, for those that hand out new ones. Touched when one opens or closes.
final class WorkerLoad: Sendable {
  let connections = Atomic<Int>(0)
}

/// What every data loop needs from outside; immutable.
struct WorkerContext: Sendable {
  let index: Int
  let settings: FirstSettings
  /// Downstream connections.
  let connections: ProcessLimit
  let replayMemory: ReplayMemory
  let loads: [WorkerLoad]
  let mailboxes: [Mailbox<WorkerMessage>]
  let control: Mailbox<ControlMessage>
}

/// Confined to its thread.
final class Worker {
  private static let exchangesKept = 256

  let loop: EventLoop
  let context: WorkerContext
  /// This loop's own copy.
  var plan: DataPlanePlan
  var forwarding: Forwarding
  let noRoute = RoutePlan.none()
  let replay: ReplayBudget
  let leases: LeaseCache
  /// nil when there is none.
  var accessLog: AccessLog?
  /// nil when requests are not traced.
  var tracer: SpanRecorder?
  /// By place; those to which no route leads any more are retired.
  var pools: [UpstreamPool] = []
  private(set) var isDraining = false
  private var isAborted = false
  private var isAdmitting = false
  /// Connections may come, be it from a socket or from the loop that closes it.
  private var mayArrive = true
  /// Merged with the other loops' by who asks for them.
  var counters: LoopCounters

  // Parsed into by every connection of the loop, one at a time.
  var requestHead = RequestHead()
  var responseHead = ResponseHead()
  var trailers = TrailerSection()

  /// By place, those that were taken away included.
  var listenerPlans: [ListenerPlan] = []
  /// By the socket's number.
  var listeners: [Int: Listener] = [:]
  var socketPlaces: [Int: Int] = [:]
  private var firstSockets: [ListeningSocket]
  /// Pools in whose place there is another one, until their last request is over.
  var replacedPools: [UpstreamPool] = []
  // What was counted by those that are gone.
  var shedBefore: [Int: UInt64] = [:]
  var droppedBefore: UInt64 = 0
  var spansDroppedBefore: UInt64 = 0
  private var receiver: Mailbox<WorkerMessage>.Receiver?
  var connections = ConnectionTable<HTTP1Downstream>()
  var spareExchanges: [Exchange] = []
  let idPrefix: [UInt8]
  private var nextID: UInt64 = 0
  private var drainTimer: DrainSweep?
  var report: CounterReport?

  var plans: [RoutePlan] { plan.plans }
  var routes: RouteTable { plan.routes }

  init(_ context: WorkerContext) throws {
    self.context = context
    guard let settings = context.settings.take() else { throw StartFailure("a data loop was started twice") }
    plan = settings.plan
    firstSockets = settings.listening
    counters = LoopCounters(CounterLayout(settings.plan.places))
    forwarding = settings.forwarding
    let loop = try EventLoop()
    loop.relays.limit = settings.relays
    self.loop = loop
    replay = ReplayBudget(context.replayMemory)
    let control = context.control
    let index = context.index
    leases = LeaseCache(loop, credentials: (plan.credentials.max() ?? -1) + 1, settings.leases) {
      control.send(.lease($1, credential: $0, worker: index))
    }
    idPrefix = Array("\(String(UInt64.random(in: .min ... .max), radix: 16))-".utf8)
    accessLog = makeAccessLog(
      settings.accessLog, AccessLogLine(settings.log, settings.plan.logNames, idPrefix: idPrefix))
    takeTracing(settings)
    takeUpstreams()
    report = CounterReport(self)
    receiver = try context.mailboxes[index].attach(to: loop) { [unowned self] in receive($0) }
  }

  /// This loop's part of a limit of the process, and at least 1: a loop without a connection could serve nobody.
  func share(of limit: Int) -> Int {
    let (each, rest) = limit.quotientAndRemainder(dividingBy: context.mailboxes.count)
    return max(1, each + (context.index < rest ? 1 : 0))
  }

  func makeAccessLog(_ file: AccessLogFile?, _ line: AccessLogLine) -> AccessLog? {
    let control = context.control
    return file.map { AccessLog(loop, $0, line) { control.send(.accessLogDropped(lines: $0, reason: $1)) } }
  }

  /// Turns until the drain is over.
  func run() throws(SystemError) {
    takeListeners(firstSockets)
    firstSockets = []
    try loop.run()
  }

  func listen(_ socket: ListeningSocket) throws(SystemError) -> Listener {
    let id = socket.id
    return try Listener(loop, fd: socket.fd) { [unowned self] connection, peer in
      welcome(Arrival(fd: connection, peer: peer, listener: socketPlaces[id] ?? socket.place))
    }
  }

  private func welcome(_ arrival: Arrival) {
    counters.add(.accepted, listener: arrival.listener)
    admit(arrival, asked: 0)
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
    case .arrived(let arrival): welcome(arrival)
    case .listenersClosed: mayArrive = false
    case .adopt(let arrival): adopt(arrival)
    case .makeRoom(let arrival, let asked): admit(arrival, asked: asked)
    case .drain: drain()
    case .abort: abort()
    case .reload(let settings): reload(settings)
    case .count(let ticket, let asked): report?.start(ticket, asked: asked)
    case .turn(let ticket): context.control.send(.turned(ticket: ticket))
    case .spansRead(let buffer): tracer?.takeBack(buffer)
    }
    // It may have been the message that the end was waiting for.
    if isDraining { finishIfDrained() }
  }

  // MARK: Connections

  /// A connection goes to the loop that has clearly fewer. At the limit an idle one of any loop makes room for it.
  /// - Parameter asked: how many loops had none before this one.
  private func admit(_ arrival: Arrival, asked: Int) {
    // An idle connection that is closed for it may be the last one that the end of the drain waits for.
    isAdmitting = true
    defer { isAdmitting = false }
    while !context.connections.take() {
      if !closeOneIdle() { return passOn(arrival, asked: asked + 1) }
    }
    var least = context.index
    var leastCount = context.loads[least].connections.load(ordering: .relaxed)
    let own = leastCount
    for (index, load) in context.loads.enumerated() {
      let count = load.connections.load(ordering: .relaxed)
      if count < leastCount {
        least = index
        leastCount = count
      }
    }
    if asked == 0, own - leastCount > 8 {
      context.loads[least].connections.add(1, ordering: .relaxed)
      if context.mailboxes[least].send(.adopt(arrival)) { return }
      // It has drained already.
      context.loads[least].connections.subtract(1, ordering: .relaxed)
    }
    context.loads[context.index].connections.add(1, ordering: .relaxed)
    adopt(arrival)
  }

  private func passOn(_ arrival: Arrival, asked: Int) {
    for step in asked..<max(asked, context.mailboxes.count) {
      let next = (context.index + 1 + step - asked) % context.mailboxes.count
      if context.mailboxes[next].send(.makeRoom(arrival, asked: step)) { return }
    }
    shed(arrival)
  }

  private func adopt(_ arrival: Arrival) {
    if isAborted { return refuse(arrival) }
    do throws(SystemError) {
      let stream = try Stream(loop, connected: arrival.fd)
      mayBeIdle(
        connections.insert {
          HTTP1Downstream(self, stream, listenerPlans[arrival.listener], peer: arrival.peer, place: $0)
        })
      counters.add(.open, listener: arrival.listener)
    } catch {
      // Out of memory for the registration.
      refuse(arrival)
    }
  }

  /// Closes a caller's connection on which nothing has gone on since that time. False when there is none.
  func closeOneIdle(since time: Int64 = .max) -> Bool {
    for _ in 0..<connections.count {
      guard let idle = connections.popIdle(where: { $0.isSurelyIdle }) else { return false }
      if idle.idleSince <= time {
        idle.close()
        return true
      }
      mayBeIdle(idle)
    }
    return false
  }

  /// This caller sees its connection closed.
  private func refuse(_ arrival: Arrival) {
    counters.add(.shed, listener: arrival.listener)
    Socket.close(arrival.fd)
    leave()
  }

  /// The connection is asked first when one has to make room.
  func mayBeIdle(_ connection: HTTP1Downstream) { connections.list(connection.place) }

  /// Says why before it closes; a caller that does not read at once loses the answer, which is all that it loses.
  private func shed(_ arrival: Arrival) {
    counters.add(.shed, listener: arrival.listener)
    let answer = ProblemResponse.render(
      GatewayError(.connectionLimit), proxyName: forwarding.proxyName, closing: true, withBody: true)
    Socket.writeOnce(arrival.fd, answer.span)
    Socket.close(arrival.fd)
  }

  func closed(_ connection: HTTP1Downstream) {
    connections.remove(connection.place)
    counters.connectionClosed(listener: connection.listener.index)
    leave()
    if isDraining { finishIfDrained() }
  }

  private func leave() {
    context.loads[context.index].connections.subtract(1, ordering: .relaxed)
    context.connections.giveBack()
  }

  // MARK: Exchanges

  func takeExchange() -> Exchange {
    counters.began()
    return spareExchanges.popLast() ?? Exchange(self)
  }

  /// It is over, one way or another.
  func giveBack(_ exchange: Exchange) {
    counters.ended(exchange, now: loop.now)
    if exchange.span.isRecorded, let tracer { exchange.writeSpan(tracer) }
    if let accessLog { accessLog.write(exchange) }
    if spareExchanges.count < Self.exchangesKept { spareExchanges.append(exchange) } else { exchange.discard() }
  }

  /// A request got an answer of ours before it became an exchange.
  func refused(
    _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ error: GatewayError, on connection: HTTP1Downstream
  ) {
    counters.refused(error)
    let span = tracer?.refuse(head, bytes, error, on: connection) ?? ExchangeSpan()
    accessLog?.write(refused: head, bytes, error, on: connection, span)
  }

  /// What came got an answer of ours, and is no request.
  func refused(_ error: GatewayError, on connection: HTTP1Downstream) {
    counters.refused(error)
    accessLog?.write(refused: error, on: connection)
  }

  func isTrustedProxy(_ peer: SocketAddress) -> Bool {
    !forwarding.trustedProxies.isEmpty && forwarding.trustedProxies.contains { $0.contains(peer) }
  }

  /// The exchange's X-Request-ID, the same for every attempt.
  func writeRequestID(of exchange: Exchange, into out: inout OutputSpan<UInt8>) {
    if exchange.trace.requestID == 0 { exchange.trace.requestID = takeRequestID() }
    let prefix = idPrefix
    out.append(copying: prefix.span)
    out.appendHex(exchange.trace.requestID)
  }

  /// Unique in the process by this counter, and among processes by the random part before it.
  func takeRequestID() -> UInt64 {
    nextID += 1
    return nextID
  }

  // MARK: The end

  private func drain() {
    if isDraining { return }
    isDraining = true
    for listener in listeners.values { listener.drain() }
    context.control.send(.stoppedListening)
    // Callers with a request on its way get it answered with `Connection: close`; who sends nothing for a moment has
    // none on its way.
    drainTimer = DrainSweep(loop) { [unowned self] in
      for connection in connections.all { connection.closeIfIdle() }
      finishIfDrained()
      return !connections.isEmpty
    }
    finishIfDrained()
  }

  private func abort() {
    isAborted = true
    for connection in connections.all { connection.abort() }
    finishIfDrained()
  }

  private func finishIfDrained() {
    // A connection may be among the messages.
    guard !mayArrive, connections.isEmpty, !isAdmitting, let receiver, receiver.detachIfEmpty() else { return }
    self.receiver = nil
    drainTimer?.cancel()
    for pool in pools + replacedPools { pool.close() }
    report = nil
    accessLog?.close()
    tracer?.close()
    // Both refer back to this object, which must not outlive its loop.
    pools.removeAll()
    replacedPools.removeAll()
    spareExchanges.removeAll()
    context.control.send(.drained(worker: context.index))
    loop.stop()
  }
}
