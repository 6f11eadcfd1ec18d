// What the last minute's figures are made from: snapshots of the counters, kept while somebody looks.

/// A value of the control loop.
struct StatusWindow {
  /// Nanoseconds that rates are averaged over, and those that errors and latencies are told of.
  static let rateSpan: Int64 = 5_000_000_000
  static let span: Int64 = 60_000_000_000
  /// Older than `rateSpan`, snapshots this far apart will do.
  private static let step: Int64 = 10_000_000_000

  /// The oldest first.
  private(set) var samples: [CounterSnapshot] = []

  var last: CounterSnapshot? { samples.last }

  /// A reload that changes what is counted begins a new window.
  mutating func add(_ sample: CounterSnapshot) {
    if let last, last.layout != sample.layout || last.time > sample.time { samples.removeAll() }
    samples.append(sample)
    let now = sample.time
    while samples.count > 1, now - samples[1].time >= Self.span { samples.removeFirst() }
    var index = 1
    while index + 1 < samples.count, now - samples[index].time > Self.rateSpan {
      if samples[index + 1].time - samples[index - 1].time <= Self.step {
        samples.remove(at: index)
      } else {
        index += 1
      }
    }
  }

  /// The newest snapshot that is at least so old, or the oldest; nil while there is only one.
  func before(_ span: Int64) -> CounterSnapshot? {
    guard samples.count > 1, let last else { return nil }
    return samples.last { last.time - $0.time >= span } ?? samples.first
  }
}

/// The counters now, with those of a while ago.
struct StatusCounters {
  let now: CounterSnapshot
  /// Up to `StatusWindow.rateSpan` ago.
  let recent: CounterSnapshot?
  /// Up to `StatusWindow.span` ago.
  let earlier: CounterSnapshot?

  init(_ window: StatusWindow, now: CounterSnapshot) {
    self.now = now
    recent = window.before(StatusWindow.rateSpan)
    earlier = window.before(StatusWindow.span)
  }

  /// Nanoseconds that errors and latencies are told of; nil while there is only one snapshot.
  var span: Int64? { earlier.map { now.time - $0.time } }

  /// How much a counter has grown in the window.
  func growth(_ value: (CounterSnapshot) -> UInt64) -> UInt64? { earlier.map { value(now) &- value($0) } }

  /// The same, a second.
  func rate(_ value: (CounterSnapshot) -> UInt64) -> Double? {
    guard let recent, now.time > recent.time else { return nil }
    return Double(value(now) &- value(recent)) / (Double(now.time - recent.time) / 1e9)
  }
}
