// HTTP/1.1 towards a caller: reads requests, hands them to exchanges one after the other, writes the responses.
internal import EventLoop
internal import HTTPWire

/// Confined to its loop. Kept alive by its stream's registration.
final class HTTP1Downstream: StreamDelegate, TimerHandler, DownstreamChannel {
  private enum Phase {
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

  private static let discardBytes = 256 * 1024
  private static let discardTime: Int64 = 2_000_000_000

  private unowned let worker: Worker
  private let stream: Stream
  private let listener: ListenerPlan
  private let peer: SocketAddress
  private var timer: TimerWheel.Timer?
  private var rate: RateGuard
  private var phase = Phase.head
  private var decoder = ChunkedDecoder()
  /// Bytes that came and are not taken yet: the start of a head, or a request behind the one at hand.
  private var input: ByteBuffer?
  private var parsedBytes = 0
  private var hasHeadBegun = false
  private var isTaking = false
  private var isTakeQueued = false

  private var exchange: Exchange?
  private var isBodyPaused = false
  // The response at hand.
  private var mayKeepAlive = true
  private var isChunkedResponse = false
  private var isCloseDelimited = false
  private var hasResponseBegun = false
  private var isHTTP10 = false
  private var takesTrailers = false
  private var isHeadRequest = false
  /// The caller has said that this request is its last.
  private var callerCloses = false
  private var mayCloseAfterFlush = false

  init(_ worker: Worker, _ stream: Stream, _ listener: ListenerPlan, peer: SocketAddress) {
    self.worker = worker
    self.stream = stream
    self.listener = listener
    self.peer = peer
    rate = RateGuard(minimum: listener.minimumRate)
    timer = worker.loop.timers.make(self)
    stream.delegate = self
    armIdle()
  }

  /// Nothing is going on: the connection may be closed without anybody missing it.
  var isIdle: Bool {
    if case .head = phase { return !hasHeadBegun && exchange == nil && input == nil && stream.unsent == 0 }
    return false
  }

  func closeIfIdle() { if isIdle { close() } }

  /// The drain's time is over.
  func abort() {
    if exchange != nil { truncate() } else { close() }
  }

  // MARK: Reading

  func streamDidConnect(_ stream: Stream) {}

  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    rate.add(bytes.count)
    if let input {
      input.append(bytes)
      return takeInput()
    }
    isTaking = true
    let taken = take(bytes)
    isTaking = false
    if taken < bytes.count, !stream.isClosed { keep(bytes.extracting(taken...)) }
  }

  private func keep(_ bytes: Span<UInt8>) {
    let buffer = input ?? worker.loop.buffers.acquire()
    input = buffer
    buffer.append(bytes)
    // A caller that sends requests ahead of our answers has to wait with more of them.
    if case .answering = phase { stream.pause() }
  }

  private func takeInput() {
    guard let input, !isTaking else { return }
    isTaking = true
    let taken = input.withSpan { take($0) }
    isTaking = false
    if stream.isClosed { return }
    input.consume(taken)
    if input.isEmpty {
      self.input = nil
      worker.loop.buffers.release(input)
    } else if case .answering = phase {
      stream.pause()
    }
  }

