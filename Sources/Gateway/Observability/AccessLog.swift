// A data loop's access log: lines gather in a buffer while requests end, and leave in one write at the end of the turn,
// or, when turns come thick and fast, of several turns.
internal import EventLoop
internal import HTTPWire

/// Confined to its loop. Never waits for the file: when that takes nothing, whole lines are dropped and counted.
final class AccessLog: Runnable, TimerHandler {
  private static let bufferSize = 64 * 1024
  /// Bytes that are worth a write of their own.
  private static let batch = 16 * 1024
  /// Between the writes of smaller batches: what a line waits at most, and a tick of the timers.
  private static let gathering: Int64 = 10_000_000
  /// Pause before the next try after the file took nothing, and between reports of what was dropped.
  private static let pause: Int64 = 50_000_000
  private static let reportPause: Int64 = 1_000_000_000
  /// How long the end waits for a pipe's reader.
  private static let lastTry: Int32 = 1000

  private let loop: EventLoop
  private let file: AccessLogFile
  private let report: (UInt64, SystemError?) -> Void
  private var line: AccessLogLine
  private let buffer = ByteBuffer(capacity: bufferSize)
  private var timer: TimerWheel.Timer?
  /// When the timer fires, if it is armed.
  private var armedFor = Int64.max
  private var isQueued = false
  private var isBlocked = false
  /// The file has the start of the first line in the buffer.
  private var isInLine = false
  private var unreported: UInt64 = 0
  private var lastReport = Int64.min
  private var lastWrite = Int64.min
  private var lastError: SystemError?
  /// Lines that were lost.
  private(set) var dropped: UInt64 = 0
  /// Lines wait for the file.
  var isHolding: Bool { !buffer.isEmpty }

  /// - Parameter report: told how many more lines were lost, once a second at most, and why, if the system said so.
  init(
    _ loop: EventLoop, _ file: AccessLogFile, _ line: AccessLogLine, report: @escaping (UInt64, SystemError?) -> Void
  ) {
    self.loop = loop
    self.file = file
    self.line = line
    self.report = report
    timer = loop.timers.make(self)
  }

  /// New settings: from the next line on.
  func use(_ line: AccessLogLine) { self.line = line }

