// The buckets of all histograms of times, from half a millisecond to a minute.

enum TimeBuckets {
  /// Upper ends in nanoseconds, each within its bucket.
  static let bounds: [Int64] = [
    500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
    500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000, 30_000_000_000, 60_000_000_000,
  ]
  /// One more than there are bounds: what is above all of them.
  static let count = 17

  /// The bucket of a time: four comparisons with constants, for the way of a request.
  @inline(__always)
  static func index(_ time: Int64) -> Int {
    if time <= 50_000_000 {
      if time <= 2_500_000 { return time <= 1_000_000 ? (time <= 500_000 ? 0 : 1) : 2 }
      if time <= 10_000_000 { return time <= 5_000_000 ? 3 : 4 }
      return time <= 25_000_000 ? 5 : 6
    }
    if time <= 1_000_000_000 {
      if time <= 250_000_000 { return time <= 100_000_000 ? 7 : 8 }
      return time <= 500_000_000 ? 9 : 10
    }
    if time <= 10_000_000_000 { return time <= 2_500_000_000 ? 11 : time <= 5_000_000_000 ? 12 : 13 }
    return time <= 30_000_000_000 ? 14 : time <= 60_000_000_000 ? 15 : 16
  }
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

  /// The data loops count in their cells instead.
  mutating func observe(_ nanoseconds: Int64) {
    buckets[TimeBuckets.index(nanoseconds)] &+= 1
    sum &+= UInt64(max(0, nanoseconds))
  }
}
