// Deadlines of thousands of connections: a hierarchical wheel with 8 ms ticks. Setting a deadline later than the one
// that is linked, the usual case, is one store. No allocation after a timer was made.

/// Something that waits for deadlines, on its loop.
package protocol TimerHandler: AnyObject {
  /// The deadline of `timer` has passed. It is not armed any more.
  func timerFired(_ timer: TimerWheel.Timer)
}

/// Confined to its loop. Times are nanoseconds of CLOCK_BOOTTIME; a timer fires up to one tick late, never early.
package final class TimerWheel {
  /// A timer of one handler, made once and armed many times.
  package struct Timer: Hashable, Sendable {
    fileprivate var index: Int32
  }

  private struct Node {
    var handler: (any TimerHandler)?
    var deadline = Int64.max
    /// The tick of the slot that it is linked in.
    var tick = Int64.max
    var previous: Int32 = none
    var next: Int32 = none
    /// Its slot, or -1 when it is not linked.
    var slot: Int32 = none
  }

  private static let none: Int32 = -1
  private static let levels = 4
  private static let bits = 6
  private static let slotsPerLevel = 1 << bits
  package static let tickNanoseconds: Int64 = 8_000_000

  private var nodes: [Node] = []
  private var free: [Int32] = []
  private var heads = [Int32](repeating: none, count: levels * slotsPerLevel)
  /// One bit per slot that is not empty, a word per level.
  private var occupied = [UInt64](repeating: 0, count: levels)
  /// All ticks up to this one have fired.
  private var tick: Int64
  /// The timers of the slot that fires; kept for its storage.
  private var due: [Int32] = []

  /// The loop's clock: nanoseconds of CLOCK_BOOTTIME at the start of its turn.
  package internal(set) var now: Int64

  package init(now: Int64) {
    self.now = now
    tick = now / Self.tickNanoseconds
  }

  package func make(_ handler: any TimerHandler) -> Timer {
    if let index = free.popLast() {
      nodes[Int(index)] = Node(handler: handler)
      return Timer(index: index)
    }
    nodes.append(Node(handler: handler))
    return Timer(index: Int32(nodes.count - 1))
  }

  /// Gives the timer back; its handler is let go.
  package func release(_ timer: Timer) {
    cancel(timer)
    nodes[Int(timer.index)].handler = nil
    free.append(timer.index)
  }

  /// Arms the timer, or moves its deadline.
  package func schedule(_ timer: Timer, at deadline: Int64) {
    let index = timer.index
    nodes[Int(index)].deadline = deadline
    let target = Self.tick(notBefore: deadline)
    if nodes[Int(index)].slot != Self.none {
      if nodes[Int(index)].tick <= target { return }
      unlink(index)
    }
    link(index, max(target, tick + 1))
  }

  /// Arms the timer, or moves its deadline, to so many nanoseconds after the start of this turn.
  package func schedule(_ timer: Timer, after nanoseconds: Int64) { schedule(timer, at: now + nanoseconds) }

  package func cancel(_ timer: Timer) {
    let index = timer.index
    nodes[Int(index)].deadline = .max
    if nodes[Int(index)].slot != Self.none { unlink(index) }
  }

  /// Disarms without touching the wheel: for deadlines that are set and lifted with every request.
  package func disarm(_ timer: Timer) { nodes[Int(timer.index)].deadline = .max }

  package func isArmed(_ timer: Timer) -> Bool { nodes[Int(timer.index)].deadline != .max }

  /// Milliseconds until something may be due, -1 when nothing is.
  package func timeoutMilliseconds(now: Int64) -> Int32 {
    var next = Int64.max
    for level in 0..<Self.levels where occupied[level] != 0 {
      let shift = level * Self.bits
      let position = tick >> shift
      // The slots ahead of the position, in the order in which it reaches them.
      let rotation = Int((position + 1) & Int64(Self.slotsPerLevel - 1))
      let word = occupied[level]
      let ahead = rotation == 0 ? word : (word >> rotation) | (word << (64 - rotation))
      next = min(next, (position + 1 + Int64(ahead.trailingZeroBitCount)) << shift)
    }
    if next == .max { return -1 }
    let nanoseconds = next * Self.tickNanoseconds - now
    if nanoseconds <= 0 { return 0 }
    return Int32(clamping: (nanoseconds + 999_999) / 1_000_000)
  }

  /// Fires everything that is due.
  package func advance(to now: Int64) {
    let target = now / Self.tickNanoseconds
    while tick < target {
      // Jump over ticks at which nothing can happen: to where the lowest level in use moves on.
      guard let level = occupied.firstIndex(where: { $0 != 0 }) else {
        tick = target
        return
      }
      let shift = Int64(level * Self.bits)
      let boundary = ((tick >> shift) + 1) << shift
      if boundary > target {
        tick = target
        return
      }
      tick = boundary
      cascade()
      fire(slot: Int(tick & Int64(Self.slotsPerLevel - 1)), now: now)
    }
  }

  /// Moves the timers of a higher level down when the wheel below it has gone round.
  private func cascade() {
    var level = 1
    while level < Self.levels, tick & ((1 << Int64(level * Self.bits)) - 1) == 0 {
      let slot = level * Self.slotsPerLevel + Int((tick >> Int64(level * Self.bits)) & Int64(Self.slotsPerLevel - 1))
      while heads[slot] != Self.none {
        let index = heads[slot]
        unlink(index)
        relink(index, earliest: tick)
      }
      level += 1
    }
  }

  private func fire(slot: Int, now: Int64) {
    // A handler may arm a timer for a tick that has come: it must not land in the list that is walked here.
    var due: [Int32] = []
    swap(&due, &self.due)
    while heads[slot] != Self.none {
      let index = heads[slot]
      unlink(index)
      due.append(index)
    }
    for index in due {
      let deadline = nodes[Int(index)].deadline
      guard deadline != .max, nodes[Int(index)].slot == Self.none else { continue }
      if deadline > now {
        relink(index, earliest: tick + 1)
        continue
      }
      nodes[Int(index)].deadline = .max
      nodes[Int(index)].handler?.timerFired(Timer(index: index))
    }
    due.removeAll(keepingCapacity: true)
    swap(&due, &self.due)
  }

  private static func tick(notBefore deadline: Int64) -> Int64 {
    let (whole, rest) = max(0, deadline).quotientAndRemainder(dividingBy: tickNanoseconds)
    return rest > 0 ? whole + 1 : whole
  }

  private func relink(_ index: Int32, earliest: Int64) {
    let deadline = nodes[Int(index)].deadline
    if deadline == .max { return }
    link(index, max(earliest, Self.tick(notBefore: deadline)))
  }

  /// - Parameter wanted: at least the next tick; while cascading, the tick that is about to fire will do.
  private func link(_ index: Int32, _ wanted: Int64) {
    var target = wanted
    var level = 0
    while level < Self.levels - 1, target - tick >= 1 << Int64((level + 1) * Self.bits) { level += 1 }
    let span = Int64(1) << Int64(Self.levels * Self.bits)
    if target - tick >= span { target = tick + span - 1 }
    let slot = level * Self.slotsPerLevel + Int((target >> Int64(level * Self.bits)) & Int64(Self.slotsPerLevel - 1))
    nodes[Int(index)].tick = target
    nodes[Int(index)].slot = Int32(slot)
    nodes[Int(index)].previous = Self.none
    nodes[Int(index)].next = heads[slot]
    if heads[slot] != Self.none { nodes[Int(heads[slot])].previous = index }
    heads[slot] = index
    occupied[level] |= 1 << UInt64(slot & (Self.slotsPerLevel - 1))
  }

  private func unlink(_ index: Int32) {
    let node = nodes[Int(index)]
    let slot = Int(node.slot)
    if node.previous != Self.none { nodes[Int(node.previous)].next = node.next } else { heads[slot] = node.next }
    if node.next != Self.none { nodes[Int(node.next)].previous = node.previous }
    nodes[Int(index)].slot = Self.none
    if heads[slot] == Self.none {
      occupied[slot / Self.slotsPerLevel] &= ~(1 << UInt64(slot & (Self.slotsPerLevel - 1)))
    }
  }
}
