// The part of a scripted server that lives on its loop: listeners, connections and commands from other threads.
internal import EventLoop
internal import TokenKit

final class ServerCore: TimerHandler {
  let loop: EventLoop
  let shared: ServerShared
  let mailbox: ServerMailbox
  let script: ServerScript
  private let addresses: [SocketAddress]
  private var sockets: [Int32]
  private var listeners: [Listener?]
  private var connections: [Int: ServerConnection] = [:]
  private var lastConnection = 0
  private var receiver: ServerMailbox.Receiver?
  /// When to listen again, by port.
  private var reopenings: [Int: Int64] = [:]
  private var timer: TimerWheel.Timer?
  private var dateSecond: Int64 = 0
  private var dateText = ""

  /// The thread's body.
  static func run(
    shared: ServerShared, mailbox: ServerMailbox, script: ServerScript, sockets: [Int32], addresses: [SocketAddress]
  ) {
    do throws(SystemError) {
      let core = try ServerCore(
        shared: shared, mailbox: mailbox, script: script, sockets: sockets, addresses: addresses)
      try core.loop.run()
      core.end()
    } catch {
      shared.update { $0.violations.append("the server itself failed: \(error)") }
      for fd in sockets { Socket.close(fd) }
    }
  }

  private init(
    shared: ServerShared, mailbox: ServerMailbox, script: ServerScript, sockets: [Int32], addresses: [SocketAddress]
  ) throws(SystemError) {
    loop = try EventLoop()
    self.shared = shared
    self.mailbox = mailbox
    self.script = script
    self.sockets = sockets
    self.addresses = addresses
    listeners = sockets.map { _ in nil }
    for index in sockets.indices { try listen(index) }
    receiver = try mailbox.attach(to: loop) { [unowned self] in perform($0) }
  }

  private func listen(_ index: Int) throws(SystemError) {
    listeners[index] = try Listener(loop, fd: sockets[index]) { [unowned self] fd, _ in accepted(fd, port: index) }
  }

  private func accepted(_ fd: Int32, port: Int) {
    Socket.disableNagle(fd)
    guard let stream = try? Stream(loop, connected: fd) else { return Socket.close(fd) }
    lastConnection += 1
    let connection = ServerConnection(self, stream, port: port, number: lastConnection)
    connections[lastConnection] = connection
    stream.delegate = connection
    shared.update { record in
      record.connections += 1
      record.openConnections += 1
    }
  }

  /// A connection says that it has closed.
  func forget(_ number: Int) {
    if connections.removeValue(forKey: number) == nil { return }
    shared.update { $0.openConnections -= 1 }
  }

  private func perform(_ command: ServerCommand) {
    switch command {
    case .respond(let number, let ordinal, let reaction): connections[number]?.respond(reaction, to: ordinal)
    case .refuse(let port, let time, let done):
      reopenings[port] = time.map { loop.now + $0.nanoseconds }
      schedule()
      listeners[port]?.drain()
      listeners[port] = nil
      if sockets[port] >= 0 { Socket.close(sockets[port]) }
      sockets[port] = -1
      for connection in connections.values where connection.port == port { connection.close() }
      done()
    case .accept(let port, let done): done(reopen(port))
    case .closeConnections(let idleOnly, let done):
      for connection in connections.values where !idleOnly || connection.isIdle { connection.close() }
      done()
    case .stop: loop.stop()
    }
  }

  private func reopen(_ port: Int) -> SystemError? {
    reopenings[port] = nil
    if sockets[port] >= 0 { return nil }
    do throws(SystemError) {
      sockets[port] = try Socket.listen(on: addresses[port])
      try listen(port)
      return nil
    } catch {
      shared.update { $0.violations.append("port \(addresses[port].port) cannot be opened again: \(error)") }
      return error
    }
  }

  private func schedule() {
    guard let next = reopenings.values.min() else { return }
    let timer = self.timer ?? loop.timers.make(self)
    self.timer = timer
    loop.timers.schedule(timer, at: next)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    for (port, time) in reopenings where time <= loop.now { _ = reopen(port) }
    schedule()
  }

  private func end() {
    if let timer { loop.timers.release(timer) }
    receiver?.detach()
    for listener in listeners { listener?.drain() }
    listeners = []
    for fd in sockets where fd >= 0 { Socket.close(fd) }
    for connection in connections.values { connection.close() }
  }

  /// The value of `Date`, made once a second.
  var date: String {
    let milliseconds = Process.wallClockMilliseconds()
    if milliseconds / 1000 != dateSecond {
      dateSecond = milliseconds / 1000
      dateText = CivilTime(WallTime(milliseconds: milliseconds)).httpDate
    }
    return dateText
  }
}
