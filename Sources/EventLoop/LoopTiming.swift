// How long a loop's turns take: what an event waits for at worst before the loop looks at it.

/// Of one loop, since its start. A value that can be handed to another thread.
package struct LoopTiming: Sendable {
  /// Upper ends of the buckets, in nanoseconds.
  private static let inlineBounds: InlineArray<15, Int64> = [
    25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
    100_000_000, 250_000_000, 500_000_000, 1_000_000_000,
  ]
  package static let bounds = inlineBounds.indices.map { inlineBounds[$0] }
  /// How long a turn counts for `longest` at least, and at most twice as long.
  private static let window: Int64 = 30_000_000_000

  /// Turns by bucket; the last one has those above all bounds.
  package private(set) var turns: [UInt64]
  /// Nanoseconds of all turns.
  package private(set) var sum: UInt64 = 0
  private let bounds = Self.inlineBounds
  private var windowStart: Int64
  private var longestNow: Int64 = 0
  private var longestBefore: Int64 = 0

  init(now: Int64) {
    turns = [UInt64](repeating: 0, count: Self.bounds.count + 1)
    windowStart = now
  }

  /// A turn is over.
  mutating func note(_ nanoseconds: Int64, at now: Int64) {
    var bucket = 0
    while bucket < 15, nanoseconds > bounds[bucket] { bucket += 1 }
    turns[bucket] &+= 1
    sum &+= UInt64(max(0, nanoseconds))
    if now - windowStart >= Self.window { move(to: now) }
    if nanoseconds > longestNow { longestNow = nanoseconds }
  }

  private mutating func move(to now: Int64) {
    longestBefore = now - windowStart < 2 * Self.window ? longestNow : 0
    longestNow = 0
    windowStart = now
  }

  /// Nanoseconds of the longest turn of the last half to whole minute.
  package mutating func longest(at now: Int64) -> Int64 {
    if now - windowStart >= Self.window { move(to: now) }
    return max(longestNow, longestBefore)
  }
}
