// What a data loop counts, and how the counts of several are merged.
import EventLoop
import HTTPWire
import Testing
import TokenKit

@testable import Gateway

@Suite struct LoopCountersTests {
  private static let layout = CounterLayout(routes: 3, credentials: 2, listeners: 2, upstreams: 2)
  private static let large = CounterLayout(routes: 1001, credentials: 0, listeners: 1, upstreams: 0)

  private static func merged(_ loops: LoopCounters...) -> CounterSnapshot {
    var snapshot = CounterSnapshot(loops[0].layout)
    for var loop in loops {
      loop.settle()
      snapshot.add(loop.cells)
    }
    return snapshot
  }

  @Test func everyCellHasItsOwnPlace() {
    let layout = Self.layout
    var places: [Int] = CounterLayout.Cell.allCases.map(\.rawValue)
    for route in 0...3 {
      places += CounterLayout.RouteCell.allCases.map { layout.start(ofRoute: route) + $0.rawValue }
      places += (0..<CounterLayout.detail).map { layout.detailStart(route) + $0 }
    }
    for index in 0..<2 {
      places += CounterLayout.CredentialCell.allCases.map { layout.start(ofCredential: index) + $0.rawValue }
      places += CounterLayout.ListenerCell.allCases.map { layout.start(ofListener: index) + $0.rawValue }
      places += CounterLayout.UpstreamCell.allCases.map { layout.start(ofUpstream: index) + $0.rawValue }
    }
    #expect(places.sorted() == Array(0..<layout.count))
  }

  @Test func veryManyRoutesShareWhatTakesMuchRoom() {
    #expect(Self.large.detailStart(0) == Self.large.detailStart(1000) && !Self.large.isDetailed)
    #expect(Self.large.count < 1100 * CounterLayout.RouteCell.allCases.count)
    var counters = LoopCounters(Self.large)
    counters.firstByte(after: 1, route: 7)
    counters.firstByte(after: 1, route: 1000)
    counters.refused(GatewayError(.noRoute))
    counters.passedOn(5, route: 1000)
    let snapshot = Self.merged(counters)
    #expect(snapshot.firstBytes(ofRoute: 3).count == 2 && snapshot.errors(ofRoute: 0, .noRoute) == 1)
    #expect(snapshot.route(1000).bytesOut == 5 && snapshot.route(999).bytesOut == 0)
  }

  @Test(
    arguments: [
      (0, "none"), (100, "none"), (200, "2xx"), (299, "2xx"), (304, "3xx"), (404, "4xx"), (499, "4xx"), (500, "5xx"),
      (599, "5xx"), (999, "5xx"),
    ] as [(UInt16, String)]) func statusesAreClassed(_ status: UInt16, _ expected: String)
  {
    #expect(StatusClass.allCases[StatusClass.cell(status)].label == expected)
  }

  /// `le`: a value on the bound belongs to the bucket.
  @Test(
    arguments: [
      (-1, 0), (0, 0), (500_000, 0), (500_001, 1), (1_000_000, 1), (2_500_000, 2), (60_000_000_000, 15),
      (60_000_000_001, 16), (.max, 16),
    ] as [(Int64, Int)]) func timesFallIntoBuckets(_ nanoseconds: Int64, _ bucket: Int)
  {
    var counters = LoopCounters(Self.layout)
    counters.firstByte(after: nanoseconds, route: 1)
    let histogram = Self.merged(counters).firstBytes(ofRoute: 1)
    #expect(histogram.buckets.firstIndex(of: 1) == bucket && histogram.count == 1)
    #expect(histogram.sum == UInt64(max(0, nanoseconds)))
    var rare = HistogramCounts()
    rare.observe(nanoseconds)
    #expect(rare == histogram)
    #expect(TimeBuckets.bounds == TimeBuckets.bounds.sorted() && TimeBuckets.count == TimeBuckets.bounds.count + 1)
  }

