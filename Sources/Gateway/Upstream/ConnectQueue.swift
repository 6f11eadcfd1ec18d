// Those that wait for a connection: first come, first served, and cheap to leave when thousands wait.

/// Names an exchange's place among those that wait for a connection.
struct ConnectTicket: Equatable {
  fileprivate var number: UInt64
}

/// Places are numbered in the order in which they are taken, so that a ticket says where its entry is.
struct ConnectQueue<Waiter: AnyObject> {
  /// nil: has left.
  private var entries: [Waiter?] = []
  /// Everything before it has left.
  private var start = 0
  /// The number of the first entry.
  private var base: UInt64 = 0
  /// How many wait.
  private(set) var count = 0

  mutating func append(_ waiter: Waiter) -> ConnectTicket {
    entries.append(waiter)
    count += 1
    return ConnectTicket(number: base + UInt64(entries.count - 1))
  }

  subscript(_ ticket: ConnectTicket) -> Waiter? {
    guard ticket.number >= base, ticket.number - base < UInt64(entries.count) else { return nil }
    return entries[Int(ticket.number - base)]
  }

  /// - Returns: nil if it has left before.
  @discardableResult
  mutating func remove(_ ticket: ConnectTicket) -> Waiter? {
    guard let waiter = self[ticket] else { return nil }
    entries[Int(ticket.number - base)] = nil
    count -= 1
    shrink()
    return waiter
  }

  mutating func popFirst() -> Waiter? { first().flatMap { remove($0) } }

  /// The first that waits, or the first of those that came after `ticket`.
  func first(after ticket: ConnectTicket? = nil) -> ConnectTicket? {
    var index = start
    if let ticket, ticket.number >= base { index = max(start, Int(ticket.number - base) + 1) }
    while index < entries.count {
      if entries[index] != nil { return ConnectTicket(number: base + UInt64(index)) }
      index += 1
    }
    return nil
  }

  private mutating func shrink() {
    if count == 0 {
      base += UInt64(entries.count)
      entries.removeAll(keepingCapacity: true)
      start = 0
      return
    }
    while entries[start] == nil { start += 1 }
    // Moves at most as many as have left since the last time.
    if start >= 64, start * 2 >= entries.count {
      entries.removeFirst(start)
      base += UInt64(start)
      start = 0
    }
  }
}
