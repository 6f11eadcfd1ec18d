// How many calls a token host gets, and who calls next: without I/O. One for each host, driven by the credential manager.

/// What a token host is asked at most.
public struct TokenHostLimits: Sendable, Equatable {
  /// Calls under way at the same time.
  public var parallel: Int
  /// Calls in any 60 s; nil: any number.
  public var perMinute: Int?

  /// Limits.
  public init(parallel: Int, perMinute: Int? = nil) {
    self.parallel = parallel
    self.perMinute = perMinute
  }
}

/// Who goes first of those that wait for a turn.
public struct TurnPriority: Sendable, Equatable {
  /// Callers wait for the token, or a refresh token is sent again whose first answer never came (grace windows are
  /// short): in the order in which they asked, before all others.
  public var isUrgent: Bool
  /// Of the others, the one whose lease or refresh token ends first.
  public var deadline: BootInstant

  /// A priority.
  public init(isUrgent: Bool, deadline: BootInstant) {
    self.isUrgent = isUrgent
    self.deadline = deadline
  }
}

/// The turns of one host. Each credential has at most one: it waits, then it is running, then it has ended.
///
/// A minute counts from the end of a call: only then it is certain that the server had it before, however long the next
/// one takes to get there. So the server never sees more than `perMinute` in any 60 s.
public struct TokenHostQueue: Sendable {
  /// The window of `perMinute`, and the longest time for which one credential's Retry-After holds all of its host.
  public static let minute = Duration.seconds(60)

  /// May change at any time.
  public var limits: TokenHostLimits
  /// By credential: whether its call has left.
  private var running: [Int: Bool] = [:]
  /// By credential: the number of its place.
  private var waiting: [Int: UInt64] = [:]
  private var lastPlace: UInt64 = 0
  /// Places that were given up stay in both until they come to the front.
  private var urgent = FirstInFirstOut()
  private var background = DeadlineHeap()
  /// When calls ended, within the last minute, in order; kept only where there is a limit.
  private var recent: [BootInstant] = []
  private var calmUntil: BootInstant?
  private var lastRefusal: (credential: Int, until: BootInstant)?

  /// A host that nobody has called yet.
  public init(_ limits: TokenHostLimits) { self.limits = limits }

  /// Whether nothing waits or runs.
  public var isIdle: Bool { running.isEmpty && waiting.isEmpty }

  /// How many wait.
  public var waitingCount: Int { waiting.count }

  /// How many run.
  public var runningCount: Int { running.count }

  /// A credential wants its turn, or wants it sooner than it has said before.
  public mutating func ask(_ credential: Int, _ priority: TurnPriority) {
    lastPlace += 1
    waiting[credential] = lastPlace
    if priority.isUrgent {
      urgent.append(credential, lastPlace)
    } else {
      background.insert(credential, lastPlace, priority.deadline)
    }
    if background.count > 64 + 2 * waiting.count { background.keep { waiting[$0] == $1 } }
    if urgent.count > 64 + 2 * waiting.count { urgent.keep { waiting[$0] == $1 } }
  }

  /// The call of a running turn leaves.
  public mutating func sent(_ credential: Int) { if running[credential] != nil { running[credential] = true } }

  /// A turn is over, or is no longer wanted.
  public mutating func end(_ credential: Int, at now: BootInstant) {
    waiting[credential] = nil
    if running.removeValue(forKey: credential) == true { remember(now) }
  }

  /// A call has ended at this time (not after any that was remembered before: the process before this one made it).
  public mutating func remember(_ time: BootInstant) {
    guard limits.perMinute != nil else { return }
    if let last = recent.last, last > time {
      recent.insert(time, at: recent.firstIndex { $0 > time } ?? recent.endIndex)
    } else {
      recent.append(time)
    }
  }

  /// The server has asked a credential to wait. A server that is unavailable (503) is so for everybody; being asked too
  /// much (429) is one client's affair, until a second one is told the same with no success between.
  public mutating func refused(_ credential: Int, wait: Duration, isUnavailable: Bool, at now: BootInstant) {
    let isSecond = lastRefusal.map { $0.credential != credential && now < $0.until } ?? false
    if isUnavailable || isSecond {
      let until = now + min(wait, Self.minute)
      calmUntil = max(calmUntil ?? until, until)
    }
    lastRefusal = (credential, now + wait)
  }

  /// The server has given a token.
  public mutating func served() { lastRefusal = nil }

