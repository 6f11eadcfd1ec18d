// The two clocks of the token domain: one to count on, one to compare with what servers and the store say.

/// A moment on CLOCK_BOOTTIME, in nanoseconds. Deadlines count on it: it goes on while the machine sleeps and never
/// jumps with the wall clock.
public struct BootInstant: Sendable, Hashable, Comparable {
  /// Nanoseconds since boot.
  public var nanoseconds: Int64

  /// A moment from its nanoseconds since boot.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// Order in time.
  public static func < (a: BootInstant, b: BootInstant) -> Bool { a.nanoseconds < b.nanoseconds }
  /// The moment `duration` later; saturates instead of overflowing.
  public static func + (a: BootInstant, duration: Duration) -> BootInstant {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(duration.nanoseconds)
    return BootInstant(nanoseconds: overflow ? (duration < .zero ? .min : .max) : sum)
  }
  /// The moment `duration` earlier; saturates.
  public static func - (a: BootInstant, duration: Duration) -> BootInstant { a + (.zero - duration) }
  /// The time between two moments.
  public static func - (a: BootInstant, b: BootInstant) -> Duration { .nanoseconds(a.nanoseconds - b.nanoseconds) }
}

/// A moment on the wall clock, in milliseconds since 1970 (UTC).
public struct WallTime: Sendable, Hashable, Comparable {
  /// Milliseconds since 1970-01-01T00:00:00Z.
  public var milliseconds: Int64

  /// A moment from its milliseconds since 1970 (UTC).
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// Order in time.
  public static func < (a: WallTime, b: WallTime) -> Bool { a.milliseconds < b.milliseconds }
  /// The time between two moments.
  public static func - (a: WallTime, b: WallTime) -> Duration { .milliseconds(a.milliseconds - b.milliseconds) }
  /// The moment `duration` later.
  public static func + (a: WallTime, duration: Duration) -> WallTime {
    WallTime(milliseconds: a.milliseconds &+ duration.nanoseconds / 1_000_000)
  }
}

extension Duration {
  /// Whole nanoseconds, saturated to what 64 bits hold (292 years).
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, carry) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return carry ? (seconds < 0 ? .min : .max) : sum
  }
}
