// One connection of a scripted server: reads requests one after the other and carries out what the script says.
internal import EventLoop
internal import TokenKit

final class ServerConnection: StreamDelegate, TimerHandler {
  private static let lingerTime: Duration = .seconds(1)
  /// Bytes of pipelined requests that are taken in while an answer is under way.
  private static let pipelineLimit = 256 * 1024

  private enum Pending {
    case answer(Answer)
    case decision(@Sendable () -> Reaction)
    case bodyPiece
    case end
  }

  let port: Int
  private let number: Int
  private let core: ServerCore
  private let stream: Stream
  private var reader = MessageReader(.requests)
  private var request = IncomingRequest()
  private var plan = BodyPlan.keep
  private var ordinal = 0
  private var isInRequest = false
  private var isRequestComplete = false
  private var isReacting = false
  private var isAnswerComplete = false
  private var isAdvancing = false
  private var isEnding = false
  private var hasPeerEnded = false
  private var isHanging = false
  private var output: AnswerOutput?
  private var pending: Pending?
  private var timer: TimerWheel.Timer?
  private var stallTimer: TimerWheel.Timer?
  /// Asks for the body.
  private var continueTimer: TimerWheel.Timer?

  init(_ core: ServerCore, _ stream: Stream, port: Int, number: Int) {
    self.core = core
    self.stream = stream
    self.port = port
    self.number = number
  }

  var isIdle: Bool { !isInRequest && !reader.isInMessage }

  func close(resetting: Bool = false) {
    if stream.isClosed { return }
    if isInRequest, !isEnding { core.shared.update { $0.abandoned += 1 } }
    finish(resetting: resetting)
  }

  private func finish(resetting: Bool = false) {
    isEnding = true
    pending = nil
    output = nil
    if let timer { core.loop.timers.release(timer) }
    if let stallTimer { core.loop.timers.release(stallTimer) }
    if let continueTimer { core.loop.timers.release(continueTimer) }
    timer = nil
    stallTimer = nil
    continueTimer = nil
    stream.close(resetting: resetting)
    core.forget(number)
  }