  /// Takes as many bytes as can be made use of now.
  private func take(_ bytes: Span<UInt8>) -> Int {
    var offset = 0
    while offset < bytes.count {
      let rest = bytes.extracting(offset...)
      switch phase {
      case .head:
        let count = takeHead(rest)
        if count == 0 { return offset }
        offset += count
      case .body(let remaining):
        let count = Int(min(remaining, UInt64(rest.count)))
        phase = .body(remaining: remaining - UInt64(count))
        exchange?.requestData(rest.extracting(0..<count))
        offset += count
        if case .body(0) = phase { endRequest() }
      case .chunked:
        do throws(WireError) {
          switch try decoder.next(bytes, from: offset) {
          case .data(let range):
            exchange?.requestData(bytes.extracting(range))
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
  private func takeHead(_ bytes: Span<UInt8>) -> Int {
    if !hasHeadBegun {
      hasHeadBegun = true
      parsedBytes = 0
      arm(listener.requestHeadTimeout)
    }
    if parsedBytes > 0, !RequestHead.mayComplete(bytes, seen: parsedBytes, limits: listener.headLimits) { return 0 }
    do throws(WireError) {
      guard let count = try worker.requestHead.parse(bytes, limits: listener.headLimits) else {
        parsedBytes = bytes.count
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
      answerAndClose(GatewayError(.malformed(error)))
      return bytes.count
    }
  }

  /// The head in `worker.requestHead` is whole and well-formed.
  private func begin(_ bytes: Span<UInt8>) {
    disarm()
    isHTTP10 = worker.requestHead.minorVersion == 0
    isHeadRequest = worker.requestHead.method == .head
    takesTrailers = worker.requestHead.acceptsTrailers
    callerCloses = !worker.requestHead.keepsAlive
    mayKeepAlive = !callerCloses && !worker.isDraining
    hasResponseBegun = false
    isChunkedResponse = false
    isCloseDelimited = false
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
      return answer(error)
    }
    let exchange = worker.takeExchange()
    swap(&exchange.request, &worker.requestHead)
    self.exchange = exchange
    exchange.begin(bytes, admitted.plan, path: admitted.path, peer: peer, self)
  }

  private func endRequest(trailers: [Field] = [], _ bytes: Span<UInt8> = Span()) {
    phase = .answering
    disarm()
    exchange?.requestEnd(trailers: trailers, bytes)
  }

  func streamDidFinishReading(_ stream: Stream) { exchange?.flushRequest() }

  func streamDidEnd(_ stream: Stream) {
    if listener.halfClose, case .answering = phase {
      mayKeepAlive = false
      return
    }
    if case .head = phase, exchange == nil, stream.unsent > 0 {
      mayCloseAfterFlush = true
      return
    }
    gone()
  }

  func streamDidHangUp(_ stream: Stream) { if !listener.halfClose { gone() } }

  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { gone() }

  func streamDidFail(_ stream: Stream, _ error: StreamError) { gone() }

  private func gone() {
    let abandoned = exchange
    exchange = nil
    close()
    if let abandoned {
      worker.counters.clientGone += 1
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
    stream.resume()
    switch phase {
    case .body, .chunked: startRate()
    default: break
    }
  }

  // MARK: The response

  var hasBacklog: Bool { stream.unsent > 0 }

  func sendInformational(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    ResponseWriter.write(head, bytes, to: stream, tail: .informational)
  }

  func sendHead(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    hasResponseBegun = true
    if exchange?.isRequestComplete != true || worker.isDraining { mayKeepAlive = false }
    let tail: ResponseWriter.Tail
    switch head.framing {
    case .none, .length:
      tail = mayKeepAlive ? (isHTTP10 ? .keepAlive : .plain) : .close
    case .chunked, .untilClose:
      if isHTTP10 {
        isCloseDelimited = true
        mayKeepAlive = false
        tail = .close
      } else {
        isChunkedResponse = true
        tail = mayKeepAlive ? .chunked : .chunkedClose
      }
    }
    ResponseWriter.write(head, bytes, to: stream, tail: tail)
  }

  func sendData(_ bytes: Span<UInt8>) {
    if isChunkedResponse {
      stream.write(capacity: ChunkWriter.sizeLineCapacity) { ChunkWriter.writeSizeLine(bytes.count, into: &$0) }
      stream.write(bytes)
      stream.write(capacity: 2) { $0.append(ChunkWriter.dataEnd) }
    } else {
      stream.write(bytes)
    }
  }

  func sendTrailers(_ fields: [Field], _ bytes: Span<UInt8>) {
    guard isChunkedResponse, takesTrailers else { return }
    isChunkedResponse = false
    stream.write(capacity: HeadWriter.capacity(of: fields) + 8) { out in
      out.append(ChunkWriter.lastChunk)
      HeadWriter.writeFields(fields, of: bytes, into: &out)
      out.append(ChunkWriter.dataEnd)
    }
  }

  func sendEnd() {
    if isChunkedResponse { stream.write(capacity: 5) { $0.append(ChunkWriter.end) } }
    finish()
  }

  /// The response is written: on to the next request, or to the end of the connection.
  private func finish() {
    stream.flush()
    if let done = exchange {
      exchange = nil
      worker.giveBack(done)
    }
    if stream.isClosed { return }
    guard mayKeepAlive, case .answering = phase else { return endConnection() }
    phase = .head
    isBodyPaused = false
    armIdle()
    stream.resume()
    if input != nil { queueInput() }
  }

  /// A request that came with or before the end of the last answer: in a turn of its own, so that answers to a long
  /// row of requests do not nest.
  private func queueInput() {
    if isTaking || isTakeQueued { return }
    isTakeQueued = true
    worker.loop.runLater(self)
  }

  func flush() {
    stream.flush()
    if stream.unsent > 0, let timer, !worker.loop.timers.isArmed(timer) { startRate() }
  }

  func streamDidDrain(_ stream: Stream) {
    if mayCloseAfterFlush {
      if case .discarding = phase { return discard() }
      return gone()
    }
    exchange?.downstreamDrained()
  }

  func truncate() {
    if let done = exchange {
      exchange = nil
      worker.giveBack(done)
    }
    close(resetting: true)
  }

  func answer(_ error: GatewayError) {
    worker.note(error)
    if hasResponseBegun { return truncate() }
    hasResponseBegun = true
    if case .answering = phase {} else { mayKeepAlive = false }
    if case .malformed = error.kind { mayKeepAlive = false }
    writeAnswer(error)
    finish()
  }

  /// The connection can't be understood any further: whatever stands behind the fault may be anything.
  private func answerAndClose(_ error: GatewayError) {
    worker.note(error)
    mayKeepAlive = false
    writeAnswer(error)
    finish()
  }

  private func writeAnswer(_ error: GatewayError) {
    let bytes = ProblemResponse.render(
      error, proxyName: worker.forwarding.proxyName, closing: !mayKeepAlive, withBody: !isHeadRequest)
    stream.write(bytes.span)
  }

  /// The request's body breaks a rule: its upstream must not get more of it.
  private func refuse(_ error: GatewayError) {
    let abandoned = exchange
    exchange = nil
    abandoned?.downstreamGone()
    if let abandoned { worker.giveBack(abandoned) }
    if hasResponseBegun {
      close(resetting: true)
    } else {
      answerAndClose(error)
    }
  }

  // MARK: Ending

  private func endConnection() {
    if callerCloses, case .answering = phase, stream.unsent == 0, input == nil { return close() }
    phase = .discarding(left: Self.discardBytes)
    isBodyPaused = false
    releaseInput()
    stream.resume()
    if stream.unsent == 0 { return discard() }
    mayCloseAfterFlush = true
    startRate()
  }

  private func discard() {
    mayCloseAfterFlush = false
    stream.shutdownWriting()
    arm(Self.discardTime)
  }

  private func releaseInput() {
    if let input, !isTaking { worker.loop.buffers.release(input) }
    input = nil
  }

  private func close(resetting: Bool = false) {
    if stream.isClosed { return }
    phase = .closed
    releaseInput()
    if let timer { worker.loop.timers.release(timer) }
    timer = nil
    stream.close(resetting: resetting)
    worker.closed(self)
  }

  // MARK: Deadlines

  private func arm(_ nanoseconds: Int64) {
    if let timer { worker.loop.timers.schedule(timer, at: worker.loop.now + nanoseconds) }
  }

  private func armIdle() { arm(listener.idleTimeout) }
  private func disarm() { if let timer { worker.loop.timers.disarm(timer) } }

  private func startRate() {
    rate.start(sent: stream.sent)
    arm(RateGuard.interval)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    switch phase {
    case .head where hasHeadBegun:
      answerAndClose(GatewayError(.requestTimeout))
    case .discarding where mayCloseAfterFlush:
      if rate.isTooSlow(sent: stream.sent) { close() } else { startRate() }
    case .head, .discarding, .closed:
      close()
    case .answering:
      if stream.unsent == 0 { return }
      if rate.isTooSlow(sent: stream.sent) { gone() } else { startRate() }
    case .body, .chunked, .trailers:
      if isBodyPaused, stream.unsent == 0 { return }
      if !rate.isTooSlow(sent: stream.sent) { return startRate() }
      if hasResponseBegun { gone() } else { refuse(GatewayError(.requestTimeout)) }
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
