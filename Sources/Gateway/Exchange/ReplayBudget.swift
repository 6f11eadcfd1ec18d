// One loop's part of `replay_memory`: taken from the process in pieces of 1 MiB, so that the shared counter is touched
// rarely.
internal import Synchronization

/// The process-wide counter.
final class ReplayMemory: Sendable {
  private let limit: Atomic<Int>
  private let used = Atomic<Int>(0)

  init(limit: Int) { self.limit = Atomic(limit) }

  /// From now on. What is used stays in use.
  func set(_ limit: Int) { self.limit.store(limit, ordering: .relaxed) }

  fileprivate func take(_ bytes: Int) -> Bool {
    let (_, now) = used.add(bytes, ordering: .relaxed)
    if now <= limit.load(ordering: .relaxed) { return true }
    used.subtract(bytes, ordering: .relaxed)
    return false
  }

  fileprivate func giveBack(_ bytes: Int) { used.subtract(bytes, ordering: .relaxed) }
}

/// Confined to one loop.
final class ReplayBudget {
  private static let piece = 1024 * 1024

  private let memory: ReplayMemory
  private var taken = 0
  private var used = 0

  init(_ memory: ReplayMemory) { self.memory = memory }

  func reserve(_ bytes: Int) -> Bool {
    while used + bytes > taken {
      if !memory.take(Self.piece) { return false }
      taken += Self.piece
    }
    used += bytes
    return true
  }

  func giveBack(_ bytes: Int) {
    used -= bytes
    // Keep one piece, so that a loop at a border does not go back and forth.
    while taken - used >= 2 * Self.piece {
      memory.giveBack(Self.piece)
      taken -= Self.piece
    }
  }
}
