// HTTP/1.1 towards an upstream: one connection, one exchange at a time, and its rest in the pool between two of them.
internal import EventLoop
internal import HTTPWire

/// Confined to its loop. Owned by its stream's registration; the pool holds it while it is idle.
final class HTTP1Upstream: StreamDelegate, TimerHandler, UpstreamChannel {
  private enum Phase {
    /// In the pool, or on its way there: not a byte may come.
    case idle
    case head
    case body(remaining: UInt64)
    case chunked
    case trailers
    case untilClose
    /// The response is whole.
    case complete
  }

  /// Bytes of a response that nobody wants any more which are read on for the sake of the connection.
  private static let drainLimit = 16 * 1024
  private static let drainTime: Int64 = 1_000_000_000

  private let pool: UpstreamPool
  private let stream: Stream
  private var exchange: Exchange?
  /// The loop's.
  private let timers: TimerWheel
  private var timer: TimerWheel.Timer?
  private var phase = Phase.idle
  private var decoder = ChunkedDecoder()
  /// The start of a head or trailer section that is not complete yet.
  private var input: ByteBuffer?
  private var parsedBytes = 0
  private var isHeadRequest = false
  private var isChunkedRequest = false
  private var isRequestComplete = false
  private var mayKeepAlive = true
  /// Connection named fields, and its head will be gone when trailers come: all of them are given up, as RFC 9110 §6.5.1
  /// allows, rather than one passed on that is hop-by-hop.
  private var dropsTrailers = false
  private var idleTimeout: Int64
  /// The exchange has let go before the response was whole; what is left of the budget to read it to its end.
  private var drainBudget: Int?
  /// The response is whole, but there may be more to read: whoever gets the connection must not find it.
  private var isSettling = false
  private(set) var idleSince: Int64 = 0
  /// An old connection that dies is none of its server's failures.
  private var hasAnswered = false
  /// Its address for the access log and spans; nil while both are off.
  private var label: UpstreamLabel?
  private var hasServed = false
  private var isClosed = false

  init(_ pool: UpstreamPool, _ stream: Stream) {
    self.pool = pool
    self.stream = stream
    idleTimeout = pool.target.idleTimeout
    label = pool.worker.namesConnections ? UpstreamLabel(Socket.peerAddress(stream.fd)) : nil
    timers = stream.loop.timers
    timer = timers.make(self)
    stream.delegate = self
  }

  /// The access log or tracing was turned on.
  func makeLabel() {
    if label == nil { label = UpstreamLabel(Socket.peerAddress(stream.fd)) }
  }

  // MARK: The pool's side

  /// Nothing came for it, in this turn either: an end or bytes that were not asked for would fail its next request.
  var isQuiet: Bool { stream.isQuiet }

  /// False when the connection turns out to be of no use; it is closed then.
  func take(for exchange: Exchange) -> Bool {
    if stream.isClosed { return false }
    if let timer { timers.disarm(timer) }
    self.exchange = exchange
    phase = .head
    isHeadRequest = exchange.request.method == .head
    isRequestComplete = false
    exchange.trace.connected(label, isReused: hasServed, at: timers.now)
    hasServed = true
    return true
  }

  func becomeIdle() {
    phase = .idle
    idleSince = timers.now
    if let timer { timers.schedule(timer, at: idleSince + idleTimeout) }
  }

  func closeIdle() { close() }

  func timerFired(_ timer: TimerWheel.Timer) { close() }

  private func close() {
    // Not the stream's own flag: it closes itself before it tells of a failure.
    if isClosed { return }
    isClosed = true
    if let timer { timers.release(timer) }
    timer = nil
    // Not back to the pool: a caller further up may be reading from it.
    input = nil
    exchange = nil
    stream.close()
    pool.lost(self)
  }

  // MARK: The request

  var hasBacklog: Bool { stream.isFull }

  var bodySink: Stream? { isChunkedRequest ? nil : stream }

  func sendHead(of exchange: Exchange) {
    isChunkedRequest = exchange.request.framing == .chunked
    RequestWriter.write(exchange, to: pool.target, stream)
  }

  func sendData(_ bytes: Span<UInt8>) {
    if bytes.count == 0 { return }
    if isChunkedRequest {
      stream.write(capacity: ChunkWriter.sizeLineCapacity) { ChunkWriter.writeSizeLine(bytes.count, into: &$0) }
      stream.write(bytes)
      stream.write(capacity: 2) { $0.append(ChunkWriter.dataEnd) }
    } else {
      stream.write(bytes)
    }
  }

