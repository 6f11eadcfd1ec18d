// One connection to the admin listener: one request after the other, each answered before the next is looked at.
internal import EventLoop
internal import HTTPWire

/// Confined to the control loop.
final class AdminConnection: StreamDelegate, TimerHandler, Runnable {
  private static let limits = HeadLimits(bytes: 8192, fields: 64, target: 1024)
  private static let requestsPerTurn = 16
  /// Bytes of later requests that are taken while one is answered: enough to see that its sender has ended.
  private static let mostWaiting = 32 * 1024
  /// For a request to come, from the last answer on, and for an answer to be taken. Handlers have limits of their own.
  private static let timeout: Int64 = 10_000_000_000
  private static let `continue` = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

  private enum Phase {
    /// A head is to come, or a part of it is here → body, answering, ending.
    case head
    /// Its body is to come → answering, ending.
    case body(AdminBody, AdminRoute.Handler, AdminRequest)
    /// A handler is at it → head, streaming, ending.
    case answering
    /// An answer is made while it is taken → head, ending.
    case streaming(any AdminSource)
    /// The last answer is on its way. What else comes is not looked at.
    case ending
  }

  private unowned let server: AdminServer
  private let stream: Stream
  private var timer: TimerWheel.Timer?
  private var input: [UInt8] = []
  private var phase = Phase.head
  /// Of the request at hand.
  private var keepsAlive = true
  private var wantsBody = true
  private var takesChunks = true
  private var number: UInt64 = 0
  private var isTaking = false
  private var isQueued = false

  init(_ server: AdminServer, _ stream: Stream) {
    self.server = server
    self.stream = stream
    stream.readLimit = 16 * 1024
    timer = server.loop.timers.make(self)
    restartTimer()
    stream.delegate = self
  }

  func close() {
    guard let timer else { return }
    server.loop.timers.release(timer)
    self.timer = nil
    stream.close()
    server.closed(self)
  }

  /// The next request is for another process. An answer without an end is not waited for.
  func closeUnlessAnswering() {
    keepsAlive = false
    switch phase {
    case .head where input.isEmpty: close()
    case .streaming(let source) where source.isEndless: close()
    case .head, .body, .answering, .streaming, .ending: break
    }
  }

  private func restartTimer() {
    if let timer { server.loop.timers.schedule(timer, at: server.loop.now + Self.timeout) }
  }

