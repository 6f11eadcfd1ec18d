// A clock and timers that move only when a test says so.

package import TokenKit

/// Time under a test's control. Timers run in the order of their deadlines, those of one deadline in the order in which
/// they were scheduled. Confined to the test that made it.
package final class ManualClock {
  /// Both clocks now.
  package private(set) var now: Moment
  private var timers: [(deadline: BootInstant, id: UInt64, action: () -> Void)] = []
  private var lastID: UInt64 = 0

  /// Starts some time after boot, in 2025.
  package init(boot: Duration = .seconds(1000), wall: WallTime = WallTime(milliseconds: 1_750_000_000_000)) {
    now = Moment(boot: BootInstant(nanoseconds: 0) + boot, wall: wall)
  }

  /// Runs `action` once when time has come to `deadline`.
  package func schedule(_ deadline: BootInstant, _ action: @escaping () -> Void) -> UInt64 {
    lastID += 1
    let place = timers.firstIndex { $0.deadline > deadline } ?? timers.endIndex
    timers.insert((deadline, lastID, action), at: place)
    return lastID
  }

  /// Runs `action` once after a while.
  package func schedule(after delay: Duration, _ action: @escaping () -> Void) {
    _ = schedule(now.boot + delay, action)
  }

  /// Forgets a timer.
  package func cancelTimer(_ id: UInt64) { timers.removeAll { $0.id == id } }

  /// Forgets all timers: what a crash does.
  package func cancelAll() { timers = [] }

  /// Whether any timer is left.
  package var isIdle: Bool { timers.isEmpty }

  /// Goes to the next timer and runs it, if it is not after `limit`.
  @discardableResult
  package func runNext(until limit: BootInstant) -> Bool {
    guard let first = timers.first, first.deadline <= limit else { return false }
    timers.removeFirst()
    if first.deadline > now.boot { move(to: first.deadline) }
    first.action()
    return true
  }

  /// Lets time pass, running everything that comes due on the way.
  package func advance(by duration: Duration) {
    let end = now.boot + duration
    while runNext(until: end) {}
    move(to: end)
  }

  /// Sets the wall clock ahead or back; deadlines don't notice.
  package func setWall(off by: Duration) { now.wall = now.wall + by }

  private var subMillisecond: Int64 = 0

  private func move(to instant: BootInstant) {
    // The wall clock has milliseconds: what is left over must not be lost in many small steps.
    let nanoseconds = (instant - now.boot).nanoseconds + subMillisecond
    subMillisecond = nanoseconds % 1_000_000
    now = Moment(boot: instant, wall: now.wall + .nanoseconds(nanoseconds - subMillisecond))
  }
}

extension Fingerprinter {
  /// Fingerprints that are good enough for tests: no cryptography.
  package static let forTests = Fingerprinter { bytes in
    var result: [UInt8] = []
    for salt in UInt64(1)...4 {
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325 &* salt
      for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
      result += (0..<8).map { UInt8(truncatingIfNeeded: hash >> UInt64(8 * $0)) }
    }
    guard let fingerprint = TokenKit.Fingerprint(bytes: result) else { preconditionFailure("four words are 32 bytes") }
    return fingerprint
  }
}