  /// Whose turn it is now, if anybody's may begin; it counts as running from here on.
  public mutating func next(at now: BootInstant) -> Int? {
    guard !waiting.isEmpty, running.count < limits.parallel, opening(ahead: 0, at: now) == nil else { return nil }
    defer { forgetCrowd() }
    while let (credential, place) = urgent.popFirst() ?? background.popFirst() {
      guard waiting[credential] == place else { continue }
      waiting[credential] = nil
      running[credential] = false
      return credential
    }
    return nil
  }

  /// Gives the memory of a crowd back once it has gone.
  private mutating func forgetCrowd() {
    guard waiting.isEmpty, waiting.capacity > 1024 else { return }
    waiting = [:]
    urgent = FirstInFirstOut()
    background = DeadlineHeap()
  }

  /// When `next` should be called again although no turn has ended; nil: not before one has.
  public mutating func wakeUp(at now: BootInstant) -> BootInstant? {
    guard !waiting.isEmpty, running.count < limits.parallel else { return nil }
    if let perMinute = limits.perMinute, running.count >= perMinute { return nil }
    return opening(ahead: 0, at: now)
  }

  /// When a credential that asks urgently now may call, as far as the host's rate and its pauses go; nil: now.
  public mutating func estimate(at now: BootInstant) -> BootInstant? {
    opening(ahead: max(0, urgent.count - 1), at: now)
  }

  /// The time at which the rate and the pause let one more call begin, with so many before it; nil: now.
  private mutating func opening(ahead: Int, at now: BootInstant) -> BootInstant? {
    var opening = calmUntil.flatMap { $0 > now ? $0 : nil }
    if opening == nil { calmUntil = nil }
    guard let perMinute = limits.perMinute else {
      recent = []
      return opening
    }
    if let first = recent.firstIndex(where: { $0 + Self.minute > now }) {
      recent.removeFirst(first)
    } else {
      recent.removeAll()
    }
    let excess = running.count + recent.count + ahead - perMinute
    if excess < 0 { return opening }
    // Each place is free a minute after the call that has it, be it one that is still to come.
    var (place, rounds) = (excess, 0)
    let known = recent.count + running.count
    if place >= known {
      rounds = (place - known) / perMinute + 1
      place -= rounds * perMinute
    }
    let free: BootInstant
    if place < 0 {
      free = now + Self.minute * rounds
    } else {
      free = (place < recent.count ? recent[place] : now) + Self.minute * (1 + rounds)
    }
    opening = max(opening ?? free, free)
    return opening
  }
}

/// Places in the order in which they were taken.
private struct FirstInFirstOut {
  private var items: [(credential: Int, place: UInt64)] = []
  private var head = 0

  var count: Int { items.count - head }

  mutating func append(_ credential: Int, _ place: UInt64) { items.append((credential, place)) }

  mutating func popFirst() -> (Int, UInt64)? {
    guard head < items.count else { return nil }
    defer {
      head += 1
      if head == items.count || head > 1024 {
        items.removeFirst(head)
        head = 0
      }
    }
    return items[head]
  }

  mutating func keep(_ isValid: (Int, UInt64) -> Bool) {
    items = items[head...].filter { isValid($0.credential, $0.place) }
    head = 0
  }
}

/// Places in the order of their deadlines, those of one deadline in the order in which they were taken.
private struct DeadlineHeap {
  private struct Item {
    var deadline: BootInstant
    var place: UInt64
    var credential: Int

    func isBefore(_ other: Item) -> Bool { (deadline, place) < (other.deadline, other.place) }
  }

  private var items: [Item] = []

  var count: Int { items.count }

  mutating func insert(_ credential: Int, _ place: UInt64, _ deadline: BootInstant) {
    items.append(Item(deadline: deadline, place: place, credential: credential))
    var index = items.count - 1
    while index > 0, items[index].isBefore(items[(index - 1) / 2]) {
      items.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  mutating func popFirst() -> (Int, UInt64)? {
    guard let first = items.first else { return nil }
    let last = items.removeLast()
    if !items.isEmpty {
      items[0] = last
      sink(0)
    }
    return (first.credential, first.place)
  }

  mutating func keep(_ isValid: (Int, UInt64) -> Bool) {
    items.removeAll { !isValid($0.credential, $0.place) }
    for index in stride(from: items.count / 2, through: 0, by: -1) { sink(index) }
  }

  private mutating func sink(_ start: Int) {
    var index = start
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < items.count && items[child].isBefore(items[least]) {
        least = child
      }
      if least == index { return }
      items.swapAt(index, least)
      index = least
    }
  }
}
