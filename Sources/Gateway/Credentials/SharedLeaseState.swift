// What the data loops have to know of each other's requests for leases: how many wait, and which lease an upstream has
// refused. Touched only by requests that wait, were refused, or can't be sent twice: never on the ordinary path.
internal import Synchronization

/// One for the process.
final class SharedLeaseState: Sendable {
  private final class Entry: Sendable {
    let parked = Atomic<Int>(0)
    let refused = Atomic<UInt64>(0)
  }

  private let limit: Int
  private let total = Atomic<Int>(0)
  private let entries: [Entry]

  /// - Parameter parked: `limits.parked`.
  init(credentials: Int, parked: Int) {
    limit = parked
    entries = (0..<credentials).map { _ in Entry() }
  }

  /// Whether one more request may wait. One credential gets at most a quarter of the places. Loops that ask in the same
  /// moment may come out one above it each.
  func mayPark(_ credential: Int) -> Bool {
    total.load(ordering: .relaxed) < limit
      && entries[credential].parked.load(ordering: .relaxed) < max(1, limit / 4)
  }

  /// So many requests more wait, or less.
  func parked(_ count: Int, _ credential: Int) {
    if count == 0 { return }
    total.add(count, ordering: .relaxed)
    entries[credential].parked.add(count, ordering: .relaxed)
  }

  /// An upstream has refused the lease of this generation, and another one is on its way.
  func refused(_ generation: UInt64, _ credential: Int) {
    entries[credential].refused.store(generation, ordering: .relaxed)
  }

  /// There will be no other one for now.
  func keeps(_ credential: Int) { entries[credential].refused.store(0, ordering: .relaxed) }

  func isRefused(_ generation: UInt64, _ credential: Int) -> Bool {
    entries[credential].refused.load(ordering: .relaxed) == generation
  }
}
