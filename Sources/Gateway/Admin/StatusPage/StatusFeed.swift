// Makes a snapshot each second while somebody looks, one for all who look, and nothing else.
internal import EventLoop

/// Confined to the control loop.
final class StatusFeed: TimerHandler, Runnable {
  /// Each costs a descriptor and, with a thousand routes, half a megabyte a second.
  static let mostReaders = 16
  private static let interval: Int64 = 1_000_000_000

  private struct Reader {
    weak var events: StatusEvents?
  }

  private unowned let plane: ControlPlane
  private let loop: EventLoop
  private var readers: [Reader] = []
  /// Those who want one snapshot, whatever comes after it.
  private var waiting: [([UInt8]) -> Void] = []
  private var window = StatusWindow()
  private var rendering: StatusRendering?
  private var isMaking = false
  private var timer: TimerWheel.Timer?
  private var latest: [UInt8]?

  init(_ plane: ControlPlane) {
    self.plane = plane
    loop = plane.loop
  }

  deinit { if let timer { loop.timers.release(timer) } }

  /// nil when there are too many already.
  func subscribe() -> StatusEvents? {
    readers.removeAll { $0.events == nil }
    guard readers.count < Self.mostReaders else { return nil }
    let events = StatusEvents()
    readers.append(Reader(events: events))
    // The last one is at most a second old; what follows has rates.
    if let latest { events.give(latest) }
    if timer == nil { make() }
    return events
  }

  /// One snapshot. Its rates and its last minute are those of the readers of events, if there are any.
  func snapshot(_ completion: @escaping ([UInt8]) -> Void) {
    waiting.append(completion)
    make()
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    readers.removeAll { $0.events == nil }
    if readers.isEmpty { return stop() }
    loop.timers.schedule(timer, at: loop.now + Self.interval)
    make()
  }

  /// What was kept for rates would be old when somebody comes again.
  private func stop() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    latest = nil
    window = StatusWindow()
  }

  private func make() {
    if timer == nil, !readers.isEmpty {
      let timer = loop.timers.make(self)
      self.timer = timer
      loop.timers.schedule(timer, at: loop.now + Self.interval)
    }
    if isMaking { return }
    isMaking = true
    plane.metricsReport { [weak self] in self?.render($0) }
  }

  private func render(_ metrics: MetricsReport) {
    if timer != nil { window.add(metrics.counters) }
    let counters = StatusCounters(timer == nil ? StatusWindow() : window, now: metrics.counters)
    rendering = StatusRendering(plane.statusReport(metrics, counters))
    runAgain()
  }

  func runAgain() {
    guard let rendering else { return }
    guard let snapshot = rendering.step() else { return loop.runLater(self) }
    self.rendering = nil
    isMaking = false
    if timer != nil { latest = snapshot }
    let completions = waiting
    waiting = []
    for completion in completions { completion(snapshot) }
    for reader in readers { reader.events?.give(snapshot) }
  }
}