  // MARK: Reading

  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    if case .bytes = core.shared.recording {
      var copy: [UInt8] = []
      copy.append(copying: bytes)
      core.shared.update { $0.bytes[number, default: []] += copy }
    }
    if isEnding { return }
    reader.feed(bytes)
    advance()
  }

  private func advance() {
    if isAdvancing { return }
    isAdvancing = true
    defer { isAdvancing = false }
    while !isEnding {
      if isInRequest, isRequestComplete {
        if !isAnswerComplete {
          if reader.waiting > Self.pipelineLimit { stream.pause() }
          return
        }
        isInRequest = false
        if stream.isPaused { stream.resume() }
      }
      do throws(MessageViolation) {
        guard let event = try reader.next() else {
          if hasPeerEnded, !isInRequest { finish() }
          return
        }
        take(event)
      } catch {
        broken(error)
      }
    }
  }

  private func take(_ event: MessageEvent) {
    switch event {
    case .head(let head): begin(head)
    case .data(let data):
      request.bodyCount += data.count
      switch plan {
      case .keep: request.body += data
      case .digest: request.digest?.add(data)
      case .answerFirst, .answerAndClose: break
      case .stall(let limit, let time):
        request.digest?.add(data)
        if request.bodyCount < limit { break }
        plan = .digest
        stream.pause()
        let timer = stallTimer ?? core.loop.timers.make(self)
        stallTimer = timer
        core.loop.timers.schedule(timer, at: core.loop.now + time.nanoseconds)
      }
    case .end(let trailers):
      request.trailers = trailers
      isRequestComplete = true
      let complete = request
      core.shared.update { record in
        record.completed += 1
        if case .counts = core.shared.recording { return }
        record.requests.append(complete)
      }
      if !isReacting { react(core.script.onRequest(request)) }
    }
  }

  private func begin(_ head: MessageHead) {
    ordinal += 1
    request = IncomingRequest()
    request.head = head
    request.port = port
    request.connection = number
    request.ordinal = ordinal
    request.digest = nil
    request.responder = Responder(mailbox: core.mailbox, connection: number, ordinal: ordinal)
    (isInRequest, isRequestComplete, isReacting, isAnswerComplete) = (true, false, false, false)
    core.shared.update { $0.heads += 1 }
    plan = core.script.onHead(request)
    switch plan {
    case .keep: break
    case .digest, .stall: request.digest = BodyDigest()
    case .answerFirst(let reaction): return react(reaction)
    case .answerAndClose(var answer):
      stream.pause()
      answer.closes = true
      return react(.answer(answer))
    }
    if head.fields.elements("Expect").contains("100-continue") {
      switch core.script.onExpectation(request) {
      case nil: break
      case .zero?: askForBody()
      case let time?:
        let timer = continueTimer ?? core.loop.timers.make(self)
        continueTimer = timer
        core.loop.timers.schedule(timer, at: core.loop.now + time.nanoseconds)
      }
    }
  }

  private func askForBody() {
    stream.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8).span)
    stream.flush()
  }

  private func broken(_ violation: MessageViolation) {
    // A message that was cut off is a peer that went away, which is no fault of its framing.
    if hasPeerEnded { return close() }
    core.shared.update { $0.violations.append(violation.description) }
    isInRequest = true
    isRequestComplete = true
    react(.answer(Answer(400, body: .text(violation.description + "\n"), closes: true)))
  }

  // MARK: Reacting

  func respond(_ reaction: Reaction, to ordinal: Int) {
    guard ordinal == self.ordinal, isInRequest, !isAnswerComplete, output == nil, pending == nil else { return }
    react(reaction)
  }

  private func react(_ reaction: Reaction) {
    isReacting = true
    switch reaction {
    case .answer(let answer):
      if answer.delay > .zero { wait(answer.delay, .answer(answer)) } else { start(answer) }
    case .hang:
      isHanging = true
      if hasPeerEnded { close() }
    case .later: break
    case .close:
      isInRequest = false
      finish()
    case .reset:
      isInRequest = false
      finish(resetting: true)
    case .raw(let bytes, let closes):
      output = AnswerOutput(raw: bytes, closes: closes)
      pump()
    case .after(let time, let decide): wait(time, .decision(decide))
    }
  }

  private func wait(_ time: Duration, _ next: Pending) {
    pending = next
    let timer = self.timer ?? core.loop.timers.make(self)
    self.timer = timer
    core.loop.timers.schedule(timer, at: core.loop.now + time.nanoseconds)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    if timer == stallTimer { return stream.resume() }
    if timer == continueTimer { return isInRequest && output == nil && !isAnswerComplete ? askForBody() : () }
    guard let next = pending else { return }
    pending = nil
    switch next {
    case .answer(let answer): start(answer)
    case .decision(let decide): react(decide())
    case .bodyPiece: pump()
    case .end: finish()
    }
  }

  private func start(_ answer: Answer) {
    let closes = answer.closes || !request.head.keepsAlive || hasPeerEnded
    output = AnswerOutput(answer, to: request.head, closes: closes, date: core.date)
    pump()
  }

  /// Writes as much as the socket takes.
  private func pump() {
    while !stream.isClosed, let step = output?.next() {
      switch step {
      case .bytes(let bytes):
        stream.write(bytes.span)
        if stream.unsent > 0 { stream.flush() }
        if stream.hasWriteFailed { return close() }
        if stream.unsent > 0 { return }
      case .pause(let time): return wait(time, .bodyPiece)
      case .cut(let isReset):
        isInRequest = false
        return finish(resetting: isReset)
      case .end(let closes):
        output = nil
        isAnswerComplete = true
        if closes { return endAfterAnswer() }
        advance()
        return
      }
    }
  }

  /// Closing with unread bytes would send a reset that takes the answer with it, so the peer gets time to read.
  private func endAfterAnswer() {
    isInRequest = false
    isEnding = true
    if hasPeerEnded { return finish() }
    stream.shutdownWriting()
    wait(Self.lingerTime, .end)
  }

  // MARK: The rest of the stream's life

  func streamDidConnect(_ stream: Stream) {}
  func streamDidFinishReading(_ stream: Stream) { stream.flush() }

  func streamDidEnd(_ stream: Stream) {
    hasPeerEnded = true
    reader.feedEnd()
    if isEnding { return finish() }
    if isHanging || isInRequest && !isRequestComplete || !isInRequest && reader.waiting == 0 { return close() }
    advance()
  }

  func streamDidHangUp(_ stream: Stream) {}
  func streamDidDrain(_ stream: Stream) { pump() }
  /// A reset that writing meets first looks like an ordinary end to whoever reads afterwards.
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { if output != nil { close() } }

  func streamDidFail(_ stream: Stream, _ error: StreamError) {
    // The stream has closed itself already.
    if isInRequest, !isEnding { core.shared.update { $0.abandoned += 1 } }
    finish()
  }
}
