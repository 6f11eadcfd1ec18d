// What the data loops have to know of each other's requests for leases: how many wait, and which lease an upstream has
// refused. Touched only by requests that wait, were refused, or can't be sent twice: never on the ordinary path.
internal import Synchronization

/// One for the process.
final class SharedLeaseState: Sendable {
  private final class Entry: Sendable {
    let parked: ProcessLimit
    let refused = Atomic<UInt64>(0)

    init(parked: Int) { self.parked = ProcessLimit(parked) }
  }

  private static let none = Entry(parked: 0)

  private let total: ProcessLimit
  private let entries: [Entry]

  /// How many credentials there are.
  var count: Int { entries.count }

  /// - Parameters:
  ///   - routed: the credentials that routes use: nobody waits for another one.
  ///   - parked: `limits.parked`; one credential gets at most a quarter of it.
  init(credentials: Int, routed: Set<Int>, parked: Int) {
    total = ProcessLimit(parked)
    entries = (0..<credentials).map { routed.contains($0) ? Entry(parked: max(1, parked / 4)) : Self.none }
  }

  private init(_ total: ProcessLimit, _ entries: [Entry]) {
    self.total = total
    self.entries = entries
  }

  /// The same with other limits, and with places for credentials that routes did not use before. Who has the old one
  /// shares everything with it.
  /// - Parameter anew: places of which nothing is known any more.
  func with(credentials: Int, routed: Set<Int>, anew: [Int] = [], parked: Int) -> SharedLeaseState {
    total.set(parked)
    let share = max(1, parked / 4)
    var entries = entries + [Entry](repeating: Self.none, count: max(0, credentials - self.entries.count))
    for place in anew { entries[place] = Self.none }
    for index in entries.indices {
      if entries[index] !== Self.none {
        entries[index].parked.set(share)
      } else if routed.contains(index) {
        entries[index] = Entry(parked: share)
      }
    }
    return SharedLeaseState(total, entries)
  }

  /// Whether there is a place for one more request that waits. It may be gone in the next moment.
  func mayPark(_ credential: Int) -> Bool { !total.isReached && !entries[credential].parked.isReached }

  /// How many wait for that credential.
  func parked(_ credential: Int) -> Int { entries[credential].parked.count }

  /// Takes a place for one more request that waits.
  func park(_ credential: Int) -> Bool {
    guard entries[credential].parked.take() else { return false }
    if total.take() { return true }
    entries[credential].parked.giveBack()
    return false
  }

  /// So many wait no more.
  func unpark(_ count: Int, _ credential: Int) {
    if count == 0 { return }
    total.giveBack(count)
    entries[credential].parked.giveBack(count)
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