  /// Another file takes its place while the loop goes on: what the file takes at once is written, the rest is dropped.
  func retire() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    flush()
    isBlocked = true
    dropBuffered()
    if unreported > 0 { sendReport() }
  }

  var destination: AccessLogFile { file }

  /// An exchange is over.
  func write(_ exchange: Exchange) {
    guard hasRoom() else { return }
    if exchange.trace.requestID == 0 { exchange.trace.requestID = exchange.worker.takeRequestID() }
    if exchange.trace.isAnswered, !exchange.trace.isCut {
      exchange.trace.bytesOut = Self.answerCount(exchange.trace, exchange.request)
    }
    exchange.requestBytes.withSpan { append(exchange, $0) }
  }

  /// A request got an answer of ours before it became an exchange.
  func write(
    refused head: borrowing RequestHead, _ bytes: Span<UInt8>, _ error: GatewayError, on connection: HTTP1Downstream,
    _ span: ExchangeSpan = ExchangeSpan()
  ) {
    guard hasRoom() else { return }
    var trace = ExchangeTrace(listener: connection.listener.index, begun: loop.now, sentBefore: 0)
    trace.answered(error)
    trace.requestID = connection.worker.takeRequestID()
    trace.bytesOut = Self.answerCount(trace, head)
    append(RefusedRequest(trace: trace, span: span, request: copy head, peer: connection.peer), bytes)
  }

  /// What came got an answer of ours, and is no request.
  func write(refused error: GatewayError, on connection: HTTP1Downstream) {
    write(refused: RequestHead(), Span(), error, on: connection)
  }

  /// Errors are rare: rendered a second time for their length.
  private static func answerCount(_ trace: ExchangeTrace, _ head: borrowing RequestHead) -> UInt64 {
    guard head.method != .head, let error = trace.error else { return 0 }
    return UInt64(ProblemResponse.body(of: error).utf8.count)
  }

  /// The line of a subject, if there is room for it.
  func write(_ subject: some AccessLogSubject, _ bytes: Span<UInt8>) { if hasRoom() { append(subject, bytes) } }

  private func append(_ subject: some AccessLogSubject, _ bytes: Span<UInt8>) {
    buffer.append(capacity: AccessLogLine.limit) { out in line.write(subject, bytes, now: loop.now, into: &out) }
    if isQueued || isBlocked { return }
    isQueued = true
    loop.runLater(self)
  }

  // MARK: Writing

  /// The turn is over.
  func runAgain() {
    isQueued = false
    if isBlocked { return }
    let isDue = lastWrite == .min || loop.now - lastWrite >= Self.gathering
    if isDue || buffer.count >= Self.batch { flush() } else { arm(at: lastWrite + Self.gathering) }
  }

  private func hasRoom() -> Bool {
    if Self.bufferSize - buffer.count < AccessLogLine.limit, !isBlocked { flush() }
    if Self.bufferSize - buffer.count >= AccessLogLine.limit { return true }
    drop(1)
    return false
  }

  private func flush() {
    lastWrite = loop.now
    while !buffer.isEmpty {
      switch buffer.withSpan({ file.write($0) }) {
      case .bytes(let count):
        isInLine = buffer.withSpan { $0[count - 1] } != AccessLogFile.lineEnd
        buffer.consume(count)
      case .full:
        return block()
      case .failed(let error):
        lastError = error
        dropBuffered()
        return block()
      }
    }
  }

  private func block() {
    isBlocked = true
    arm(at: loop.now + Self.pause)
  }

  /// Nothing can be written: the lines are lost, but for the rest of one that was begun.
  private func dropBuffered() {
    var kept = 0
    var lines: UInt64 = 0
    buffer.withSpan { bytes in
      for index in 0..<bytes.count where bytes[index] == AccessLogFile.lineEnd {
        if isInLine, lines == 0, kept == 0 { kept = index + 1 } else { lines += 1 }
      }
    }
    if kept > 0 { buffer.truncate(to: kept) } else { buffer.removeAll() }
    if lines > 0 { drop(lines) }
  }

  private func drop(_ lines: UInt64) {
    dropped &+= lines
    unreported &+= lines
    arm(at: loop.now + Self.pause)
  }

  private func arm(at deadline: Int64) {
    guard let timer, deadline < armedFor else { return }
    armedFor = deadline
    loop.timers.schedule(timer, at: deadline)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    armedFor = .max
    isBlocked = false
    flush()
    if unreported == 0 { return }
    if lastReport == .min || loop.now - lastReport >= Self.reportPause {
      sendReport()
    } else {
      arm(at: loop.now + Self.pause)
    }
  }

  private func sendReport() {
    lastReport = loop.now
    report(unreported, lastError)
    unreported = 0
    lastError = nil
  }

  /// The loop ends: everything is written, for which a slow reader gets a moment.
  func close() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    flush()
    if !buffer.isEmpty, lastError == nil, file.waitUntilWritable(milliseconds: Self.lastTry) { flush() }
    dropBuffered()
    if unreported > 0 { sendReport() }
  }
}

/// A request that got an answer before it became an exchange.
private final class RefusedRequest: AccessLogSubject {
  let trace: ExchangeTrace
  let span: ExchangeSpan
  let request: RequestHead
  let peer: SocketAddress
  var routeIndex: Int? { nil }
  var bytesIn: UInt64 { 0 }
  var isReplayed: Bool { false }

  init(trace: ExchangeTrace, span: ExchangeSpan, request: RequestHead, peer: SocketAddress) {
    self.trace = trace
    self.span = span
    self.request = request
    self.peer = peer
  }
}
