// An HTTP/1.1 server for tests and for the sandbox: one thread with a loop, one or several ports on loopback, and
// closures that say what happens. It reads strictly and writes what it is told, right or wrong.
package import EventLoop
internal import Synchronization

/// What a server does. The closures run on the server's loop and must not block.
package struct ServerScript: Sendable {
  package var onHead: @Sendable (IncomingRequest) -> BodyPlan
  package var onRequest: @Sendable (IncomingRequest) -> Reaction
  /// How long after the head a body that is expected to be asked for is asked for; nil: never. Not asked of what is
  /// answered ahead of its body.
  package var onExpectation: @Sendable (IncomingRequest) -> Duration?

  package init(
    onHead: @escaping @Sendable (IncomingRequest) -> BodyPlan = { _ in .keep },
    onExpectation: @escaping @Sendable (IncomingRequest) -> Duration? = { _ in .zero },
    onRequest: @escaping @Sendable (IncomingRequest) -> Reaction
  ) {
    self.onHead = onHead
    self.onExpectation = onExpectation
    self.onRequest = onRequest
  }
}

/// What a server keeps of what it saw.
package enum Recording: Sendable {
  /// Counts only.
  case counts
  /// Every complete request.
  case requests
  /// And every byte of every connection.
  case bytes
}

/// What a server saw. Violations are its verdict on the peer's framing: an oracle that shares no code with the gateway.
package struct ServerRecord: Sendable {
  package var connections = 0
  package var openConnections = 0
  /// Request heads that were complete.
  package var heads = 0
  /// Requests that were complete with their body.
  package var completed = 0
  /// Requests whose connection the peer ended before they were complete or answered.
  package var abandoned = 0
  package var violations: [String] = []
  /// With `Recording.requests`, in the order in which they were complete.
  package var requests: [IncomingRequest] = []
  /// With `Recording.bytes`, by connection.
  package var bytes: [Int: [UInt8]] = [:]
}

enum ServerCommand: Sendable {
  case respond(connection: Int, ordinal: Int, Reaction)
  case refuse(port: Int, for: Duration?, done: @Sendable () -> Void)
  case accept(port: Int, done: @Sendable (SystemError?) -> Void)
  case closeConnections(idleOnly: Bool, done: @Sendable () -> Void)
  case stop
}

typealias ServerMailbox = Mailbox<ServerCommand>

/// Runs from `init` until it is let go.
package final class ScriptedServer: Sendable {
  /// Where it listens, in the order asked for.
  package let addresses: [SocketAddress]
  private let mailbox: ServerMailbox
  private let shared: ServerShared
  private let thread: LoopThread.Handle

  /// - Parameters:
  ///   - ports: 0 takes a free one.
  /// - Throws: `SystemError` when a port is taken.
  package init(
    name: String = "origin", ports: [UInt16] = [0], recording: Recording = .requests, script: ServerScript
  ) throws(SystemError) {
    Process.ignoreBrokenPipes()
    _ = Process.raiseDescriptorLimit()
    let mailbox = try ServerMailbox()
    let shared = ServerShared(recording)
    var sockets: [Int32] = []
    var addresses: [SocketAddress] = []
    do throws(SystemError) {
      for port in ports {
        let fd = try port == 0 ? FreePort.listen() : Socket.listen(on: .ipv4(0x7f00_0001, port: port))
        sockets.append(fd)
        addresses.append(try Socket.localAddress(fd))
      }
      let (opened, bound) = (sockets, addresses)
      thread = try LoopThread.start(name: name) {
        ServerCore.run(shared: shared, mailbox: mailbox, script: script, sockets: opened, addresses: bound)
      }
    } catch {
      for fd in sockets { Socket.close(fd) }
      throw error
    }
    self.addresses = addresses
    self.mailbox = mailbox
    self.shared = shared
  }

  /// A server on one free port whose closure answers complete requests.
  package convenience init(
    recording: Recording = .requests, _ answer: @escaping @Sendable (IncomingRequest) -> Reaction
  ) throws(SystemError) {
    try self.init(recording: recording, script: ServerScript(onRequest: answer))
  }

  deinit {
    mailbox.send(.stop)
    thread.join()
  }

  package var address: SocketAddress { addresses[0] }
  package var port: UInt16 { addresses[0].port }
  /// `http://127.0.0.1:PORT`
  package var url: String { "http://127.0.0.1:\(port)" }

  /// What it saw so far.
  package var record: ServerRecord { shared.update { $0 } }

  /// Connections to that port are refused from the return on, for that time or until `accept`; open ones are closed.
  package func refuse(port index: Int = 0, for time: Duration? = nil) {
    let latch = Latch()
    mailbox.send(.refuse(port: index, for: time) { latch.open() })
    latch.wait()
  }

  /// Listens again on the port that it had.
  package func accept(port index: Int = 0) throws(SystemError) {
    let latch = Latch()
    let failure = Mutex<SystemError?>(nil)
    let outcome = Shared(failure)
    mailbox.send(
      .accept(port: index) { error in
        outcome.value.withLock { $0 = error }
        latch.open()
      })
    latch.wait()
    if let error = outcome.value.withLock({ $0 }) { throw error }
  }

  /// Closes what is open; answers in flight are cut.
  package func closeConnections(idleOnly: Bool = false) {
    let latch = Latch()
    mailbox.send(.closeConnections(idleOnly: idleOnly) { latch.open() })
    latch.wait()
  }
}

/// What the server's thread and the test's share.
final class ServerShared: Sendable {
  private let record = Mutex(ServerRecord())
  let recording: Recording
  init(_ recording: Recording) { self.recording = recording }

  func update<Result: Sendable>(_ body: (inout ServerRecord) -> Result) -> Result {
    record.withLock { (record: inout sending ServerRecord) -> sending Result in body(&record) }
  }
}

/// A value that closures on several threads hold.
package final class Shared<Value: ~Copyable & Sendable>: Sendable {
  package let value: Value
  package init(_ value: consuming Value) { self.value = value }
}
