// The caller's body as far as it is kept: for a replay after a 401, for a second try on another connection, and while
// there is no connection yet.
internal import EventLoop

/// Confined to its loop. The memory is the loop's; the process-wide quota is the `ReplayBudget`'s.
struct RequestBody {
  /// Everything that came so far, when `isWhole`; else what waits for a connection.
  private(set) var kept: ByteBuffer?
  /// Not a byte that came so far was given up.
  private(set) var isWhole = true
  /// The caller has sent all of it.
  var isComplete = false
  /// Bytes that came.
  private(set) var received: UInt64 = 0
  /// Of the replay memory; more than is kept where room was taken ahead.
  private var reserved = 0

  /// - Parameter willFit: false for a body that is known to be larger than what may be kept.
  init(willFit: Bool) { isWhole = willFit }

  var keptCount: Int { kept?.count ?? 0 }

  /// There is something to release.
  var holdsMemory: Bool { kept != nil || reserved > 0 }

  /// Takes room for a body of that many bytes before any of them comes, so that it is sure to be kept. Without room
  /// nothing of it will be.
  mutating func reserve(ahead count: Int, _ budget: ReplayBudget) {
    isWhole = budget.reserve(count)
    if isWhole { reserved = count }
  }

  /// Keeps `bytes` if that is still possible.
  /// - Parameter waiting: there is no connection yet, so the bytes must be kept in any case.
  mutating func append(_ bytes: Span<UInt8>, limit: Int, waiting: Bool, _ loop: EventLoop, _ budget: ReplayBudget) {
    received += UInt64(bytes.count)
    if isWhole, keptCount + bytes.count > limit || !hasRoom(for: bytes.count, budget) {
      isWhole = false
      if !waiting { release(loop, budget) }
    }
    guard isWhole || waiting, bytes.count > 0 else { return }
    let buffer = kept ?? loop.buffers.acquire()
    kept = buffer
    buffer.append(bytes)
  }

  /// Bytes have come that nobody could keep.
  mutating func pass(_ count: Int) { received += UInt64(count) }

  private mutating func hasRoom(for count: Int, _ budget: ReplayBudget) -> Bool {
    let missing = keptCount + count - reserved
    if missing <= 0 { return true }
    guard budget.reserve(missing) else { return false }
    reserved += missing
    return true
  }

  /// What was kept for want of a connection has been sent and is not needed for a replay.
  mutating func sent(_ loop: EventLoop, _ budget: ReplayBudget) { if !isWhole { release(loop, budget) } }

  mutating func release(_ loop: EventLoop, _ budget: ReplayBudget) {
    budget.giveBack(reserved)
    reserved = 0
    if let kept { loop.buffers.release(kept) }
    kept = nil
  }
}
