// The counters of all loops at one moment, merged: what metrics and the status page read.
internal import EventLoop

/// A value of the control loop.
struct CounterSnapshot {
  /// A row of the routes' table.
  struct Route {
    /// Answers, by status class.
    var statuses: [UInt64]
    var abandoned: UInt64
    var bytesIn: UInt64
    var bytesOut: UInt64
    var rejections: UInt64
    var replaysAccepted: UInt64
    var replaysRejected: UInt64
    var replaysFailed: UInt64

    var requests: UInt64 { statuses.reduce(0, &+) }
  }

  let layout: CounterLayout
  /// Nanoseconds of CLOCK_BOOTTIME.
  var time: Int64 = 0
  /// Cell by cell the sum over all loops.
  private(set) var cells: [UInt64]
  /// By loop; nil for one that has never answered.
  var loops: [LoopState?] = []
  /// Loops that did not answer in time: their numbers are those of an earlier answer.
  var lateLoops = 0

  init(_ layout: CounterLayout) {
    self.layout = layout
    cells = [UInt64](repeating: 0, count: layout.count)
  }

  /// Gauges of a loop go up and down by wrapping additions, so that their sums are right although parts may be negative.
  mutating func add(_ other: [UInt64]) {
    for index in cells.indices where index < other.count { cells[index] &+= other[index] }
  }

  // MARK: Reading

  subscript(_ cell: CounterLayout.Cell) -> UInt64 { cells[cell.rawValue] }

  /// Requests at hand.
  var inFlight: UInt64 { self[.begun] &- self[.ended] }

  /// - Parameter route: its place in the configuration, or `layout.noRoute`.
  func route(_ route: Int) -> Route {
    let start = layout.start(ofRoute: route)
    func value(_ cell: CounterLayout.RouteCell) -> UInt64 { cells[start + cell.rawValue] }
    return Route(
      statuses: Array(cells[start..<start + StatusClass.allCases.count]), abandoned: value(.abandoned),
      bytesIn: value(.bytesIn), bytesOut: value(.bytesOut), rejections: value(.rejections),
      replaysAccepted: value(.replaysAccepted), replaysRejected: value(.replaysRejected),
      replaysFailed: value(.replaysFailed))
  }

  /// From the request's head to the end of the answer; of all routes together when there are too many.
  func durations(ofRoute route: Int) -> HistogramCounts { histogram(layout.detailStart(route)) }

  /// From a connection for the request to the first byte of the upstream's answer.
  func firstBytes(ofRoute route: Int) -> HistogramCounts {
    histogram(layout.detailStart(route) + CounterLayout.histogram)
  }

  func errors(ofRoute route: Int, _ reason: ErrorReason) -> UInt64 {
    cells[layout.detailStart(route) + 2 * CounterLayout.histogram + reason.rawValue]
  }

  private func histogram(_ start: Int) -> HistogramCounts {
    HistogramCounts(
      buckets: Array(cells[start..<start + TimeBuckets.count]), sum: cells[start + TimeBuckets.count])
  }

  func credential(_ credential: Int, _ cell: CounterLayout.CredentialCell) -> UInt64 {
    // Those that no route uses may have none.
    guard credential < layout.credentialCount else { return 0 }
    return cells[layout.start(ofCredential: credential) + cell.rawValue]
  }

  func listener(_ listener: Int, _ cell: CounterLayout.ListenerCell) -> UInt64 {
    cells[layout.start(ofListener: listener) + cell.rawValue]
  }

  func upstream(_ upstream: Int, _ cell: CounterLayout.UpstreamCell) -> UInt64 {
    cells[layout.start(ofUpstream: upstream) + cell.rawValue]
  }
}
