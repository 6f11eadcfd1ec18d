// HTTP/1.1 towards a caller: reads requests, hands them to exchanges one after the other, writes the responses.
internal import EventLoop
internal import HTTPWire

/// Confined to its loop. Kept alive by its stream's registration.
final class HTTP1Downstream: StreamDelegate {
  enum Phase {
    /// Waits for a request or is reading its head.
    case head
    case body(remaining: UInt64)
    case chunked
    case trailers
    /// The request is whole; its response is not.
    case answering
    /// We have answered for the last time; what still comes is thrown away so that the answer is not lost (RFC 9112 §9.6).
    case discarding(left: Int)
    case closed
  }

  static let discardBytes = 256 * 1024
  static let discardTime: Int64 = 2_000_000_000
  /// What is read at once while it may have to be kept here: a head, requests ahead of our answers, a body that has no
  /// connection yet.
  static let keptRead = 16 * 1024

  let worker: Worker
  let stream: Stream
  /// Of the configuration in force; a reload puts another one here.
  var listener: ListenerPlan
  let peer: SocketAddress
  /// The loop's.
  let timers: TimerWheel
  /// Where the loop keeps it.
  let place: ConnectionTable<HTTP1Downstream>.Place
  var timer: TimerWheel.Timer?
  var rate = RateGuard()
  var phase = Phase.head
  var decoder = ChunkedDecoder()
  /// Of a head that is not complete, how many bytes were looked at.
  var parsedBytes: Int32 = 0
  /// Bytes that came and are not taken yet: the start of a head, or a request behind the one at hand.
  var input: ByteBuffer?
  var hasHeadBegun = false
  var isTaking = false
  var isTakeQueued = false
  /// When it was last left without a request.
  var idleSince: Int64 = 0

  var exchange: Exchange?
  var isBodyPaused = false
  // The response at hand.
  var mayKeepAlive = true
  var isChunkedResponse = false
  var isCloseDelimited = false
  var hasResponseBegun = false
  var isHTTP10 = false
  var takesTrailers = false
  var isHeadRequest = false
  /// The caller has said that this request is its last.
  var callerCloses = false
  /// The caller holds its body back until the upstream asks for it: no rate can be expected of it.
  var awaitsContinue = false
  var mayCloseAfterFlush = false

  init(
    _ worker: Worker, _ stream: Stream, _ listener: ListenerPlan, peer: SocketAddress,
    place: ConnectionTable<HTTP1Downstream>.Place
  ) {
    self.worker = worker
    self.place = place
    self.stream = stream
    self.listener = listener
    self.peer = peer
    stream.readLimit = Int32(Self.keptRead)
    timers = worker.loop.timers
    timer = timers.make(self)
    stream.delegate = self
    armIdle()
  }

  /// Nothing is going on: the connection may be closed without anybody missing it.
  var isIdle: Bool {
    if case .head = phase { return !hasHeadBegun && exchange == nil && input == nil && stream.unsent == 0 }
    return false
  }

  /// Idle also as far as the kernel knows: no request has come that was not read yet.
  var isSurelyIdle: Bool { isIdle && !stream.hasUnread }

  func closeIfIdle() { if isSurelyIdle { close() } }

  /// The drain's time is over.
  func abort() {
    let abandoned = exchange
    exchange = nil
    abandoned?.trace.cut(GatewayError(.draining))
    abandoned?.downstreamGone()
    if let abandoned { worker.giveBack(abandoned) }
    close(resetting: abandoned != nil)
  }

  // MARK: Reading

