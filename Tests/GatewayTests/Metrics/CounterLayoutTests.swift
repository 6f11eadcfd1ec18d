// What a reload adds gets rows of its own; numbers that were counted before stay with their names.
import EventLoop
import Testing

@testable import Gateway

@Suite struct CounterLayoutTests {
  /// Every cell has a number of its own, so that each must arrive where it belongs.
  @Test(arguments: [
    (CounterLayout(routes: 2, credentials: 1, listeners: 1, upstreams: 3), 0),
    (CounterLayout(routes: 5, credentials: 3, listeners: 2, upstreams: 4), 1),
    (CounterLayout(routes: 2, credentials: 1, listeners: 1, upstreams: 9), 2),
  ]) func cellsMoveWithTheirRows(_ later: CounterLayout, _ number: Int) {
    let layout = CounterLayout(routes: 2, credentials: 1, listeners: 1, upstreams: 3)
    let cells = (0..<layout.count).map { UInt64($0 + 1) }
    let moved = layout.moved(cells, to: later)
    #expect(moved.count == later.count)
    #expect(moved.reduce(0, +) == cells.reduce(0, +), "nothing is lost")
    var (before, after) = (CounterSnapshot(layout), CounterSnapshot(later))
    before.add(cells)
    after.add(moved)
    for (row, place) in [(0, 0), (1, 1), (layout.noRoute, later.noRoute)] {
      #expect(before.route(row).statuses == after.route(place).statuses)
      #expect(before.route(row).replaysFailed == after.route(place).replaysFailed)
      #expect(before.durations(ofRoute: row) == after.durations(ofRoute: place))
      #expect(before.firstBytes(ofRoute: row) == after.firstBytes(ofRoute: place))
      for reason in ErrorReason.allCases {
        #expect(before.errors(ofRoute: row, reason) == after.errors(ofRoute: place, reason))
      }
    }
    for cell in CounterLayout.CredentialCell.allCases {
      #expect(before.credential(0, cell) == after.credential(0, cell))
    }
    for cell in CounterLayout.ListenerCell.allCases { #expect(before.listener(0, cell) == after.listener(0, cell)) }
    for upstream in 0..<3 {
      for cell in CounterLayout.UpstreamCell.allCases {
        #expect(before.upstream(upstream, cell) == after.upstream(upstream, cell))
      }
    }
    #expect(before[.begun] == after[.begun] && before[.accessLogDropped] == after[.accessLogDropped])
  }

  /// With very many routes what takes many cells is counted for all of them together, also what was counted before.
  @Test func manyRoutesAreCountedTogether() {
    let layout = CounterLayout(routes: 2, credentials: 0, listeners: 1, upstreams: 0)
    let later = CounterLayout(
      routes: CounterLayout.detailedRoutes + 1, credentials: 0, listeners: 1, upstreams: 0)
    let moved = layout.moved([UInt64](repeating: 1, count: layout.count), to: later)
    var after = CounterSnapshot(later)
    after.add(moved)
    #expect(after.durations(ofRoute: 0).count == UInt64(3 * TimeBuckets.count))
    #expect(moved.reduce(0, +) == UInt64(layout.count))
  }

  /// A name keeps its place; what has gone and comes back has the one that it had.
  @Test func placesStay() {
    func configuration(_ listeners: String...) -> GatewayConfiguration {
      GatewayConfiguration(
        listeners: listeners.map { ListenerConfiguration(name: $0, address: .ipv4(0x7f00_0001, port: 0)) })
    }
    var places = PlanPlaces(configuration("a", "b"))
    #expect(places.ofListeners == [0, 1])
    places.take(configuration("c", "b"))
    #expect(places.ofListeners == [2, 1] && places.listeners == ["a", "b", "c"])
    places.take(configuration("a", "c"))
    #expect(places.ofListeners == [0, 2] && places.listeners.count == 3)
  }
}
