// Tracing as the control loop sees it: makes OTLP of what the data loops have written down, has it sent, and counts and
// tells what is lost.
internal import EventLoop
internal import HTTPWire
internal import Logging
internal import TokenKit
internal import TokenService

/// What became of spans so far, for metrics.
struct SpanCounts {
  var exported: UInt64 = 0
  /// Without those that data loops have dropped.
  var lost: [SpanLoss: UInt64] = [:]
}

/// Confined to the control loop.
final class TracingControl: TimerHandler {
  /// Between two warnings.
  private static let pause: Int64 = 60_000_000_000
  /// What the wall clock may drift from where spans believe it to be: within a trace they must agree.
  private static let tolerance: Int64 = 1_000_000

  private let loop: EventLoop
  private let logger: Logger
  private let instance: String
  private let lookUp: NameLookup
  private let giveBack: (SpanBuffer, _ worker: Int) -> Void
  private var text: SpanText
  /// nil before tracing is on for the first time; stays when it is turned off, for what is still to come.
  private var sender: SpanSender?
  /// nil: tracing is off.
  private var settings: TracingSettings?
  private var random = SpanRandom()
  private var clockOffset: Int64 = 0
  private(set) var counts = SpanCounts()
  private var untold: (spans: Int, reason: String)?
  private var timer: TimerWheel.Timer?

  /// - Parameters:
  ///   - instance: names the process.
  ///   - giveBack: sends an empty buffer to the data loop that it came from.
  init(
    _ loop: EventLoop, _ configuration: OTLPConfiguration?, _ places: PlanPlaces, instance: String, logger: Logger,
    lookUp: @escaping NameLookup, giveBack: @escaping (SpanBuffer, Int) -> Void
  ) {
    self.loop = loop
    self.logger = logger
    self.instance = instance
    self.lookUp = lookUp
    self.giveBack = giveBack
    text = SpanText(places)
    follow(configuration, places)
  }

  /// The configuration has changed.
  func follow(_ configuration: OTLPConfiguration?, _ places: PlanPlaces) {
    text.places = places
    settings = configuration?.tracing
    guard let configuration else { return }
    if let sender { return sender.use(configuration) }
    sender = SpanSender(loop, configuration, instance: instance, lookUp: lookUp) { [unowned self] in note($0, $1) }
  }

  /// Spans of a data loop.
  func receive(_ buffer: SpanBuffer, from worker: Int) {
    defer {
      var empty = buffer
      empty.removeAll()
      giveBack(empty, worker)
    }
    guard let sender else { return }
    let offset = offset()
    for (index, record) in buffer.records.enumerated() {
      guard sender.hasRoom else {
        note(.lost(spans: buffer.records.count - index, .queueFull), "collector_too_slow")
        break
      }
      sender.add { text.write(record, buffer.text.span, offset: offset, into: $0) }
    }
    sender.start()
  }

  /// A token call is over.
  func callEnded(_ call: GrantCallReport) {
    guard let settings, let sender else { return }
    let trace = random.nextTraceID()
    if !settings.samples(trace) { return }
    guard sender.hasRoom else { return note(.lost(spans: 1, .queueFull), "collector_too_slow") }
    let (id, offset) = (random.nextID(), offset())
    sender.add { SpanText.write(call, trace, id: id, offset: offset, into: $0) }
    sender.start()
  }

  /// Nanoseconds from CLOCK_BOOTTIME to CLOCK_REALTIME.
  private func offset() -> Int64 {
    let now = Process.wallClockNanoseconds() &- Process.bootClockNanoseconds()
    if abs(now &- clockOffset) > Self.tolerance { clockOffset = now }
    return clockOffset
  }

  // MARK: What is lost

  private func note(_ outcome: SpanSender.Outcome, _ reason: String?) {
    switch outcome {
    case .sent(let spans): counts.exported &+= UInt64(spans)
    case .lost(let spans, let loss):
      counts.lost[loss, default: 0] &+= UInt64(spans)
      warn(spans, reason ?? loss.rawValue)
    case .delayed: warn(0, reason ?? "")
    }
  }

  private func warn(_ spans: Int, _ reason: String) {
    untold = ((untold?.spans ?? 0) + spans, reason)
    if timer != nil { return }
    tell()
    let timer = loop.timers.make(self)
    self.timer = timer
    loop.timers.schedule(timer, after: Self.pause)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    if untold != nil {
      tell()
      return loop.timers.schedule(timer, after: Self.pause)
    }
    loop.timers.release(timer)
    self.timer = nil
  }

  private func tell() {
    guard let (spans, reason) = untold.take() else { return }
    logger.warning(
      "the collector does not take spans",
      metadata: ["collector": "\(sender?.collector ?? "")", "reason": "\(reason)", "dropped": "\(spans)"])
  }

  // MARK: The end

  /// All data loops have ended: sends what is left, for that long at most. `completion` is called once, maybe before this
  /// returns.
  func finish(within limit: Duration, _ completion: @escaping () -> Void) {
    guard let sender else { return completion() }
    sender.finish(within: limit.nanoseconds) { [self] in
      close()
      completion()
    }
  }

  private func close() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    let lost = counts.lost.values.reduce(0, &+)
    if lost > 0 { logger.notice("spans dropped in all", metadata: ["spans": "\(lost)"]) }
  }
}
