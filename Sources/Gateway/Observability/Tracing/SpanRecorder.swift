// A data loop's spans: continues or begins a trace for each request, and gathers what is finished for the control loop.
internal import EventLoop
internal import HTTPWire
internal import TokenKit

/// How a data loop traces; the same for all.
struct TracingSettings: Sendable, Equatable {
  /// Of new traces, those are sampled whose last 56 bits are not below this: what OpenTelemetry calls its threshold.
  private let threshold: UInt64
  /// Nanoseconds that a finished span waits at most.
  let interval: Int64

  /// - Parameter ratio: 0...1.
  init(ratio: Double, interval: Duration) {
    threshold = UInt64(((1 - min(1, max(0, ratio))) * 0x1p56).rounded())
    self.interval = interval.nanoseconds
  }

  /// Whether a new trace of that id is sampled.
  func samples(_ trace: TraceID) -> Bool { trace.low & 0xff_ffff_ffff_ffff >= threshold }
}

/// Confined to its loop. Nothing here allocates while requests go on, and nobody waits: spans that find no room are
/// dropped and counted.
final class SpanRecorder: TimerHandler {
  private let loop: EventLoop
  private var settings: TracingSettings
  private let send: (SpanBuffer) -> Void
  private var random = SpanRandom()
  private var filling = SpanBuffer()
  /// Takes the place of the one that leaves; nil while that is away.
  private var spare: SpanBuffer? = SpanBuffer()
  private var timer: TimerWheel.Timer?
  private var isArmed = false
  /// Spans that were lost.
  private(set) var dropped: UInt64 = 0

  init(_ loop: EventLoop, _ settings: TracingSettings, send: @escaping (SpanBuffer) -> Void) {
    self.loop = loop
    self.settings = settings
    self.send = send
    timer = loop.timers.make(self)
  }

  /// A reload: what was finished before it goes by the places of the configuration before.
  func use(_ settings: TracingSettings) {
    self.settings = settings
    handOver()
  }

  /// A new trace, or the caller's.
  func begin(_ head: borrowing RequestHead, _ bytes: Span<UInt8>) -> ExchangeSpan {
    if let context = TraceContext(of: head, bytes) { return ExchangeSpan(continuing: context, id: random.nextID()) }
    let trace = random.nextTraceID()
    return ExchangeSpan(beginning: trace, id: random.nextID(), isSampled: settings.samples(trace))
  }

  func makeID() -> UInt64 { random.nextID() }

  func record(
    _ record: SpanRecord, method: Span<UInt8> = Span(), base: Span<UInt8> = Span(), path: Span<UInt8> = Span()
  ) {
    guard filling.append(record, method: method, base: base, path: path) else {
      dropped &+= 1
      return
    }
    if filling.isHalfFull {
      handOver()
    } else if !isArmed, let timer {
      isArmed = true
      loop.timers.schedule(timer, at: loop.now + settings.interval)
    }
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    isArmed = false
    handOver()
  }

  /// While the other buffer is away this one goes on filling.
  private func handOver() {
    guard !filling.isEmpty, let next = spare.take() else { return }
    let full = filling
    filling = next
    send(full)
  }

  /// The control loop has read a buffer, and gives it back empty.
  func takeBack(_ buffer: SpanBuffer) {
    if spare != nil { return }
    spare = buffer
    if filling.isHalfFull || !isArmed { handOver() }
  }

  /// The loop ends, or traces no more.
  func close() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    if !filling.isEmpty { send(filling) }
    filling.removeAll()
  }
}
