// Takes the browser's answer on a loopback address: one page, for as long as a login lasts.
internal import EventLoop
internal import HTTPWire

/// Confined to the command's loop.
final class LoopbackListener {
  /// What an answer leads to.
  enum Verdict {
    /// The login goes on; the text is for the browser.
    case taken(String)
    /// It is none of ours; the login waits on.
    case ignored(String)
  }

  private static let connectionLimit = 16

  let loop: EventLoop
  let path: String
  private let judge: (_ query: String) -> Verdict
  private var sockets: [Int32] = []
  private var listeners: [Listener] = []
  private var connections: [ObjectIdentifier: LoopbackConnection] = [:]
  /// Where it listens.
  private(set) var port: UInt16 = 0

  /// - Parameter judge: asked for the query of each request for the path.
  /// - Throws: if nobody can listen there.
  init(
    _ loop: EventLoop, _ redirect: LoopbackRedirect, judge: @escaping (_ query: String) -> Verdict
  ) throws(SystemError) {
    self.loop = loop
    self.judge = judge
    path = redirect.path
    for (index, address) in redirect.addresses.enumerated() {
      do throws(SystemError) {
        let fd = try Socket.listen(on: address, backlog: 16)
        sockets.append(fd)
        port = try Socket.localAddress(fd).port
        listeners.append(try Listener(loop, fd: fd) { [unowned self] connection, _ in accept(connection) })
      } catch {
        // A machine without IPv6 has 127.0.0.1 all the same.
        if index == 0 {
          close()
          throw error
        }
      }
    }
  }

  private func accept(_ fd: Int32) {
    guard connections.count < Self.connectionLimit else { return Socket.close(fd) }
    do throws(SystemError) {
      let connection = LoopbackConnection(self, try Stream(loop, connected: fd))
      connections[ObjectIdentifier(connection)] = connection
    } catch {
      Socket.close(fd)
    }
  }

  func closed(_ connection: LoopbackConnection) { connections[ObjectIdentifier(connection)] = nil }

  /// Status and text for a request.
  func answer(method: Method, path: String, query: String) -> (status: UInt16, text: String) {
    guard path == self.path else { return (404, "Nothing is here.") }
    guard method == .get else { return (405, "Nothing is here.") }
    switch judge(query) {
    case .taken(let text): return (200, text)
    case .ignored(let text): return (400, text)
    }
  }

  func close() {
    for listener in listeners { listener.drain() }
    listeners = []
    for fd in sockets { Socket.close(fd) }
    sockets = []
    for connection in Array(connections.values) { connection.close() }
  }
}

/// One request of a browser.
final class LoopbackConnection: StreamDelegate, TimerHandler {
  /// Codes and states of some servers are long.
  private static let limits = HeadLimits(bytes: 64 * 1024, fields: 100, target: 32 * 1024)
  private static let timeout: Int64 = 10_000_000_000

  private unowned let listener: LoopbackListener
  private let stream: Stream
  private var timer: TimerWheel.Timer?
  private var input: [UInt8] = []
  private var isAnswered = false

  init(_ listener: LoopbackListener, _ stream: Stream) {
    self.listener = listener
    self.stream = stream
    let timer = listener.loop.timers.make(self)
    self.timer = timer
    listener.loop.timers.schedule(timer, at: Process.bootClockNanoseconds() + Self.timeout)
    stream.delegate = self
  }

  func close() {
    guard let timer else { return }
    listener.loop.timers.release(timer)
    self.timer = nil
    stream.close()
    listener.closed(self)
  }

  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    if isAnswered { return }
    for index in 0..<bytes.count { input.append(bytes[index]) }
    var head = RequestHead()
    let received = input
    do throws(WireError) {
      guard try head.parse(received.span, limits: Self.limits) != nil else { return }
      let path = String(decoding: received[head.path.range], as: UTF8.self)
      let query = String(decoding: received[head.query.range].dropFirst(), as: UTF8.self)
      let (status, text) = listener.answer(method: head.method, path: path, query: query)
      send(status, text)
    } catch {
      send(error.status, "That was no request.")
    }
  }

  /// Plain text: nothing that the server's answer says can become a part of a page.
  private func send(_ status: UInt16, _ text: String) {
    isAnswered = true
    input = []
    let body = text + "\n"
    let message = Array(
      ("HTTP/1.1 \(status) \(ProblemResponse.title(status))\r\nContent-Type: text/plain; charset=utf-8\r\n"
        + "Content-Length: \(body.utf8.count)\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
        + "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n\(body)").utf8)
    stream.write(message.span)
    stream.flush()
    stream.shutdownWriting()
  }

  func streamDidConnect(_ stream: Stream) {}
  func streamDidFinishReading(_ stream: Stream) {}
  func streamDidDrain(_ stream: Stream) {}
  func streamDidEnd(_ stream: Stream) { close() }
  func streamDidHangUp(_ stream: Stream) { close() }
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) {}
  func streamDidFail(_ stream: Stream, _ error: StreamError) { close() }
  func timerFired(_ timer: TimerWheel.Timer) { close() }
}
