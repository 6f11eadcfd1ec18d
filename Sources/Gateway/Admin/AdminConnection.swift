// One connection to the admin listener: small requests without bodies, answered at once.
internal import EventLoop
internal import HTTPWire

/// Confined to the control loop.
final class AdminConnection: StreamDelegate, TimerHandler {
  private static let limits = HeadLimits(bytes: 8192, fields: 64, target: 1024)
  private static let timeout: Int64 = 10_000_000_000

  private unowned let server: AdminServer
  private let stream: Stream
  private var timer: TimerWheel.Timer?
  private var input: [UInt8] = []
  private var isEnding = false

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
    while !input.isEmpty, !isEnding {
      var head = RequestHead()
      let bytes = input
      do throws(WireError) {
        guard let count = try head.parse(bytes.span, limits: Self.limits) else { return }
        respond(to: head)
        input.removeFirst(count)
      } catch {
        send(AdminAnswer(status: error.status, body: "{\"error\":\"\(error.rule.rawValue)\"}\n"), closing: true)
      }
    }
  }

  private func respond(to head: RequestHead) {
    if head.framing != .none, head.framing != .length(0) {
      return send(AdminAnswer(status: 413, body: "{\"error\":\"no body is taken here\"}\n"), closing: true)
    }
    let authority = Array(input[head.authority.range])
    guard server.hosts.contains(authority.span) else {
      return send(AdminAnswer(status: 421, body: "{\"error\":\"foreign host\"}\n"), closing: true)
    }
    let path = String(decoding: input[head.path.range], as: UTF8.self)
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

  func streamDidFinishReading(_ stream: Stream) {
    stream.flush()
    if isEnding, stream.unsent == 0 { close() }
  }

  func streamDidDrain(_ stream: Stream) { if isEnding { close() } }
  func streamDidEnd(_ stream: Stream) { close() }
  func streamDidHangUp(_ stream: Stream) { close() }
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { close() }
  func streamDidFail(_ stream: Stream, _ error: StreamError) { close() }
  func timerFired(_ timer: TimerWheel.Timer) { close() }
}
