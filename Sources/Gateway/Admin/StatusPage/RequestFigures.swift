// What the status page tells of requests, of one route or of all.

struct RequestFigures {
  /// Since the start.
  private(set) var total: UInt64 = 0
  /// Requests a second, over the last seconds; nil while there is nothing to compare with.
  private(set) var rate: Double?
  /// In the window: all, those that the caller got a 5xx for or nothing at all, and those with a 4xx.
  private(set) var count: UInt64 = 0
  private(set) var failures: UInt64 = 0
  private(set) var refusals: UInt64 = 0
  /// In the window, or since the start when nothing happened in it.
  private(set) var durations = HistogramCounts()
  private(set) var isLatencyRecent = true
  /// The most frequent reason of our own errors in the window, and how often it came up.
  private(set) var reason: (ErrorReason, UInt64)?

  init() {}

  /// - Parameter route: its place, or that of requests without one.
  init(_ counters: StatusCounters, route: Int) {
    let now = counters.now.route(route)
    let earlier = counters.earlier?.route(route)
    total = now.requests
    rate = counters.rate { $0.route(route).requests }
    func growth(_ value: (CounterSnapshot.Route) -> UInt64) -> UInt64 { earlier.map { value(now) &- value($0) } ?? 0 }
    count = growth(\.requests)
    failures = growth { $0.statuses[StatusClass.serverError.rawValue] &+ $0.statuses[StatusClass.none.rawValue] }
    refusals = growth { $0.statuses[StatusClass.clientError.rawValue] }
    guard counters.now.layout.isDetailed else { return }
    takeDetails(counters, route: route)
  }

  /// Of all requests. With very many routes, histograms and reasons are not told apart.
  init(all routes: [RequestFigures], _ counters: StatusCounters) {
    for figures in routes {
      total &+= figures.total
      if let rate = figures.rate { self.rate = (self.rate ?? 0) + rate }
      count &+= figures.count
      failures &+= figures.failures
      refusals &+= figures.refusals
    }
    if !counters.now.layout.isDetailed {
      takeDetails(counters, route: 0)
      return
    }
    for recent in [true, false] where durations.count == 0 {
      isLatencyRecent = recent
      for figures in routes where figures.isLatencyRecent == recent { durations.add(figures.durations) }
    }
    if durations.count == 0 { isLatencyRecent = true }
  }

  private mutating func takeDetails(_ counters: StatusCounters, route: Int) {
    durations = counters.now.durations(ofRoute: route)
    isLatencyRecent = false
    guard let earlier = counters.earlier else { return }
    let recent = durations.since(earlier.durations(ofRoute: route))
    if recent.count > 0 {
      durations = recent
      isLatencyRecent = true
    }
    if failures == 0, refusals == 0 { return }
    for known in ErrorReason.allCases {
      let count = counters.now.errors(ofRoute: route, known) &- earlier.errors(ofRoute: route, known)
      if count > reason?.1 ?? 0 { reason = (known, count) }
    }
  }

  func write(_ json: inout SnapshotWriter) {
    json.member("requests", total)
    json.member("rate", rounded: rate)
    json.member("recent", count)
    json.member("failures", failures)
    json.member("refusals", refusals)
    if let p50 = durations.quantile(0.5), let p99 = durations.quantile(0.99) {
      json.member("p50_ms", rounded: p50 / 1e6)
      json.member("p99_ms", rounded: p99 / 1e6)
      if !isLatencyRecent { json.member("latency_since_start", true) }
    }
    if let reason { json.member("reason", reason.0.label) }
  }
}

extension HistogramCounts {
  /// What has come since an earlier state.
  func since(_ earlier: HistogramCounts) -> HistogramCounts {
    HistogramCounts(buckets: zip(buckets, earlier.buckets).map { $0 &- $1 }, sum: sum &- earlier.sum)
  }

  mutating func add(_ other: HistogramCounts) {
    for index in buckets.indices where index < other.buckets.count { buckets[index] &+= other.buckets[index] }
    sum &+= other.sum
  }

  /// Nanoseconds that this part of all took at most, as if times were spread evenly within a bucket; what is above all
  /// bounds counts as the last of them. nil without observations.
  func quantile(_ part: Double) -> Double? {
    let total = count
    if total == 0 { return nil }
    let rank = part * Double(total)
    var below: UInt64 = 0
    for (index, bucket) in buckets.enumerated() {
      if Double(below &+ bucket) >= rank, bucket > 0 {
        guard index < TimeBuckets.bounds.count else { break }
        let start = index == 0 ? 0 : Double(TimeBuckets.bounds[index - 1])
        return start + (Double(TimeBuckets.bounds[index]) - start) * max(0, rank - Double(below)) / Double(bucket)
      }
      below &+= bucket
    }
    return TimeBuckets.bounds.last.map(Double.init)
  }
}