  /// The comparisons on a request's way are those of the bounds.
  @Test func everyBoundIsWhereItsBucketEnds() {
    for (index, bound) in TimeBuckets.bounds.enumerated() {
      #expect(TimeBuckets.index(bound - 1) == index && TimeBuckets.index(bound) == index)
      #expect(TimeBuckets.index(bound + 1) == index + 1)
    }
  }

  @Test func loopsAreAddedUp() {
    var first = LoopCounters(Self.layout)
    var second = LoopCounters(Self.layout)
    first.began()
    first.began()
    second.began()
    first.received(10, route: 0)
    second.received(7, route: 0)
    first.judged(isRejection: true, isReplay: false, route: 2)
    second.judged(isRejection: true, isReplay: true, route: 2)
    second.judged(isRejection: false, isReplay: true, route: 2)
    first.add(.parks, credential: 1)
    second.add(.parks, credential: 1)
    // A connection that one loop took and another one closed.
    first.add(.open, listener: 1)
    first.add(.open, listener: 1)
    second.connectionClosed(listener: 1)
    first.set(.idle, to: 3, upstream: 1)
    second.set(.idle, to: 4, upstream: 1)
    second.set(.idle, to: 5, upstream: 1)
    let snapshot = Self.merged(first, second)
    #expect(snapshot.inFlight == 3 && snapshot.route(0).bytesIn == 17 && snapshot.route(1).bytesIn == 0)
    let route = snapshot.route(2)
    #expect(route.rejections == 2 && route.replaysRejected == 1 && route.replaysAccepted == 1)
    #expect(route.replaysFailed == 0 && route.requests == 0)
    #expect(snapshot.credential(1, .parks) == 2 && snapshot.credential(0, .parks) == 0)
    #expect(snapshot.listener(1, .open) == 1 && snapshot.upstream(1, .idle) == 8)
    // A loop that has never answered.
    var partial = CounterSnapshot(Self.layout)
    partial.add([])
    first.settle()
    partial.add(first.cells)
    #expect(partial.inFlight == 2)
  }

  @Test func refusalsAreRequestsWithoutARoute() {
    var counters = LoopCounters(Self.layout)
    for kind in [.noRoute, .noRoute, .malformed(WireError(.missingHost)), .notAllowed] as [GatewayError.Kind] {
      counters.refused(GatewayError(kind))
    }
    let snapshot = Self.merged(counters)
    #expect(snapshot.route(Self.layout.noRoute).statuses == [0, 0, 0, 4, 0])
    #expect(snapshot.errors(ofRoute: Self.layout.noRoute, .noRoute) == 2)
    #expect(snapshot.errors(ofRoute: Self.layout.noRoute, .malformed) == 1)
    #expect(snapshot.inFlight == 0 && snapshot.durations(ofRoute: Self.layout.noRoute).count == 0)
  }

  @Test func reasonsAreDifferentWordsAndKeepTheirSource() {
    #expect(Set(ErrorReason.allCases.map(\.label)).count == ErrorReason.allCases.count)
    for kind in [
      .malformed(WireError(.missingHost)), .loopDetected, .nameNotFound, .malformedResponse(.headTooLarge),
      .streamTimeout, .tokenUnavailable, .parkTimeout, .parkedTooMany, .draining, .internalError,
    ] as [GatewayError.Kind] {
      #expect(ErrorReason(kind).source == GatewayError(kind).source, "\(kind)")
    }
  }

  /// Parts may end within a row.
  @Test func partsKnowTheirUpstreams() {
    let layout = CounterLayout(routes: 1, credentials: 0, listeners: 1, upstreams: 5)
    let stride = CounterLayout.UpstreamCell.allCases.count
    #expect(layout.upstreams(in: 0..<layout.upstreams).isEmpty)
    #expect(layout.upstreams(in: 0..<layout.count) == 0..<5)
    #expect(layout.upstreams(in: layout.upstreams + stride - 1..<layout.upstreams + stride + 1) == 0..<2)
    #expect(layout.upstreams(in: layout.upstreams + stride..<layout.count) == 1..<5)
  }
}
