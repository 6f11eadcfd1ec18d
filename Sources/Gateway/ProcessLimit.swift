// A limit that holds for the whole process, exactly: touched by every data loop, but never by an ordinary request.
internal import Synchronization

/// So many places and no more.
final class ProcessLimit: Sendable {
  private let limit: Atomic<Int>
  private let taken = Atomic<Int>(0)

  init(_ limit: Int) { self.limit = Atomic(limit) }

  /// From now on. More may be taken than that; nothing is taken away.
  func set(_ limit: Int) { self.limit.store(limit, ordering: .relaxed) }

  /// How many places are taken.
  var count: Int { taken.load(ordering: .relaxed) }
  var isReached: Bool { count >= limit.load(ordering: .relaxed) }

  /// Takes a place. Two that ask in the same moment never get the last one both, nor does either lose it to nobody.
  func take() -> Bool {
    let limit = limit.load(ordering: .relaxed)
    var now = taken.load(ordering: .relaxed)
    while now < limit {
      let (exchanged, original) = taken.compareExchange(expected: now, desired: now + 1, ordering: .relaxed)
      if exchanged { return true }
      now = original
    }
    return false
  }

  func giveBack(_ count: Int = 1) { taken.subtract(count, ordering: .relaxed) }
}
