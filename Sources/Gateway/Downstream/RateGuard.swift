// The minimum rate of a caller that sends a body or takes an answer: judged over whole intervals, so that a pause is
// no offence.

struct RateGuard {
  /// Nanoseconds over which the rate is measured.
  static let interval: Int64 = 30_000_000_000

  /// Bytes a second.
  private let minimum: UInt64
  private var received: UInt64 = 0
  private var receivedAtStart: UInt64 = 0
  private var sentAtStart: UInt64 = 0

  init(minimum: Int) { self.minimum = UInt64(max(0, minimum)) }

  mutating func add(_ count: Int) { received &+= UInt64(count) }

  /// - Parameter sent: all bytes that the caller has taken so far.
  mutating func start(sent: UInt64) {
    receivedAtStart = received
    sentAtStart = sent
  }

  /// Whether less than the minimum moved since `start`, an interval ago.
  func isTooSlow(sent: UInt64) -> Bool {
    (received &- receivedAtStart) &+ (sent &- sentAtStart) < minimum * UInt64(Self.interval / 1_000_000_000)
  }
}
