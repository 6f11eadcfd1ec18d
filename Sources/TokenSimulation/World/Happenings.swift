// What will happen in a simulated world, in the order of its time: a binary heap of plain values.

/// One thing to come. What its numbers mean depends on its kind.
struct Happening {
  /// Kinds of things.
  enum Kind: UInt8 {
    /// A caller's request comes in.
    case arrival
    /// A timer of process `process`; `number` is its id.
    case timer
    /// The next step of the store operation that `process` has under way; `number` is the operation's.
    case storeStep
    /// Call `number` reaches the token server.
    case callArrives
    /// The answer (or the end of the wait) of call `number` comes to `process`.
    case callEnds
    /// The upstream answers request `number` of `process`.
    case upstream
    /// A process starts at place `number`.
    case start
    /// The database notices that connection `number` is gone.
    case connectionReaped
    /// A notice of credential `number` reaches `process`.
    case notice
    /// `process` compares all generations with what it knows.
    case poll
    /// The data loops of `process` know of the hold of credential `number`.
    case holdKnown
    /// Fault `number` ends.
    case faultEnds
    /// Requests that look whether all is well again.
    case probe
    /// The drain of `process` is over.
    case drainOver
    /// A replacement of the process came to nothing: in time (1), or too late (0).
    case letGoOver
  }

  var at: Int64
  var order: UInt32 = 0
  var kind: Kind
  var process: Int32 = 0
  var number: UInt64 = 0
}

/// A queue of happenings; those of one moment come in the order in which they were put in.
struct Happenings {
  private var heap: [Happening] = []
  private var lastOrder: UInt32 = 0

  init() { heap.reserveCapacity(64) }

  private static func isBefore(_ a: Happening, _ b: Happening) -> Bool {
    a.at < b.at || (a.at == b.at && a.order < b.order)
  }

  mutating func add(_ happening: Happening) {
    lastOrder += 1
    var new = happening
    new.order = lastOrder
    var place = heap.count
    heap.append(new)
    while place > 0 {
      let parent = (place - 1) / 2
      guard Self.isBefore(new, heap[parent]) else { break }
      heap[place] = heap[parent]
      place = parent
    }
    heap[place] = new
  }

  var nextAt: Int64? { heap.first?.at }

  mutating func next() -> Happening? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    if heap.isEmpty { return first }
    var place = 0
    while true {
      var child = place * 2 + 1
      if child >= heap.count { break }
      if child + 1 < heap.count, Self.isBefore(heap[child + 1], heap[child]) { child += 1 }
      guard Self.isBefore(heap[child], last) else { break }
      heap[place] = heap[child]
      place = child
    }
    heap[place] = last
    return first
  }
}