  func streamDidConnect(_ stream: Stream) {}

  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    rate.add(bytes.count)
    awaitsContinue = false
    if let input {
      input.append(bytes)
      return takeInput()
    }
    isTaking = true
    let taken = take(bytes)
    isTaking = false
    if stream.isClosed { return }
    if taken < bytes.count { keep(bytes.extracting(taken...)) } else { relayBody() }
  }

  /// The rest of a large body need not be looked at.
  private func relayBody() {
    guard case .body(let remaining) = phase, remaining >= Stream.worthRelaying, let sink = exchange?.requestSink else {
      return
    }
    stream.relay(to: sink, atMost: remaining)
  }

  func stream(_ stream: Stream, didRelay count: Int) {
    guard case .body(let remaining) = phase, let exchange else { return stream.endRelay() }
    rate.add(count)
    phase = .body(remaining: remaining - UInt64(count))
    exchange.requestRelayed(count)
    if remaining == UInt64(count) { endRequest() } else if exchange.requestSink == nil { stream.endRelay() }
  }

  func keep(_ bytes: Span<UInt8>) {
    let buffer = input ?? worker.loop.buffers.acquire()
    input = buffer
    buffer.append(bytes)
    if mustWait { stream.pause() }
  }

  /// A caller that sends requests ahead of our answers, or does not read them, has to wait with more of them.
  var mustWait: Bool {
    switch phase {
    case .answering: true
    case .head: stream.isFull
    case .body, .chunked, .trailers, .discarding, .closed: false
    }
  }

  func takeInput() {
    guard let input, !isTaking else { return }
    isTaking = true
    let taken = input.withSpan { take($0) }
    isTaking = false
    if stream.isClosed { return }
    input.consume(taken)
    if input.isEmpty {
      self.input = nil
      worker.loop.buffers.release(input)
    } else if mustWait {
      return stream.pause()
    }
    if !isBodyPaused { stream.resume() }
  }

  /// Takes as many bytes as can be made use of now.
  func take(_ bytes: Span<UInt8>) -> Int {
    var offset = 0
    while offset < bytes.count {
      let rest = bytes.extracting(offset...)
      switch phase {
      case .head:
        if stream.isFull { return offset }
        let count = takeHead(rest)
        if count == 0 { return offset }
        offset += count
      case .body(let remaining):
        let count = Int(min(remaining, UInt64(rest.count)))
        phase = .body(remaining: remaining - UInt64(count))
        passBody(rest.extracting(0..<count))
        offset += count
        if case .body(0) = phase { endRequest() }
      case .chunked:
        do throws(WireError) {
          switch try decoder.next(bytes, from: offset) {
          case .data(let range):
            passBody(bytes.extracting(range))
            offset = range.upperBound
          case .needMore: return bytes.count
          case .trailers(let start):
            offset = start
            phase = .trailers
          }
        } catch {
          refuse(GatewayError(.malformed(error)))
        }
      case .trailers:
        do throws(WireError) {
          guard let count = try worker.trailers.parse(rest, limits: listener.headLimits) else { return offset }
          offset += count
          endRequest(trailers: worker.trailers.fields, rest)
        } catch {
          refuse(GatewayError(.malformed(error)))
        }
      case .answering: return offset
      case .discarding(let left):
        if rest.count > left { close() } else { phase = .discarding(left: left - rest.count) }
        return bytes.count
      case .closed: return bytes.count
      }
    }
    return offset
  }

  /// - Returns: 0 when the head is not complete.
  func takeHead(_ bytes: Span<UInt8>) -> Int {
    if !hasHeadBegun {
      hasHeadBegun = true
      isHeadRequest = false
      parsedBytes = 0
    }
    if parsedBytes > 0, !RequestHead.mayComplete(bytes, seen: Int(parsedBytes), limits: listener.headLimits) {
      return 0
    }
    do throws(WireError) {
      guard let count = try worker.requestHead.parse(bytes, limits: listener.headLimits) else {
        // The deadline counts from the first byte and no later one moves it.
        if parsedBytes == 0 { arm(listener.requestHeadTimeout) }
        parsedBytes = Int32(clamping: bytes.count)
        return 0
      }
      hasHeadBegun = false
      parsedBytes = 0
      begin(bytes)
      return count
    } catch {
      isHTTP10 = false
      isHeadRequest = false
      callerCloses = false
      let problem = GatewayError(.malformed(error))
      worker.refused(problem, on: self)
      answerAndClose(problem)
      return bytes.count
    }
  }

  /// The head in `worker.requestHead` is whole and well-formed.
  func begin(_ bytes: Span<UInt8>) {
    disarm()
    let listener = listener
    isHTTP10 = worker.requestHead.minorVersion == 0
    isHeadRequest = worker.requestHead.method == .head
    takesTrailers = worker.requestHead.acceptsTrailers
    callerCloses = !worker.requestHead.keepsAlive
    mayKeepAlive = !callerCloses && !worker.isDraining && !listener.isRemoved
    hasResponseBegun = false
    isChunkedResponse = false
    isCloseDelimited = false
    awaitsContinue = worker.requestHead.expectsContinue
    switch worker.requestHead.framing {
    case .none, .untilClose, .length(0): phase = .answering
    case .length(let length):
      phase = .body(remaining: length)
      startRate()
    case .chunked:
      decoder = ChunkedDecoder()
      phase = .chunked
      startRate()
    }
    let admitted: Admission.Admitted
    do throws(GatewayError) {
      admitted = try Admission.judge(&worker.requestHead, bytes, listener, peer, worker)
    } catch {
      worker.refused(worker.requestHead, bytes, error, on: self)
      return answer(error)
    }
    let exchange = worker.takeExchange()
    swap(&exchange.request, &worker.requestHead)
    self.exchange = exchange
    exchange.trace = ExchangeTrace(
      listener: listener.index, begun: timers.now, sentBefore: stream.sent &+ UInt64(stream.unsent))
    exchange.begin(bytes, admitted.plan, path: admitted.path, peer: peer, self)
  }

  private func passBody(_ bytes: Span<UInt8>) {
    guard let exchange else { return }
    exchange.requestData(bytes)
    stream.readLimit = Int32(exchange.isSending ? EventLoop.scratchSize : Self.keptRead)
  }

  func endRequest(trailers: [Field] = [], _ bytes: Span<UInt8> = Span()) {
    phase = .answering
    stream.readLimit = Int32(Self.keptRead)
    disarm()
    exchange?.requestEnd(trailers: trailers, bytes)
  }

  func streamDidFinishReading(_ stream: Stream) { exchange?.flushRequest() }

  func streamDidEnd(_ stream: Stream) {
    if listener.halfClose, case .answering = phase {
      mayKeepAlive = false
      return
    }
    switch phase {
    case .head where exchange == nil && stream.unsent > 0: mayCloseAfterFlush = true
    // The answer is complete, only not all of it has left.
    case .discarding where mayCloseAfterFlush: break
    default: gone()
    }
  }

  func streamDidHangUp(_ stream: Stream) { if !listener.halfClose { gone() } }

  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { gone() }

  func streamDidFail(_ stream: Stream, _ error: StreamError) { gone() }

  func gone(resetting: Bool = false) {
    let abandoned = exchange
    exchange = nil
    close(resetting: resetting)
    if let abandoned {
      abandoned.trace.limitBytesOut(sent: stream.sent)
      abandoned.downstreamGone()
      worker.giveBack(abandoned)
    }
  }

  func pauseBody() {
    isBodyPaused = true
    disarm()
    stream.pause()
  }

  func resumeBody() {
    guard isBodyPaused else { return }
    isBodyPaused = false
    if input == nil || !mustWait { stream.resume() }
    switch phase {
    case .body, .chunked, .trailers: startRate()
    default: break
    }
  }
}

extension HTTP1Downstream: Runnable {
  func runAgain() {
    isTakeQueued = false
    if stream.isClosed { return }
    takeInput()
    exchange?.flushRequest()
  }
}
