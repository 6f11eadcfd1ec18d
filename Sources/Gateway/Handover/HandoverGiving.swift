// The old process's side of a replacement, without I/O: events in, actions out. Whatever goes wrong before the new one
// serves, the old one goes on as if nothing had been.

/// One replacement, from the connection of the new process to the end of the old one.
struct HandoverGiving {
  enum State: Equatable {
    /// Somebody has connected → offered, ended.
    case greeting
    /// It has the sockets, and gets everything else ready → finishing, ended.
    case offered
    /// The token calls under way are being finished, then the store is closed → released, ended.
    case finishing
    /// The store is the new process's → handedOver, ended.
    case released
    /// The new process serves, and gives leases for what is left here → ended.
    case handedOver
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
    /// Nothing is under way, and the store is closed.
    case storeReleased([HandedPair])
    /// This process is told to end.
    case stopping
  }

  enum Action: Equatable {
    case send(HandoverMessage)
    /// With one packet each.
    case sendSockets
    /// Start no token call, finish the one under way, close the store; then `storeReleased`.
    case releaseStore
    /// Go on with the store, whether or not it has been closed.
    case takeStoreBack
    /// The new process does not answer and may have the store: it must not go on.
    case killPeer
    /// Stop accepting and drain: the new process serves.
    case yield(HandoverMessage.Hello)
    /// For the leases' exchange.
    case relay(HandoverMessage)
    /// There will be no further leases.
    case leasesEnd
    /// A replacement that came to nothing, for the log and the status.
    case failed(reason: String)
    /// Close the connection; nothing follows.
    case end
  }

  private(set) var state = State.greeting
  private var peer = HandoverMessage.Hello()
  private let sockets: Int
  private let store: String

  /// - Parameters:
  ///   - sockets: how many there are to be sent.
  ///   - store: which one this process has.
  init(sockets: Int, store: String = "") {
    self.sockets = sockets
    self.store = store
  }

  /// Whether the step at hand is to be over within the time limit.
  var isTimed: Bool { state != .handedOver && state != .ended }

  /// Whether it is too late to go on here: the new process has what callers need.
  var isHandedOver: Bool { state == .handedOver }

  mutating func handle(_ event: Event) -> [Action] {
    switch (state, event) {
    case (.ended, _): return []
    case (.handedOver, .message(let message)): return [.relay(message)]
    case (.handedOver, .closed):
      state = .ended
      return [.leasesEnd, .end]
    // What a later version says besides; and it drains already.
    case (.handedOver, .unknownMessage), (.handedOver, .stopping), (.handedOver, .timePassed),
      (.handedOver, .storeReleased):
      return []
    case (.greeting, .message(.hello(let hello))): return greet(hello)
    case (.offered, .message(.release)):
      state = .finishing
      return [.releaseStore]
    case (.finishing, .storeReleased(let pairs)):
      state = .released
      return pairs.map { .send(.pair($0)) } + [.send(.released)]
    case (.released, .message(.serving)):
      state = .handedOver
      return [.yield(peer), .send(.yielded)]
    case (_, .storeReleased): return []
    case (.greeting, .closed):
      // Somebody has looked whether we are there.
      state = .ended
      return [.end]
    case (_, .closed): return fail("the new process ended before it served", tellsPeer: false)
    case (_, .timePassed): return fail(lateReason, tellsPeer: true)
    case (_, .stopping): return stop()
    case (_, .unknownMessage), (_, .message): return fail("the new process said something unexpected", tellsPeer: true)
    }
  }

  private mutating func greet(_ hello: HandoverMessage.Hello) -> [Action] {
    peer = hello
    if hello.protocolVersion != HandoverMessage.version {
      return refuse(
        "version \(hello.gateway) hands over in another way than \(Version.text): restart the gateway instead")
    }
    if let other = hello.store, other != store {
      // There the newest refresh tokens are not.
      return refuse("the store of the new process is another one (\(other)): restart the gateway instead")
    }
    state = .offered
    return [.send(.offer(HandoverMessage.Hello(), sockets: sockets)), .sendSockets]
  }

  private mutating func refuse(_ reason: String) -> [Action] {
    state = .ended
    return [.send(.refused(reason: reason)), .failed(reason: reason), .end]
  }

  private var lateReason: String {
    switch state {
    case .greeting, .handedOver, .ended: "the new process said nothing"
    case .offered: "the new process was not ready in time"
    case .finishing: "a token call or its pair's write was not over in time"
    case .released: "the new process did not serve in time"
    }
  }

  private mutating func fail(_ reason: String, tellsPeer: Bool) -> [Action] {
    let old = state
    state = .ended
    var actions: [Action] = tellsPeer ? [.send(.cancelled(reason: reason))] : []
    // Without this a process that only stood still could wake up later, with the store.
    if tellsPeer, old == .released { actions.append(.killPeer) }
    actions += [.failed(reason: reason), .end]
    if old == .finishing || old == .released { actions.append(.takeStoreBack) }
    return actions
  }

  private mutating func stop() -> [Action] {
    state = .ended
    let reason = "the old process is told to end"
    return [.send(.cancelled(reason: reason)), .failed(reason: reason), .end]
  }
}