  /// RFC 9110 §6.5.1: trailers go only to those who said that they take them, which a server has no way to do.
  func sendTrailers(_ fields: [Field], _ bytes: Span<UInt8>) {}

  func sendEnd() {
    isRequestComplete = true
    if isChunkedRequest { stream.write(capacity: 5) { $0.append(ChunkWriter.end) } }
  }

  func flush() { stream.flush() }
  func pauseResponse() { stream.pause() }
  func resumeResponse() { stream.resume() }

  func letGo() {
    exchange = nil
    stream.endRelay()
    if stream.isClosed { return close() }
    if case .complete = phase, isReusable { return goBack() }
    // An answer that ends soon is cheaper to read than a new connection is to make.
    if !isRequestComplete || !mayKeepAlive || stream.hasWriteFailed { return close() }
    switch phase {
    case .body, .chunked, .trailers:
      drainBudget = Self.drainLimit
      stream.resume()
      if let timer { timers.schedule(timer, after: Self.drainTime) }
    case .idle, .head, .untilClose, .complete: close()
    }
  }

  private var isReusable: Bool {
    isRequestComplete && mayKeepAlive && stream.unsent == 0 && !stream.hasWriteFailed && !stream.hasEnded
  }

  private func goBack() {
    drainBudget = nil
    phase = .idle
    stream.resume()
    if stream.isQuiet {
      if let timer { timers.disarm(timer) }
      return pool.giveBack(self)
    }
    isSettling = true
    if let timer { timers.schedule(timer, after: Self.drainTime) }
  }

  // MARK: The response

