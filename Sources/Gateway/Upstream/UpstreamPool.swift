// One loop's connections to one upstream: idle ones to take, a limit on how many there are, a queue in front of it.
internal import EventLoop

/// Confined to its loop.
final class UpstreamPool: Runnable {
  /// Nanoseconds without a request after which a caller's connection may be closed for the sake of another's request.
  private static let idleBeforeClosing: Int64 = 1_000_000_000

  /// Nanoseconds of rest after which a connection may have gone stale.
  private static let recent: Int64 = 1_000_000_000

  let worker: Worker
  let target: UpstreamTarget
  private let limit: Int
  private var idle: [HTTP1Upstream] = []
  /// Connections that exist or are being made.
  private(set) var open = 0
  private var waiters = ConnectQueue<Exchange>()
  /// For whom a connection was tried last.
  private var lastTried: ConnectTicket?
  private(set) var addresses: [SocketAddress]
  private var nameError: GatewayError?
  /// Connections that are being made, by the attempt's number.
  private var connectors: [UInt64: Connector] = [:]
  private var lastAttempt: UInt64 = 0
  private var isStarting = false
  /// Attempts begun in the turn of that time.
  private var begun = (turn: Int64.min, count: 0)
  private var isQueued = false
  /// The last attempt found no descriptor.
  private var isShort = false
  private var isClosing = false
  /// No route leads here any more: what is free is closed, and requests that were on their way before are served.
  private var isRetired = false
  private var failuresInARow = 0
  private var ejectionsInARow = 0
  /// Until when other servers of the same upstream are preferred.
  private(set) var ejectedUntil: Int64 = 0
  /// So many answers of 500 and more, or none, make a server that takes connections a failing one.
  private static let failuresTaken = 5
  /// Attempts that begin in one turn. Each takes up to 30 µs, and hundreds of callers may have waited for one lease.
  private static let attemptsPerTurn = 8
  /// Attempts that brought no connection.
  private var failures: UInt64 = 0

  /// What its server does when asked before a body.
  var continues = ContinueExperience()

  /// Requests that have, or wait for, a connection of this pool.
  var outstanding: Int { open - idle.count + max(0, waiters.count - connectors.count) }

  /// Who waits now waits for a connection that others are using.
  var isAtLimit: Bool { (open >= limit || isShort) && connectors.isEmpty }

  init(_ worker: Worker, _ target: UpstreamTarget, limit: Int) {
    self.worker = worker
    self.target = target
    self.limit = limit
    addresses = target.literalAddresses
  }

  /// A pool in the place of another one, which counts on from it.
  init(_ worker: Worker, _ target: UpstreamTarget, limit: Int, after other: UpstreamPool) {
    self.worker = worker
    self.target = target
    self.limit = limit
    addresses = other.addresses
    nameError = other.nameError
    lastAttempt = other.lastAttempt
    failures = other.failures
  }

  /// Nothing is left of it: no connection, and nobody who waits for one.
  var isSpent: Bool { open == 0 && waiters.count == 0 }

  /// The access log or tracing was turned on.
  func makeLabels() { for connection in idle { connection.makeLabel() } }

  func retire() {
    isRetired = true
    let closing = idle
    idle.removeAll()
    for connection in closing { connection.closeIdle() }
  }

  /// A route leads here again. A name's addresses come anew.
  func revive() {
    if !isRetired { return }
    isRetired = false
    addresses = target.literalAddresses
    nameError = nil
  }

  /// What there is of it, and was, for metrics.
  func count(as upstream: Int, in counters: inout LoopCounters) {
    counters.set(.active, to: UInt64(open - idle.count - connectors.count), upstream: upstream)
    counters.set(.idle, to: UInt64(idle.count), upstream: upstream)
    counters.set(.connecting, to: UInt64(connectors.count), upstream: upstream)
    counters.set(.waiting, to: UInt64(waiters.count), upstream: upstream)
    counters.set(.ejected, to: ejectedUntil > worker.loop.now ? 1 : 0, upstream: upstream)
    counters.set(.attempts, to: lastAttempt, upstream: upstream)
    counters.set(.failures, to: failures, upstream: upstream)
  }

  /// Hands the exchange a connection: at once if one is idle, else by `connected` or `connectFailed` later.
  /// - Parameters:
  ///   - fresh: only a new connection will do: a pooled one has just died.
  ///   - onlyRecent: the request can't be sent twice, so a connection that may have gone stale won't do.
  func acquire(for exchange: Exchange, fresh: Bool, onlyRecent: Bool) {
    // Nearly always the connection that was used last is as good as any.
    if !fresh, let last = idle.popLast() {
      if last.isQuiet, !onlyRecent || worker.loop.now - last.idleSince <= Self.recent {
        if last.take(for: exchange) { return exchange.connected(last) }
      } else {
        idle.append(last)
      }
    }
    var index = fresh ? 0 : idle.count
    while index > 0 {
      index -= 1
      let connection = idle[index]
      if onlyRecent, worker.loop.now - connection.idleSince > Self.recent { break }
      // What came for it is handled later in this turn, and ends it if it is an end or an answer to nothing.
      if !connection.isQuiet { continue }
      idle.remove(at: index)
      if connection.take(for: exchange) { return exchange.connected(connection) }
      index = min(index, idle.count)
    }
    exchange.needsFreshConnection = fresh
    exchange.connectTicket = waiters.append(exchange)
    startConnecting()
  }

  /// The exchange does not want a connection any more. One that is being made becomes idle.
  func cancel(_ ticket: ConnectTicket) { waiters.remove(ticket) }