  // MARK: Requests

  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    if case .ending = phase { return }
    for index in 0..<bytes.count { input.append(bytes[index]) }
    takeInput()
  }

  /// Takes what is there, as far as its sender reads the answers, and not all of a long row of requests in one turn: this
  /// loop has more to do.
  private func takeInput() {
    isTaking = true
    var left = Self.requestsPerTurn
    var goesOn = true
    while goesOn, left > 0, timer != nil, !stream.isFull {
      switch phase {
      case .head:
        goesOn = takeHead()
        left -= 1
      case .body(let body, let handler, let request): goesOn = takeBody(body, handler, request)
      case .streaming(let source): goesOn = !source.isIdle && sendPart(source)
      case .answering, .ending: goesOn = false
      }
    }
    isTaking = false
    // A failed write has closed it.
    if timer == nil { return }
    switch phase {
    case .ending: endWhenSent()
    case .answering: if input.count > Self.mostWaiting { stream.pause() } else { stream.resume() }
    case .streaming(let source): if source.isIdle { stream.pause() } else { goOnLater() }
    case .head, .body:
      if left > 0, !stream.isFull { return stream.resume() }
      goOnLater()
    }
  }

  /// In the next turn, or when the caller has taken what is on its way to it.
  private func goOnLater() {
    stream.pause()
    if stream.isFull || isQueued { return }
    isQueued = true
    server.loop.runLater(self)
  }

  func runAgain() {
    isQueued = false
    if timer != nil { takeInput() }
  }

  /// False: there is no whole head yet.
  private func takeHead() -> Bool {
    if input.isEmpty { return false }
    var head = RequestHead()
    let bytes = Array(input.prefix(Self.limits.bytes + 1))
    do throws(WireError) {
      guard let count = try head.parse(bytes.span, limits: Self.limits) else { return false }
      input.removeFirst(count)
    } catch {
      refuse(.error(error.status, error.rule.rawValue))
      return true
    }
    number += 1
    keepsAlive = head.keepsAlive && !server.isYielding
    wantsBody = head.method != .head
    takesChunks = head.minorVersion > 0
    switch server.judge(head, bytes) {
    case .refused(let answer):
      // What follows may be the body that nobody wants.
      if head.framing != .none, head.framing != .length(0) { keepsAlive = false }
      send(answer)
    case .handled(let handler, let request): begin(head, handler, request)
    }
    return true
  }

  private func begin(_ head: RequestHead, _ handler: @escaping AdminRoute.Handler, _ request: AdminRequest) {
    do throws(AdminBody.Failure) {
      guard let body = try AdminBody(head.framing) else { return handle(request, handler) }
      phase = .body(body, handler, request)
      if head.expectsContinue {
        stream.write(Self.continue.span)
        stream.flush()
      }
    } catch {
      refuse(error.answer)
    }
  }

  /// False: its end has not come.
  private func takeBody(_ body: AdminBody, _ handler: @escaping AdminRoute.Handler, _ request: AdminRequest) -> Bool {
    var body = body
    do throws(AdminBody.Failure) {
      let bytes = input
      let (taken, isComplete) = try body.take(bytes.span)
      input.removeFirst(taken)
      if isComplete {
        var request = request
        request.body = body.bytes
        handle(request, handler)
      } else {
        phase = .body(body, handler, request)
      }
      return isComplete
    } catch {
      refuse(error.answer)
      return true
    }
  }

  private func handle(_ request: AdminRequest, _ handler: AdminRoute.Handler) {
    phase = .answering
    if let timer { server.loop.timers.cancel(timer) }
    handler(request, AdminResponder(self, request: number))
  }

  // MARK: Answers

  /// The answer to the request of that number, which is the one at hand unless the connection has ended since.
  func answer(_ answer: AdminAnswer, to number: UInt64) {
    guard timer != nil, case .answering = phase, number == self.number else { return }
    send(answer)
    if !isTaking, timer != nil { takeInput() }
  }

  /// The same for an answer that is made while it is taken.
  func answer(_ answer: AdminStream, to number: UInt64) {
    guard timer != nil, case .answering = phase, number == self.number else { return }
    if !takesChunks { keepsAlive = false }
    restartTimer()
    let head = AdminStream.head(contentType: answer.contentType, isChunked: takesChunks, closing: !keepsAlive)
    stream.write(head.span)
    phase = wantsBody ? .streaming(answer.source) : afterAnswer
    stream.flush()
    if wantsBody { answer.source.whenReady { [weak self] in self?.goOnLater() } }
    if !isTaking, timer != nil { takeInput() }
  }

  private var afterAnswer: Phase { keepsAlive ? .head : .ending }

  /// False: the next part is due in another turn.
  private func sendPart(_ source: any AdminSource) -> Bool {
    let part = AdminStream.chunk(source.next(), isChunked: takesChunks)
    stream.write(part.span)
    if source.isComplete {
      let end = takesChunks ? AdminStream.end : []
      stream.write(end.span)
      phase = afterAnswer
    }
    stream.flush()
    restartTimer()
    return source.isComplete
  }

  /// Where the next request begins is not known.
  private func refuse(_ answer: AdminAnswer) {
    keepsAlive = false
    send(answer)
  }

  private func send(_ answer: AdminAnswer) {
    phase = afterAnswer
    restartTimer()
    let message = answer.message(closing: !keepsAlive, withBody: wantsBody)
    stream.write(message.span)
    stream.flush()
  }

  /// What the caller still sends is read until it has seen the answer: a close with unread bytes would take that away.
  private func endWhenSent() {
    input = []
    if stream.unsent > 0 { return stream.pause() }
    stream.shutdownWriting()
    if stream.hasEnded { return close() }
    stream.resume()
  }

  func streamDidConnect(_ stream: Stream) {}
  func streamDidFinishReading(_ stream: Stream) {}
  func streamDidDrain(_ stream: Stream) { takeInput() }
  func streamDidHangUp(_ stream: Stream) { close() }
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { close() }
  func streamDidFail(_ stream: Stream, _ error: StreamError) { close() }
  func timerFired(_ timer: TimerWheel.Timer) { close() }

  /// The caller will send no more; some end their sending direction and then wait for the answer.
  func streamDidEnd(_ stream: Stream) {
    switch phase {
    case .answering, .streaming: keepsAlive = false
    case .head, .body, .ending:
      phase = .ending
      endWhenSent()
    }
  }
}
