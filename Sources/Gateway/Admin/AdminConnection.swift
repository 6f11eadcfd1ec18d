// One connection to the admin listener: small requests without bodies, answered at once.
internal import EventLoop
internal import HTTPWire

/// Confined to the control loop.
final class AdminConnection: StreamDelegate, TimerHandler, Runnable {
  private static let limits = HeadLimits(bytes: 8192, fields: 64, target: 1024)
  private static let answersPerTurn = 16
  private static let timeout: Int64 = 10_000_000_000

  private unowned let server: AdminServer
  private let stream: Stream
  private var timer: TimerWheel.Timer?
  private var input: [UInt8] = []
  private var isEnding = false
  private var isQueued = false

  init(_ server: AdminServer, _ stream: Stream) {
    self.server = server
    self.stream = stream
    let timer = server.loop.timers.make(self)
    self.timer = timer
    server.loop.timers.schedule(timer, at: server.loop.now + Self.timeout)
    stream.delegate = self
  }

  func close() {
    guard let timer else { return }
    server.loop.timers.release(timer)
    self.timer = nil
    stream.close()
    server.closed(self)
  }

  func streamDidConnect(_ stream: Stream) {}

  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    if isEnding { return }
    for index in 0..<bytes.count { input.append(bytes[index]) }
    takeInput()
  }

  /// Answers what is there, as far as its sender reads the answers, and not all of a long row of requests in one turn:
  /// this loop has more to do.
  private func takeInput() {
    var taken = 0
    var left = Self.answersPerTurn
    while taken < input.count, !isEnding, !stream.isFull, left > 0 {
      var head = RequestHead()
      do throws(WireError) {
        let rest = Array(input[taken...].prefix(Self.limits.bytes + 1))
        guard let count = try head.parse(rest.span, limits: Self.limits) else { break }
        respond(to: head, rest)
        taken += count
        left -= 1
      } catch {
        send(AdminAnswer(status: error.status, body: "{\"error\":\"\(error.rule.rawValue)\"}\n"), closing: true)
      }
      stream.flush()
    }
    // A failed write has closed it.
    if timer == nil { return }
    input.removeFirst(taken)
    if isEnding { return closeWhenSent() }
    if left > 0, !stream.isFull { return stream.resume() }
    stream.pause()
    if !stream.isFull, !isQueued {
      isQueued = true
      server.loop.runLater(self)
    }
  }

  func runAgain() {
    isQueued = false
    if timer != nil { takeInput() }
  }

  private func closeWhenSent() { if stream.unsent == 0 { close() } }

  private func respond(to head: RequestHead, _ bytes: [UInt8]) {
    if head.framing != .none, head.framing != .length(0) {
      return send(AdminAnswer(status: 413, body: "{\"error\":\"no body is taken here\"}\n"), closing: true)
    }
    let authority = Array(bytes[head.authority.range])
    guard server.hosts.contains(authority.span) else {
      return send(AdminAnswer(status: 421, body: "{\"error\":\"foreign host\"}\n"), closing: true)
    }
    let path = String(decoding: bytes[head.path.range], as: UTF8.self)
    send(server.answer(method: head.method, path: path), closing: !head.keepsAlive, withBody: head.method != .head)
  }

  private func send(_ answer: AdminAnswer, closing: Bool, withBody: Bool = true) {
    var text = "HTTP/1.1 \(answer.status) \(ProblemResponse.title(answer.status))\r\n"
    text += "Content-Type: application/json\r\nContent-Length: \(answer.body.utf8.count)\r\nCache-Control: no-store\r\n"
    if closing { text += "Connection: close\r\n" }
    text += "\r\n" + (withBody ? answer.body : "")
    let bytes = Array(text.utf8)
    stream.write(bytes.span)
    isEnding = closing
  }

  func streamDidFinishReading(_ stream: Stream) {}
  func streamDidDrain(_ stream: Stream) { if isEnding { close() } else { takeInput() } }
  func streamDidEnd(_ stream: Stream) { close() }
  func streamDidHangUp(_ stream: Stream) { close() }
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { close() }
  func streamDidFail(_ stream: Stream, _ error: StreamError) { close() }
  func timerFired(_ timer: TimerWheel.Timer) { close() }
}
