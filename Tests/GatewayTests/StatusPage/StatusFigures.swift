// Snapshots of counters as tests of the status page need them.
@testable import Gateway

struct StatusFigures {
  let layout: CounterLayout
  private var cells: [UInt64]

  init(routes: Int = 2, credentials: Int = 0, listeners: Int = 1, upstreams: Int = 1) {
    layout = CounterLayout(routes: routes, credentials: credentials, listeners: listeners, upstreams: upstreams)
    cells = [UInt64](repeating: 0, count: layout.count)
  }

  /// Answers of a route, each of which took so long.
  mutating func answer(
    _ count: UInt64, _ status: StatusClass, route: Int, nanoseconds: Int64 = 700_000, reason: ErrorReason? = nil
  ) {
    cells[layout.start(ofRoute: route) + status.rawValue] += count
    cells[layout.detailStart(route) + TimeBuckets.index(nanoseconds)] += count
    if let reason { cells[layout.detailStart(route) + 2 * CounterLayout.histogram + reason.rawValue] += count }
  }

  mutating func set(_ cell: CounterLayout.ListenerCell, to value: UInt64) {
    cells[layout.start(ofListener: 0) + cell.rawValue] = value
  }

  mutating func set(_ cell: CounterLayout.UpstreamCell, to value: UInt64) {
    cells[layout.start(ofUpstream: 0) + cell.rawValue] = value
  }

  /// As they are now, at that second.
  func at(_ second: Double) -> CounterSnapshot {
    var snapshot = CounterSnapshot(layout)
    snapshot.time = Int64(second * 1e9)
    snapshot.add(cells)
    return snapshot
  }
}
