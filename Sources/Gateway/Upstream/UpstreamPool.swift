// One loop's connections to one upstream: idle ones to take, a limit on how many there are, a queue in front of it.
internal import EventLoop

/// Names an exchange's place among those that wait for a connection.
struct ConnectTicket: Equatable {
  fileprivate var number: UInt64
}

/// Confined to its loop.
final class UpstreamPool {
  private struct Waiter {
    var ticket: ConnectTicket
    var exchange: Exchange
    /// A connection of its own is being made.
    var isConnecting = false
  }

  let worker: Worker
  let target: UpstreamTarget
  private let limit: Int
  private var idle: [HTTP1Upstream] = []
  /// Connections that exist or are being made.
  private(set) var open = 0
  private var waiters: [Waiter] = []
  private var nextTicket: UInt64 = 0
  private(set) var addresses: [SocketAddress]
  private var nameError: GatewayError?
  private var connectors: [UInt64: Connector] = [:]
  private var isClosing = false
  private var failuresInARow = 0
  /// Until when other servers of the same upstream are preferred: this one could not be reached.
  private(set) var ejectedUntil: Int64 = 0

  /// Requests that have, or wait for, a connection of this pool.
  var outstanding: Int { open - idle.count + waiters.count { !$0.isConnecting } }

  init(_ worker: Worker, _ target: UpstreamTarget, limit: Int) {
    self.worker = worker
    self.target = target
    self.limit = limit
    addresses = target.literalAddresses
  }

  /// Hands the exchange a connection: at once if one is idle, else by `connected` or `connectFailed` later.
  /// - Parameters:
  ///   - fresh: only a new connection will do: a pooled one has just died.
  ///   - onlyRecent: the request can't be sent twice, so a connection that may have gone stale won't do.
  func acquire(for exchange: Exchange, fresh: Bool, onlyRecent: Bool) {
    while !fresh, let connection = idle.last {
      if onlyRecent, worker.loop.now - connection.idleSince > 1_000_000_000 { break }
      idle.removeLast()
      if !connection.take(for: exchange) { continue }
      return exchange.connected(connection)
    }
    nextTicket += 1
    let ticket = ConnectTicket(number: nextTicket)
    exchange.connectTicket = ticket
    waiters.append(Waiter(ticket: ticket, exchange: exchange))
    startConnecting()
  }

  /// The exchange does not want a connection any more. One that is being made becomes idle.
  func cancel(_ ticket: ConnectTicket) { waiters.removeAll { $0.ticket == ticket } }

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
    let failed = waiters
    waiters.removeAll()
    for waiter in failed { waiter.exchange.connectFailed(error) }
  }

  private func startConnecting() {
    if let nameError, addresses.isEmpty { return failWaiters(nameError) }
    if addresses.isEmpty { return }
    while open < limit || closeOneIdle() {
      guard let index = waiters.firstIndex(where: { !$0.isConnecting }) else { return }
      waiters[index].isConnecting = true
      connect(waiters[index].ticket)
    }
  }

  /// An idle connection that was too old for the request at hand makes room for a new one.
  private func closeOneIdle() -> Bool {
    guard !idle.isEmpty else { return false }
    idle.removeFirst().closeIdle()
    return true
  }

  private func connect(_ ticket: ConnectTicket) {
    open += 1
    let timeout = waiters.first { $0.ticket == ticket }?.exchange.plan.connectTimeout ?? 0
    let connector = Connector.connect(
      worker.loop, to: addresses, tls: target.tls, timeout: timeout
    ) { [unowned self] result in
      connectors[ticket.number] = nil
      switch result {
      case .success(let stream):
        failuresInARow = 0
        ejectedUntil = 0
        hand(HTTP1Upstream(self, stream))
      case .failure(let failure):
        open -= 1
        eject()
        if let index = waiters.firstIndex(where: { $0.ticket == ticket }) {
          let exchange = waiters.remove(at: index).exchange
          exchange.connectFailed(GatewayError(failure))
        }
        startConnecting()
      }
    }
    if !connector.isFinished { connectors[ticket.number] = connector }
  }

  /// 1 s after the first failure, doubling to 30 s.
  private func eject() {
    failuresInARow += 1
    ejectedUntil = worker.loop.now + min(30, 1 << Int64(min(5, failuresInARow - 1))) * 1_000_000_000
  }

  /// A connection is free: for the first who waits, else to be idle.
  private func hand(_ connection: HTTP1Upstream) {
    while !waiters.isEmpty {
      let exchange = waiters.removeFirst().exchange
      if !connection.take(for: exchange) { return acquire(for: exchange, fresh: true, onlyRecent: true) }
      return exchange.connected(connection)
    }
    if isClosing { return connection.closeIdle() }
    connection.becomeIdle()
    idle.append(connection)
  }

  /// A connection's exchange is over and it can carry another one.
  func giveBack(_ connection: HTTP1Upstream) { hand(connection) }

  /// A connection was closed.
  func lost(_ connection: HTTP1Upstream) {
    open -= 1
    if let index = idle.firstIndex(where: { $0 === connection }) { idle.remove(at: index) }
    startConnecting()
  }

  /// Closes what is idle now and later.
  func close() {
    isClosing = true
    let closing = idle
    idle.removeAll()
    for connection in closing { connection.closeIdle() }
  }
}
