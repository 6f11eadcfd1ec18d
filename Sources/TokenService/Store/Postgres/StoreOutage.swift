// When to connect again to a server that is away, and how long operations wait for that. Without I/O.

internal import TokenKit

/// One outage after the other. Times are those of the store's thread.
struct StoreOutage {
  /// Operations wait for so long from an outage's beginning, so that a restart of the server is only a delay; after that
  /// they fail at once until it is back. Callers are parked for 10 s, by default.
  static let patience: Duration = .seconds(8)
  private static let base: Duration = .milliseconds(50)
  /// The longest pause between two attempts while operations wait, and after that.
  private static let capWhileWaiting: Duration = .milliseconds(500)
  private static let cap: Duration = .seconds(5)

  /// When it began; nil: there is none.
  private(set) var since: BootInstant?
  /// When to connect again.
  private(set) var retryAt = BootInstant(nanoseconds: .min)
  private var failures = 0
  private var random: RandomSource

  init(randomSeed: UInt64) { random = RandomSource(seed: randomSeed) }

  /// The connection is gone, or could not be made.
  mutating func failed(at now: BootInstant) {
    since = since ?? now
    let cap = isWaiting(at: now) ? Self.capWhileWaiting : Self.cap
    let most = min(cap, Self.base * (1 << min(failures, 10)))
    failures += 1
    // At least half of it, so that a server that is starting is not asked without a pause.
    retryAt = now + most * (0.5 + 0.5 * random.fraction())
  }

  /// The connection is there.
  /// - Returns: how long it was away; nil if it wasn't.
  mutating func ended(at now: BootInstant) -> Duration? {
    defer {
      since = nil
      failures = 0
    }
    return since.map { now - $0 }
  }

  /// Whether an operation still waits.
  func isWaiting(at now: BootInstant) -> Bool { since.map { now - $0 < Self.patience } ?? true }
}
