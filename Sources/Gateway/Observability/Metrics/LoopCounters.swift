// A data loop's counters: plain integers that nobody else touches. Counting is adding to a few of them; nothing is
// allocated, and other threads get copies.

/// Confined to its loop.
struct LoopCounters {
  let layout: CounterLayout
  private(set) var cells: [UInt64]

  // Kept at hand for the way of a request.
  private let routes: Int
  private let routeStride = CounterLayout.RouteCell.allCases.count
  private let details: Int
  /// 0 when all routes share one row.
  private let detailStride: Int
  private let firstBytes = CounterLayout.histogram
  private let errors = 2 * CounterLayout.histogram

  init(_ layout: CounterLayout) {
    self.layout = layout
    cells = [UInt64](repeating: 0, count: layout.count)
    routes = layout.routes
    details = layout.details
    detailStride = layout.isDetailed ? CounterLayout.detail : 0
  }

  /// The same numbers where there are more rows.
  init(_ layout: CounterLayout, after other: LoopCounters) {
    self.init(layout)
    cells = other.layout.moved(other.cells, to: layout)
  }

  /// These rows are others' from now on.
  mutating func clear(_ places: PlanPlaces.Chosen) {
    for range in layout.ranges(of: places) { for index in range { cells[index] = 0 } }
  }

  /// Requests that became exchanges.
  private(set) var begun: UInt64 = 0

  // MARK: Requests

  mutating func began() { begun &+= 1 }

  /// An exchange is over.
  mutating func ended(_ exchange: Exchange, now: Int64) {
    let route = Int(exchange.plan.index)
    let row = routes &+ route &* routeStride
    let detail = details &+ route &* detailStride
    let errors = errors
    // One look at who else holds the cells, instead of one for each of them.
    var cells = cells.mutableSpan
    cells[CounterLayout.Cell.ended.rawValue] &+= 1
    cells[row &+ StatusClass.cell(exchange.trace.loggedStatus)] &+= 1
    Self.observe(now &- exchange.trace.begun, &cells, detail)
    if exchange.trace.isDownstreamGone { cells[row &+ CounterLayout.RouteCell.abandoned.rawValue] &+= 1 }
    if exchange.machine.hasReplayed, exchange.trace.upstreamStatus == 0 {
      cells[row &+ CounterLayout.RouteCell.replaysFailed.rawValue] &+= 1
    }
    guard exchange.trace.isCut || exchange.trace.isAnswered, let error = exchange.trace.error else { return }
    cells[detail &+ errors &+ ErrorReason(error.kind).rawValue] &+= 1
  }

  /// A request that did not become an exchange was answered.
  mutating func refused(_ error: GatewayError) {
    cells[layout.start(ofRoute: layout.noRoute) + StatusClass.cell(error.status)] &+= 1
    cells[layout.detailStart(layout.noRoute) + errors + ErrorReason(error.kind).rawValue] &+= 1
  }

  /// Bytes of a request's body came.
  mutating func received(_ count: Int, route: Int) {
    cells[routes &+ route &* routeStride &+ CounterLayout.RouteCell.bytesIn.rawValue] &+= UInt64(count)
  }

  /// Bytes of an answer's body were passed on.
  mutating func passedOn(_ count: Int, route: Int) {
    cells[routes &+ route &* routeStride &+ CounterLayout.RouteCell.bytesOut.rawValue] &+= UInt64(count)
  }

  /// The upstream has begun to answer.
  /// - Parameter nanoseconds: since there was a connection for the request.
  mutating func firstByte(after nanoseconds: Int64, route: Int) {
    let start = details &+ route &* detailStride &+ firstBytes
    var cells = cells.mutableSpan
    Self.observe(nanoseconds, &cells, start)
  }

  /// The head of an answer that refuses a lease, or that answers a replay.
  mutating func judged(isRejection: Bool, isReplay: Bool, route: Int) {
    let row = routes &+ route &* routeStride
    if isRejection { cells[row &+ CounterLayout.RouteCell.rejections.rawValue] &+= 1 }
    if isReplay {
      let outcome: CounterLayout.RouteCell = isRejection ? .replaysRejected : .replaysAccepted
      cells[row &+ outcome.rawValue] &+= 1
    }
  }

  @inline(__always)
  private static func observe(_ nanoseconds: Int64, _ cells: inout MutableSpan<UInt64>, _ start: Int) {
    cells[start &+ TimeBuckets.index(nanoseconds)] &+= 1
    cells[start &+ TimeBuckets.count] &+= UInt64(max(0, nanoseconds))
  }

  // MARK: What is rarer

  mutating func add(_ cell: CounterLayout.CredentialCell, credential: Int) {
    cells[layout.start(ofCredential: credential) + cell.rawValue] &+= 1
  }

  mutating func add(_ cell: CounterLayout.ListenerCell, listener: Int) {
    cells[layout.start(ofListener: listener) + cell.rawValue] &+= 1
  }

  mutating func connectionClosed(listener: Int) {
    cells[layout.start(ofListener: listener) + CounterLayout.ListenerCell.open.rawValue] &-= 1
  }

  /// Brings the cells up to date with what is counted beside them.
  mutating func settle() { cells[CounterLayout.Cell.begun.rawValue] = begun }

  /// What another object counts or holds, as it is now.
  mutating func set(_ cell: CounterLayout.Cell, to value: UInt64) { cells[cell.rawValue] = value }

  mutating func set(_ cell: CounterLayout.ListenerCell, to value: UInt64, listener: Int) {
    cells[layout.start(ofListener: listener) + cell.rawValue] = value
  }

  mutating func set(_ cell: CounterLayout.UpstreamCell, to value: UInt64, upstream: Int) {
    cells[layout.start(ofUpstream: upstream) + cell.rawValue] = value
  }
}
