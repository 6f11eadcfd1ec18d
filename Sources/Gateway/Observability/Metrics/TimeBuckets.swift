// The buckets of all histograms of times, from half a millisecond to a minute.

enum TimeBuckets {
  /// Upper ends in nanoseconds, each within its bucket. Without storage of its own, for the way of a request.
  static let inlineBounds: InlineArray<16, Int64> = [
    500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
    500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000, 30_000_000_000, 60_000_000_000,
  ]
  static let bounds = inlineBounds.indices.map { inlineBounds[$0] }
  /// One more than there are bounds: what is above all of them.
  static let count = 17
}

/// A histogram at one moment. Its count is that of all buckets.
struct HistogramCounts: Equatable {
  /// Not cumulative; the last one has what is above all bounds.
  var buckets: [UInt64]
  /// Nanoseconds.
  var sum: UInt64 = 0

  init(buckets: [UInt64] = [UInt64](repeating: 0, count: TimeBuckets.count), sum: UInt64 = 0) {
    self.buckets = buckets
    self.sum = sum
  }

  var count: UInt64 { buckets.reduce(0, &+) }

  /// For what is counted rarely; the data loops count in their cells.
  mutating func observe(_ nanoseconds: Int64) {
    buckets[TimeBuckets.bounds.firstIndex { nanoseconds <= $0 } ?? TimeBuckets.bounds.count] &+= 1
    sum &+= UInt64(max(0, nanoseconds))
  }
}
