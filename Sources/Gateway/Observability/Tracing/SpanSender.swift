// Sends spans to the collector, one call at a time; what waits for that is bounded.
internal import EventLoop
internal import HTTPWire
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class SpanSender: TimerHandler {
  private struct Batch {
    let text: ByteBuffer
    var count: Int
  }

  /// What came of a call.
  enum Outcome {
    case sent(spans: Int)
    case lost(spans: Int, SpanLoss)
    /// It went wrong, and will be made again.
    case delayed
  }

  private let loop: EventLoop
  private let transport: CurlTransport
  /// - Parameter reason: a short word; nil with what went well.
  private let report: (_ outcome: Outcome, _ reason: String?) -> Void
  private var configuration: OTLPConfiguration
  private var head: [UInt8]
  private let instance: String
  /// The oldest first; the last one may be growing.
  private var batches: [Batch] = []
  /// Spans in them.
  private(set) var waiting = 0
  /// The call that is under way, or will be made again.
  private var call: (request: GrantRequest, count: Int)?
  private var isUnderWay = false
  private var export = SpanExport()
  private var timer: TimerWheel.Timer?
  private var random = SystemRandomNumberGenerator()
  /// Told when nothing is left.
  private var finished: (() -> Void)?

  init(
    _ loop: EventLoop, _ configuration: OTLPConfiguration, instance: String, lookUp: @escaping NameLookup,
    report: @escaping (Outcome, String?) -> Void
  ) {
    self.loop = loop
    self.configuration = configuration
    self.instance = instance
    self.report = report
    head = SpanText.head(service: configuration.serviceName, instance: instance)
    transport = CurlTransport(loop, userAgent: "gateway/\(Version.text)", lookUp: lookUp)
    timer = loop.timers.make(self)
  }

  /// For the next call; one that is to be made again goes where it went.
  func use(_ configuration: OTLPConfiguration) {
    self.configuration = configuration
    head = SpanText.head(service: configuration.serviceName, instance: instance)
  }

  /// Host and port, for messages.
  var collector: String { configuration.url.authority }

  var hasRoom: Bool { waiting + (call?.count ?? 0) < configuration.queue }

  /// Takes a span, which is there is room for.
  func add(_ write: (ByteBuffer) -> Void) {
    if batches.last.map({ $0.count >= configuration.batch }) ?? true {
      batches.append(Batch(text: ByteBuffer(capacity: 4096), count: 0))
    }
    let last = batches.count - 1
    if batches[last].count > 0 { batches[last].text.append(capacity: 1) { $0.append(UInt8(ascii: ",")) } }
    write(batches[last].text)
    batches[last].count += 1
    waiting += 1
  }

  /// Sends what there is, unless a call is under way or waits.
  func start() {
    if call != nil { return }
    guard let batch = batches.first else { return finish() }
    batches.removeFirst()
    waiting -= batch.count
    let head = head
    let body = batch.text.withSpan { Self.body(head.span, $0) }
    let request = GrantRequest(
      url: configuration.url.text,
      headers: [("Content-Type", Secret("application/json"))] + configuration.headers.map { ($0.name, $0.value) },
      body: Secret(String(decoding: body, as: UTF8.self)), spendsRefreshToken: false)
    call = (request, batch.count)
    post(request)
  }

  private static func body(_ head: Span<UInt8>, _ spans: Span<UInt8>) -> [UInt8] {
    let tail = SpanText.tail
    return [UInt8](capacity: head.count + spans.count + tail.count) { out in
      out.append(copying: head)
      out.append(copying: spans)
      out.append(copying: tail.span)
    }
  }

  private func post(_ request: GrantRequest) {
    isUnderWay = true
    let options = GrantTransportOptions(
      caFile: configuration.caFile, allowsPlaintext: true, timeout: configuration.timeout)
    transport.send(request, options: options) { [weak self] in self?.answered($0) }
  }

  private func answered(_ result: Result<GrantResponse, GrantTransportFailure>) {
    isUnderWay = false
    guard let (_, count) = call else { return }
    let reason: String? =
      switch result {
      case .success(let response): (200..<300).contains(response.status) ? nil : "http_\(response.status)"
      case .failure(let failure): failure.code
      }
    let jitter = Double.random(in: -1...1, using: &random)
    switch export.judge(result, count: count, isLast: finished != nil, jitter: jitter) {
    case .taken(let refused):
      call = nil
      report(.sent(spans: count - refused), nil)
      if refused > 0 { report(.lost(spans: refused, .refused), "partial_success") }
    case .lost(let loss):
      call = nil
      report(.lost(spans: count, loss), reason)
    case .again(let pause):
      report(.delayed, reason)
      if let timer { loop.timers.schedule(timer, after: pause.nanoseconds) }
      return
    }
    start()
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    // While it ends, the timer is the time that there is for it.
    if finished != nil { return giveUp() }
    if let call, !isUnderWay { post(call.request) }
  }

  // MARK: The end

  /// Sends what is left, without a second call for anything, and gives up what is left after that time, or when the
  /// time for a call is over. `completion` is called once, maybe before this returns.
  func finish(within nanoseconds: Int64, _ completion: @escaping () -> Void) {
    guard finished == nil, let timer else { return completion() }
    finished = completion
    loop.timers.schedule(timer, after: min(configuration.timeout.nanoseconds, max(0, nanoseconds)))
    if let call, !isUnderWay { post(call.request) } else { start() }
  }

  private func giveUp() {
    let lost = waiting + (call?.count ?? 0)
    batches.removeAll()
    waiting = 0
    call = nil
    if lost > 0 { report(.lost(spans: lost, .shutdown), "no_time_left") }
    finish()
  }

  private func finish() {
    guard let completion = finished.take() else { return }
    close()
    completion()
  }

  /// Nothing is sent any more.
  func close() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    call = nil
    transport.close()
  }
}
