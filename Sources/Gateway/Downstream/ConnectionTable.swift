// One loop's connections with callers, and in which order they are looked at when one has to make room for a new one.

/// Every call takes constant time, `all` apart; `popIdle` on the average, as every entry that it passes over was put in
/// the list by a call of its own.
struct ConnectionTable<Connection: AnyObject> {
  /// A connection's place while it is in the table.
  struct Place: Equatable { fileprivate var index: Int32 }

  private struct Entry {
    var connection: Connection?
    var isListed = false
    var previous = none
    var next = none
  }

  private static var none: Int32 { -1 }

  private var entries: [Entry] = []
  private var free: [Int32] = []
  /// Connections that have been idle and may still be: who was put there first is looked at first.
  private var first = none
  private var last = none
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  /// In no particular order.
  var all: [Connection] { entries.compactMap(\.connection) }

  /// - Parameter make: makes the connection, which needs to know its place.
  mutating func insert(_ make: (Place) -> Connection) -> Connection {
    let index: Int32
    if let reused = free.popLast() {
      index = reused
    } else {
      index = Int32(entries.count)
      entries.append(Entry())
    }
    let connection = make(Place(index: index))
    entries[Int(index)].connection = connection
    count += 1
    return connection
  }

  mutating func remove(_ place: Place) {
    guard entries[Int(place.index)].connection != nil else { return }
    unlist(place.index)
    entries[Int(place.index)].connection = nil
    free.append(place.index)
    count -= 1
  }

  /// The connection is idle, or about to be. Cheap for one that is listed already, as most are: being busy takes nobody
  /// out of the list.
  mutating func list(_ place: Place) {
    let index = place.index
    if entries[Int(index)].isListed { return }
    entries[Int(index)].isListed = true
    entries[Int(index)].previous = last
    entries[Int(index)].next = Self.none
    if last != Self.none { entries[Int(last)].next = index } else { first = index }
    last = index
  }

  private mutating func unlist(_ index: Int32) {
    let entry = entries[Int(index)]
    if !entry.isListed { return }
    if entry.previous != Self.none { entries[Int(entry.previous)].next = entry.next } else { first = entry.next }
    if entry.next != Self.none { entries[Int(entry.next)].previous = entry.previous } else { last = entry.previous }
    entries[Int(index)].isListed = false
  }

  /// The connection longest in the list that `isIdle` says so of. It and those before it are taken out of the list.
  mutating func popIdle(where isIdle: (Connection) -> Bool) -> Connection? {
    while first != Self.none {
      let index = first
      unlist(index)
      if let connection = entries[Int(index)].connection, isIdle(connection) { return connection }
    }
    return nil
  }
}
