// The new process's side of a replacement, without I/O: events in, actions out. If the old process dies, the new one goes
// on alone; if it says that it goes on itself, the new one ends.

/// One replacement, from the connection to the old process to the end of that one.
struct HandoverTaking {
  enum State: Equatable {
    /// → receiving, ended.
    case greeting
    /// Its sockets come → preparing, ended.
    case receiving(left: Int)
    /// Everything is here; this process makes ready what it can without the store → asking, opening, ended.
    case preparing
    /// The old process finishes its token calls → opening, ended.
    case asking
    /// The store is opened and read, the data loops start → serving, ended.
    case opening
    /// The old process has been told and will stop accepting → linked, ended.
    case serving
    /// It drains, and gets its leases here → ended.
    case linked
    case ended
  }

  enum Event {
    case message(HandoverMessage)
    /// A packet that is no message of this version.
    case unknownMessage
    /// The other end is gone.
    case closed
    /// The step at hand has taken too long.
    case timePassed
    /// Everything is made ready that can be without the store.
    case prepared
    /// The credentials are read and the data loops turn.
    case started
  }

  enum Action: Equatable {
    case send(HandoverMessage)
    /// The socket that came with this message is ours.
    case keepSocket(name: String, address: String)
    /// All are here, or all that will come: make the rest ready, then `prepared`.
    case prepare
    /// Open the store, read the credentials, start; then `started`.
    case openStore([HandedPair])
    /// The service manager may be told of this process: the old one says nothing any more.
    case becomeMain
    /// For the leases' exchange.
    case relay(HandoverMessage)
    /// The old process is over.
    case predecessorEnded
    /// Don't start.
    case fail(reason: String)
    /// Close the connection; nothing follows.
    case end
  }

  private(set) var state = State.greeting
  private var pairs: [HandedPair] = []
  /// The old process has died: nobody else has the sockets and the store.
  private(set) var isAlone = false

  /// Whether the step at hand is to be over within the time limit. The old process sees to its own steps, and says so.
  var isTimed: Bool {
    switch state {
    case .greeting, .receiving, .asking: true
    case .preparing, .opening, .serving, .linked, .ended: false
    }
  }

  mutating func handle(_ event: Event) -> [Action] {
    switch (state, event) {
    case (.ended, _): return []
    case (.linked, .message(let message)), (.serving, .message(let message)): return relay(message)
    case (.linked, .closed):
      state = .ended
      return [.predecessorEnded, .end]
    case (.serving, .closed):
      state = .ended
      return [.becomeMain, .predecessorEnded, .end]
    // What a later version says besides.
    case (.linked, .unknownMessage), (.serving, .unknownMessage), (.linked, _), (.serving, _): return []
    case (_, .message(.refused(let reason))), (_, .message(.cancelled(let reason))): return fail(reason)
    case (.greeting, .message(.offer(_, let sockets))):
      state = sockets > 0 ? .receiving(left: sockets) : .preparing
      return sockets > 0 ? [] : [.prepare]
    case (.receiving(let left), .message(.socket(let name, let address))):
      state = left > 1 ? .receiving(left: left - 1) : .preparing
      return [.keepSocket(name: name, address: address)] + (left > 1 ? [] : [.prepare])
    case (.preparing, .prepared):
      state = isAlone ? .opening : .asking
      return isAlone ? [.openStore([])] : [.send(.release)]
    case (.asking, .message(.pair(let pair))):
      pairs.append(pair)
      return []
    case (.asking, .message(.released)):
      state = .opening
      return [.openStore(takePairs())]
    case (.opening, .started):
      state = isAlone ? .ended : .serving
      return isAlone ? [.becomeMain, .end] : [.send(.serving)]
    case (_, .closed): return goOnAlone()
    case (_, .timePassed): return fail("the old process did not answer in time")
    case (_, .prepared), (_, .started): return []
    case (_, .message), (_, .unknownMessage): return fail("the old process said something unexpected")
    }
  }

  private mutating func relay(_ message: HandoverMessage) -> [Action] {
    if case .yielded = message {
      if state == .linked { return [] }
      state = .linked
      return [.becomeMain]
    }
    return [.relay(message)]
  }

  /// The kernel has freed the store's lock; a mark says whether a token call was under way.
  private mutating func goOnAlone() -> [Action] {
    isAlone = true
    switch state {
    case .greeting, .receiving:
      state = .preparing
      return [.prepare]
    case .asking:
      state = .opening
      return [.openStore(takePairs())]
    case .preparing, .opening, .serving, .linked, .ended: return []
    }
  }

  private mutating func takePairs() -> [HandedPair] {
    defer { pairs = [] }
    return pairs
  }

  private mutating func fail(_ reason: String) -> [Action] {
    state = .ended
    return [.fail(reason: reason), .end]
  }
}
