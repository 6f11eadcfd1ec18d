// Waiting for a condition with a deadline: how tests wait for what other threads and processes do.
internal import Glibc
internal import Synchronization
internal import TokenKit

/// A condition did not come true in time.
package struct DeadlinePassed: Error, Sendable, CustomStringConvertible {
  package var description: String
  package init(_ description: String) { self.description = description }
}

package enum Pace {
  /// How many times longer than in a plain build things may take: GATEWAY_TEST_SLOWNESS, which scripts/sanitize sets; else
  /// 1. Deadlines heed it by themselves, tests where what they measure grows with it.
  package static let slowness: Int = {
    guard let text = unsafe getenv("GATEWAY_TEST_SLOWNESS") else { return 1 }
    return unsafe max(1, Int(String(cString: text)) ?? 1)
  }()

  /// Bytes that such a build keeps back of what was freed, and its shadow of them.
  package static var keptBack: Int { slowness > 1 ? 32 << 20 : 0 }
}

package enum Deadline {
  /// Polls until `condition` holds. Suspends between polls, so that it takes no thread.
  /// - Throws: `DeadlinePassed` after `limit`, naming `what`; and what the condition throws.
  package static func wait(
    _ what: String, within limit: Duration = .seconds(10), until condition: () async throws -> Bool
  ) async throws {
    let clock = ContinuousClock()
    let limit = limit * Pace.slowness
    let end = clock.now + limit
    while true {
      if try await condition() { return }
      if clock.now >= end { throw DeadlinePassed("not within \(limit): \(what)") }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// The same for code on a thread of its own, which it blocks.
  package static func block(
    _ what: String, within limit: Duration = .seconds(10), until condition: () throws -> Bool
  ) throws {
    let clock = ContinuousClock()
    let limit = limit * Pace.slowness
    let end = clock.now + limit
    while true {
      if try condition() { return }
      if clock.now >= end { throw DeadlinePassed("not within \(limit): \(what)") }
      usleep(2000)
    }
  }
}

/// Opens once; others wait for it. For short waits on a thread that answers without fail.
package final class Latch: Sendable {
  private let isOpen = Atomic(false)

  package init() {}
  package func open() { isOpen.store(true, ordering: .releasing) }
  package var isPassed: Bool { isOpen.load(ordering: .acquiring) }

  package func wait() {
    while !isOpen.load(ordering: .acquiring) { usleep(100) }
  }
}
