// The minimum rate of a caller that sends a body or takes an answer: judged over whole intervals, so that a pause is
// no offence.

/// What a listener asks of its callers.
struct RateTerms {
  /// Nanoseconds over which a rate is measured: `stream_idle` within these bounds.
  private static let intervals: ClosedRange<Int64> = 10_000_000_000...30_000_000_000

  /// Nanoseconds between `start` and `isTooSlow`.
  let interval: Int64
  /// Bytes in an interval.
  let minimum: UInt64

  /// - Parameters:
  ///   - minimum: bytes a second. 0: no rate is asked for, but something must move within `streamIdle`.
  ///   - streamIdle: nanoseconds.
  init(minimum: Int, streamIdle: Int64) {
    if minimum > 0 {
      interval = min(max(streamIdle, Self.intervals.lowerBound), Self.intervals.upperBound)
      self.minimum = UInt64(minimum) * UInt64(interval / 1_000_000_000)
    } else {
      interval = streamIdle
      self.minimum = 1
    }
  }
}

/// What one connection has moved.
struct RateGuard {
  private var received: UInt64 = 0
  private var receivedAtStart: UInt64 = 0
  private var deliveredAtStart: UInt64 = 0

  mutating func add(_ count: Int) { received &+= UInt64(count) }

  /// - Parameter delivered: all bytes that have reached the caller so far.
  mutating func start(delivered: UInt64) {
    receivedAtStart = received
    deliveredAtStart = delivered
  }

  /// Whether less than the minimum moved since `start`, an interval ago.
  func isTooSlow(_ terms: RateTerms, delivered: UInt64) -> Bool {
    (received &- receivedAtStart) &+ (max(delivered, deliveredAtStart) - deliveredAtStart) < terms.minimum
  }
}