  /// New addresses of the upstream's name, or why there are none.
  func update(_ result: Result<[SocketAddress], GatewayError>) {
    switch result {
    case .success(let found):
      addresses = found
      nameError = nil
      startConnecting()
    case .failure(let error):
      // The last good addresses go on serving.
      if !addresses.isEmpty { return }
      nameError = error
      failWaiters(error)
    }
  }

  private func failWaiters(_ error: GatewayError) {
    // Not those that come meanwhile.
    for _ in 0..<waiters.count { waiters.popFirst()?.connectFailed(error) }
  }

  private func startConnecting() {
    if let nameError, addresses.isEmpty { return failWaiters(nameError) }
    // Closing an idle connection leads back here.
    if addresses.isEmpty || isStarting { return }
    isStarting = true
    while connectors.count < waiters.count, open < limit || closeOneIdle() {
      guard mayBegin() else { break }
      guard let ticket = waiters.first(after: lastTried) ?? waiters.first() else { break }
      lastTried = ticket
      connect(ticket)
    }
    isStarting = false
  }

  /// False when this turn has begun enough attempts; the next one goes on.
  private func mayBegin() -> Bool {
    if begun.turn != worker.loop.now { begun = (worker.loop.now, 0) }
    begun.count += 1
    if begun.count <= Self.attemptsPerTurn { return true }
    if !isQueued {
      isQueued = true
      worker.loop.runLater(self)
    }
    return false
  }

  func runAgain() {
    isQueued = false
    // The turn that has just begun may have the clock of the one before.
    begun.turn = .min
    if !isClosing { startConnecting() }
  }

  /// An idle connection that was too old for the request at hand makes room for a new one.
  private func closeOneIdle() -> Bool {
    guard !idle.isEmpty else { return false }
    idle.removeFirst().closeIdle()
    return true
  }

  private func connect(_ ticket: ConnectTicket) {
    open += 1
    lastAttempt += 1
    let attempt = lastAttempt
    connectors[attempt] = Connector.connect(
      worker.loop, to: addresses, tls: target.tls, timeout: waiters[ticket]?.plan.connectTimeout ?? 0
    ) { [unowned self] result in
      connectors[attempt] = nil
      switch result {
      case .success(let stream):
        isShort = false
        hand(HTTP1Upstream(self, stream), to: waiters.first())
      case .failure(let failure):
        open -= 1
        failures += 1
        if failure.isOwnShortage { return makeDo(GatewayError(failure)) }
        failuresInARow = Self.failuresTaken
        eject()
        // Who has been served by another connection since does not mind; those that still wait get a new attempt.
        waiters.remove(ticket)?.connectFailed(GatewayError(failure))
        startConnecting()
      }
    }
  }

  /// There is no descriptor for a further connection. Callers that ask for nothing make room; else those who wait get
  /// the connections that others give back.
  private func makeDo(_ error: GatewayError) {
    if waiters.count == 0 { return }
    if worker.closeOneIdle(since: worker.loop.now - Self.idleBeforeClosing) { return startConnecting() }
    isShort = true
    if open == 0 { failWaiters(error) }
  }

  /// 1 s at first, doubling to 30 s. A server that comes back and fails at once is left alone again.
  private func eject() {
    // What was under way when it began says nothing new.
    if ejectedUntil > worker.loop.now { return }
    ejectionsInARow += 1
    ejectedUntil = worker.loop.now + min(30, 1 << Int64(min(5, ejectionsInARow - 1))) * 1_000_000_000
  }

  /// A request got no answer over a new connection, or none in time.
  func noteFailure() {
    failuresInARow += 1
    if failuresInARow >= Self.failuresTaken { eject() }
  }

  /// The head of an answer came.
  func noteAnswer(_ status: UInt16) {
    // 501 is about the request's method.
    if status >= 500, status != 501 { return noteFailure() }
    if failuresInARow == 0 { return }
    failuresInARow = 0
    ejectionsInARow = 0
    ejectedUntil = 0
  }

  /// A connection is free: for who waits, else to be idle.
  private func hand(_ connection: HTTP1Upstream, to ticket: ConnectTicket?) {
    if let ticket, let exchange = waiters.remove(ticket) {
      if !connection.take(for: exchange) { return acquire(for: exchange, fresh: true, onlyRecent: true) }
      return exchange.connected(connection)
    }
    if isClosing || isRetired { return connection.closeIdle() }
    connection.becomeIdle()
    idle.append(connection)
    // The one that has rested longest goes: the freshest are taken first.
    if idle.count > target.idleConnections { idle.removeFirst().closeIdle() }
  }

  /// A connection's exchange is over and it can carry another one: that of the first who waits, but for those who have
  /// just seen a used connection die, since this one may go the same way.
  func giveBack(_ connection: HTTP1Upstream) {
    var ticket = waiters.first()
    while let passed = ticket, waiters[passed]?.needsFreshConnection == true { ticket = waiters.first(after: passed) }
    hand(connection, to: ticket)
    // At the limit, those who were passed over get a new connection in place of this one.
    if ticket == nil, waiters.count > 0 { startConnecting() }
  }

  /// A connection was closed.
  func lost(_ connection: HTTP1Upstream) {
    open -= 1
    if let index = idle.firstIndex(where: { $0 === connection }) { idle.remove(at: index) }
    startConnecting()
  }

  /// Closes what is idle now and later, and gives up what is being made.
  func close() {
    isClosing = true
    for connector in connectors.values { connector.cancel() }
    open -= connectors.count
    connectors.removeAll()
    let closing = idle
    idle.removeAll()
    for connection in closing { connection.closeIdle() }
  }
}
