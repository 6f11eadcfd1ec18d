// What the status page makes of counters at different times: rates, the last minute, latencies.
import Testing

@testable import Gateway

@Suite struct StatusWindowTests {
  private static func counters(_ samples: [CounterSnapshot]) -> StatusCounters {
    var window = StatusWindow()
    for sample in samples { window.add(sample) }
    return StatusCounters(window, now: samples[samples.count - 1])
  }

  @Test func aRateNeedsTwoSnapshots() {
    var figures = StatusFigures()
    figures.answer(50, .success, route: 0)
    let first = figures.at(100)
    let alone = RequestFigures(Self.counters([first]), route: 0)
    #expect(alone.rate == nil && alone.total == 50 && alone.count == 0, "what was before is not of the last minute")
    #expect(!alone.isLatencyRecent && alone.durations.count == 50)
    figures.answer(30, .success, route: 0)
    figures.answer(10, .clientError, route: 0)
    let both = RequestFigures(Self.counters([first, figures.at(102)]), route: 0)
    #expect(both.rate == 20 && both.total == 90 && both.count == 40 && both.refusals == 10 && both.failures == 0)
    #expect(both.isLatencyRecent && both.durations.count == 40)
    let other = RequestFigures(Self.counters([first, figures.at(102)]), route: 1)
    #expect(other.rate == 0 && other.durations.count == 0)
  }

  /// The rate is that of the last five seconds, failures are those of the last minute.
  @Test func spansDiffer() {
    var figures = StatusFigures()
    var samples: [CounterSnapshot] = []
    for second in 0...30 {
      samples.append(figures.at(Double(second)))
      figures.answer(second < 20 ? 100 : 10, .success, route: 0)
      if second == 3 { figures.answer(7, .serverError, route: 0, reason: .connectionRefused) }
      if second == 4 { figures.answer(2, .none, route: 0, reason: .streamTimeout) }
    }
    let counters = Self.counters(samples)
    let found = RequestFigures(counters, route: 0)
    #expect(found.rate == 10 && counters.span == 30_000_000_000)
    #expect(found.failures == 9 && found.count == 2100 + 9)
    #expect(found.reason?.0 == .connectionRefused && found.reason?.1 == 7)
  }

  /// An hour of looking does not take more memory than a minute.
  @Test func fewSnapshotsAreKept() {
    let figures = StatusFigures()
    var window = StatusWindow()
    for second in 0..<3600 {
      window.add(figures.at(Double(second)))
      #expect(window.samples.count <= 16)
      if second >= 70, let before = window.before(StatusWindow.span), let last = window.last {
        #expect((60_000_000_000...70_000_000_000).contains(last.time - before.time))
      }
      if second >= 6, let before = window.before(StatusWindow.rateSpan), let last = window.last {
        #expect(last.time - before.time == 5_000_000_000)
      }
    }
  }

  /// After a reload that adds routes, cells of before mean something else.
  @Test func anotherLayoutBeginsAnew() {
    var window = StatusWindow()
    window.add(StatusFigures(routes: 2).at(1))
    window.add(StatusFigures(routes: 2).at(2))
    window.add(StatusFigures(routes: 3).at(3))
    #expect(window.samples.count == 1 && window.before(StatusWindow.span) == nil)
  }

  /// With more routes than are counted one by one, all have latencies and reasons together.
  @Test func veryManyRoutesShareTheirLatencies() {
    var figures = StatusFigures(routes: CounterLayout.detailedRoutes + 1)
    let first = figures.at(0)
    figures.answer(10, .success, route: 5)
    figures.answer(10, .serverError, route: 6, reason: .tlsFailure)
    let counters = Self.counters([first, figures.at(1)])
    let routes = (0..<figures.layout.routeCount).map { RequestFigures(counters, route: $0) }
    #expect(routes[5].count == 10 && routes[5].durations.count == 0 && routes[6].reason == nil)
    let all = RequestFigures(all: routes, counters)
    #expect(all.count == 20 && all.failures == 10 && all.durations.count == 20 && all.rate == 20)
    #expect(all.reason?.0 == .tlsFailure)
  }

  @Test func allRoutesAreAddedUp() {
    var figures = StatusFigures()
    let first = figures.at(0)
    figures.answer(99, .success, route: 0, nanoseconds: 1_500_000)
    figures.answer(1, .success, route: 1, nanoseconds: 40_000_000_000)
    let counters = Self.counters([first, figures.at(2)])
    let all = RequestFigures(all: [RequestFigures(counters, route: 0), RequestFigures(counters, route: 1)], counters)
    #expect(all.durations.count == 100 && all.rate == 50 && all.isLatencyRecent)
    #expect((all.durations.quantile(0.5) ?? 0) < 2_500_000)
    #expect((all.durations.quantile(0.995) ?? 0) > 30_000_000_000)
  }

  @Test(arguments: [
    // times, part, least, most
    ([Int64](), 0.5, nil as ClosedRange<Double>?),
    ([400_000], 0.5, 0...500_000),
    ([400_000, 900_000], 0.99, 500_000...1_000_000),
    ([Int64](repeating: 700_000, count: 99) + [9_000_000], 0.5, 500_000...1_000_000),
    ([Int64](repeating: 700_000, count: 98) + [9_000_000, 9_000_000], 0.99, 5_000_000...10_000_000),
    // Above all bounds it counts as the last one.
    ([90_000_000_000], 0.5, 60_000_000_000...60_000_000_000),
    ([700_000, 90_000_000_000], 0.99, 60_000_000_000...60_000_000_000),
  ])
  func quantiles(times: [Int64], part: Double, range: ClosedRange<Double>?) {
    var counts = HistogramCounts()
    for time in times { counts.observe(time) }
    let found = counts.quantile(part)
    #expect((found == nil) == (range == nil))
    if let found, let range { #expect(range.contains(found), "\(found)") }
  }
}
