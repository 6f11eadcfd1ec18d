// When which credential wants to be woken: one queue and one timer for all of them, 20 bytes for each.

internal import TokenKit

/// Deadlines by index, at most one for each. A heap that knows where everything is in it.
struct DeadlineQueue {
  private struct Item {
    var deadline: BootInstant
    var index: Int32
  }

  private var items: [Item] = []
  /// By index: its place among the items, -1 when it has none.
  private var places: [Int32]

  /// For the indices from 0 up to `count`.
  init(count: Int) { places = [Int32](repeating: -1, count: count) }

  /// For a further index.
  mutating func append() { places.append(-1) }

  /// The earliest deadline.
  var first: BootInstant? { items.first?.deadline }

  /// The deadline of an index.
  func deadline(of index: Int) -> BootInstant? { places[index] < 0 ? nil : items[Int(places[index])].deadline }

  /// Sets, moves or takes away the deadline of an index.
  mutating func set(_ index: Int, _ deadline: BootInstant?) {
    let place = Int(places[index])
    guard let deadline else {
      if place >= 0 { remove(at: place) }
      return
    }
    if place >= 0 {
      items[place].deadline = deadline
      if !rise(place) { sink(place) }
    } else {
      items.append(Item(deadline: deadline, index: Int32(index)))
      places[index] = Int32(items.count - 1)
      _ = rise(items.count - 1)
    }
  }

  /// Takes out an index whose deadline has come.
  mutating func popDue(at now: BootInstant) -> Int? {
    guard let first = items.first, first.deadline <= now else { return nil }
    remove(at: 0)
    return Int(first.index)
  }

  private mutating func remove(at place: Int) {
    places[Int(items[place].index)] = -1
    let last = items.removeLast()
    guard place < items.count else { return }
    put(last, at: place)
    if !rise(place) { sink(place) }
  }

  private mutating func put(_ item: Item, at place: Int) {
    items[place] = item
    places[Int(item.index)] = Int32(place)
  }

  /// Whether it moved.
  private mutating func rise(_ start: Int) -> Bool {
    let item = items[start]
    var place = start
    while place > 0, item.deadline < items[(place - 1) / 2].deadline {
      put(items[(place - 1) / 2], at: place)
      place = (place - 1) / 2
    }
    put(item, at: place)
    return place != start
  }

  private mutating func sink(_ start: Int) {
    let item = items[start]
    var place = start
    while true {
      var child = 2 * place + 1
      if child + 1 < items.count, items[child + 1].deadline < items[child].deadline { child += 1 }
      guard child < items.count, items[child].deadline < item.deadline else { break }
      put(items[child], at: place)
      place = child
    }
    put(item, at: place)
  }
}