  func streamDidConnect(_ stream: Stream) {}

  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    if case .idle = phase { return close() }
    exchange?.noteResponseByte()
    do throws(WireError) {
      if let input {
        input.append(bytes)
        let taken = try take(input)
        input.consume(taken)
        if input.isEmpty, !stream.isClosed { releaseInput() }
      } else {
        let taken = try take(bytes)
        if stream.isClosed { return }
        if taken < bytes.count { keep(bytes.extracting(taken...)) } else { relayBody() }
      }
    } catch {
      fail(GatewayError(.malformedResponse(error.rule)))
    }
  }

  /// The rest of a large body need not be looked at.
  private func relayBody() {
    guard case .body(let remaining) = phase, remaining >= Stream.worthRelaying, let sink = exchange?.responseSink else {
      return
    }
    stream.relay(to: sink, atMost: remaining)
  }

  func stream(_ stream: Stream, didRelay count: Int) {
    guard case .body(let remaining) = phase, let exchange else { return stream.endRelay() }
    phase = .body(remaining: remaining - UInt64(count))
    exchange.responseRelayed(count)
    if remaining == UInt64(count) { complete() } else if exchange.responseSink == nil { stream.endRelay() }
  }

  private func take(_ buffer: ByteBuffer) throws(WireError) -> Int {
    try buffer.withSpan { (bytes) throws(WireError) -> Int in try take(bytes) }
  }

  private func keep(_ bytes: Span<UInt8>) {
    let buffer = input ?? stream.loop.buffers.acquire()
    buffer.append(bytes)
    input = buffer
  }

  private func releaseInput() {
    if let input { stream.loop.buffers.release(input) }
    input = nil
    parsedBytes = 0
  }

  /// Takes bytes of the response as far as they are complete.
  /// - Returns: how many were taken; the others are the start of a head or trailer section, or too many.
  private func take(_ bytes: Span<UInt8>) throws(WireError) -> Int {
    var offset = 0
    while offset < bytes.count, !stream.isClosed {
      let rest = bytes.extracting(offset...)
      switch phase {
      case .idle:
        // Bytes behind the message: whose answer they are nobody can know.
        close()
      case .complete:
        mayKeepAlive = false
        return bytes.count
      case .head:
        let count = try takeHead(rest)
        if count == 0 { return offset }
        offset += count
      case .body(let remaining):
        let count = Int(min(remaining, UInt64(rest.count)))
        phase = .body(remaining: remaining - UInt64(count))
        if count < rest.count { mayKeepAlive = false }
        deliver(rest.extracting(0..<count))
        offset += count
        if remaining == UInt64(count) { complete() }
      case .chunked:
        switch try decoder.next(bytes, from: offset) {
        case .data(let range):
          deliver(bytes.extracting(range))
          offset = range.upperBound
        case .needMore: return bytes.count
        case .trailers(let start):
          offset = start
          phase = .trailers
          if offset == bytes.count { return offset }
        }
      case .trailers:
        let count = try takeTrailers(rest)
        if count == 0 { return offset }
        offset += count
      case .untilClose:
        deliver(rest)
        return bytes.count
      }
    }
    return offset
  }

  private func deliver(_ bytes: Span<UInt8>) {
    if bytes.count == 0 { return }
    if let exchange { return exchange.responseData(bytes) }
    guard let budget = drainBudget else { return }
    drainBudget = budget - bytes.count
    if budget < bytes.count { close() }
  }

  /// - Returns: 0 when the head is not complete.
  private func takeHead(_ bytes: Span<UInt8>) throws(WireError) -> Int {
    let limits = HeadLimits(bytes: pool.target.responseHeadBytes, fields: pool.target.responseFields)
    if parsedBytes > 0, !RequestHead.mayComplete(bytes, seen: parsedBytes, limits: limits) { return 0 }
    let worker = pool.worker
    guard let count = try worker.responseHead.parse(bytes, isHeadRequest: isHeadRequest, limits: limits) else {
      parsedBytes = bytes.count
      return 0
    }
    parsedBytes = 0
    if worker.responseHead.status < 200 {
      // We never ask for an upgrade, so nobody may switch protocols on us.
      if worker.responseHead.status == 101 { throw WireError(.malformedStatusLine) }
      exchange?.informational(worker.responseHead, bytes)
      return count
    }
    hasAnswered = true
    pool.noteAnswer(worker.responseHead.status)
    mayKeepAlive = worker.responseHead.keepsAlive
    dropsTrailers = worker.responseHead.namesHopByHopFields
    if let seconds = worker.responseHead.keepAliveTimeout {
      idleTimeout = min(pool.target.idleTimeout, max(0, Int64(seconds) - 1) * 1_000_000_000)
      if idleTimeout == 0 { mayKeepAlive = false }
    }
    let isEmpty: Bool
    switch worker.responseHead.framing {
    case .none, .length(0):
      isEmpty = true
      phase = .complete
    case .length(let length):
      isEmpty = false
      phase = .body(remaining: length)
    case .chunked:
      isEmpty = false
      decoder = ChunkedDecoder()
      phase = .chunked
    case .untilClose:
      isEmpty = false
      mayKeepAlive = false
      phase = .untilClose
    }
    // What follows the head in this piece decides, before anybody else gets the connection, whether it stays whole.
    if isEmpty, bytes.count > count { mayKeepAlive = false }
    exchange?.responseHead(worker.responseHead, bytes)
    // A replay has let go of the connection by now; it may be in the pool, or at work for the next request.
    if isEmpty, case .complete = phase { complete() }
    return count
  }

  private func takeTrailers(_ bytes: Span<UInt8>) throws(WireError) -> Int {
    let limits = HeadLimits(bytes: pool.target.responseHeadBytes, fields: pool.target.responseFields)
    guard let count = try pool.worker.trailers.parse(bytes, limits: limits) else { return 0 }
    if bytes.count > count { mayKeepAlive = false }
    if !dropsTrailers { exchange?.responseTrailers(pool.worker.trailers.fields, bytes) }
    complete()
    return count
  }

  private func complete() {
    if stream.isClosed { return }
    phase = .complete
    // The exchange lets go of us from within, which is where the connection goes back to its pool.
    if let exchange { return exchange.responseEnd() }
    if drainBudget != nil { isReusable ? goBack() : close() }
  }

  func streamDidFinishReading(_ stream: Stream) {
    exchange?.flushResponse()
    guard isSettling, stream.isQuiet else { return }
    isSettling = false
    if let timer { timers.disarm(timer) }
    pool.giveBack(self)
  }

  func streamDidEnd(_ stream: Stream) {
    switch phase {
    case .untilClose where stream.endedCleanly:
      phase = .complete
      guard let exchange else { return close() }
      exchange.responseEnd()
    case .complete: mayKeepAlive = false
    case .idle: close()
    case .untilClose, .head, .body, .chunked, .trailers: fail(GatewayError(.connectionTerminated))
    }
  }

  func streamDidHangUp(_ stream: Stream) {
    if case .idle = phase { close() }
  }

  func streamDidDrain(_ stream: Stream) { exchange?.upstreamDrained() }

  /// The answer may be there although the request could not be sent whole: reading goes on.
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { mayKeepAlive = false }

  func streamDidFail(_ stream: Stream, _ error: StreamError) {
    if case .complete = phase {
      mayKeepAlive = false
      if exchange != nil { return }
    }
    fail(GatewayError(error))
  }

  private func fail(_ error: GatewayError) {
    let failed = exchange
    if failed != nil, !hasAnswered { pool.noteFailure() }
    close()
    failed?.upstreamFailed(error)
  }
}
