// The old process's side of a replacement: every message and every mishap in every state.
import Testing

@testable import Gateway

@Suite("Handover, old process") struct HandoverGivingTests {
  private static let hello = HandoverMessage.Hello(protocolVersion: 1, gateway: "9.9", process: 7)

  /// A machine that has got that far.
  private static func machine(_ state: HandoverGiving.State) -> HandoverGiving {
    var machine = HandoverGiving(sockets: 3)
    let way: [(HandoverGiving.State, HandoverGiving.Event)] = [
      (.offered, .message(.hello(hello))), (.finishing, .message(.release)), (.released, .storeReleased([])),
      (.handedOver, .message(.serving)), (.ended, .closed),
    ]
    for (next, event) in way {
      if machine.state == state { break }
      _ = machine.handle(event)
      #expect(machine.state == next)
    }
    return machine
  }

  @Test("The whole way: sockets, the store, then the yield, and leases until the end")
  func way() {
    var machine = HandoverGiving(sockets: 3)
    #expect(
      machine.handle(.message(.hello(Self.hello)))
        == [.send(.offer(HandoverMessage.Hello(), sockets: 3)), .sendSockets])
    #expect(machine.handle(.message(.release)) == [.releaseStore])
    #expect(machine.handle(.storeReleased([])) == [.send(.released)])
    #expect(machine.handle(.message(.serving)) == [.yield(Self.hello), .send(.yielded)])
    #expect(machine.isHandedOver && !machine.isTimed)
    let lease = HandoverMessage.holding(ticket: 1)
    #expect(machine.handle(.message(lease)) == [.relay(lease)])
    #expect(machine.handle(.unknownMessage).isEmpty)
    #expect(machine.handle(.closed) == [.leasesEnd, .end])
  }

  @Test("Another store is refused: the newest refresh tokens are not in it")
  func store() {
    for (store, isRefused) in [("sqlite /a", false), ("sqlite /b", true), (nil, false)] as [(String?, Bool)] {
      var machine = HandoverGiving(sockets: 1, store: "sqlite /a")
      var hello = Self.hello
      hello.store = store
      _ = machine.handle(.message(.hello(hello)))
      #expect((machine.state == .ended) == isRefused)
    }
  }

  @Test("A pair that only memory has goes before the word that the store is free")
  func pairs() {
    var machine = Self.machine(.finishing)
    let pair = HandedPair(HandoverSamples.row)
    #expect(
      machine.handle(.storeReleased([pair, pair])) == [.send(.pair(pair)), .send(.pair(pair)), .send(.released)])
  }

  @Test("Another version of the protocol is refused with a reason, and the old process goes on")
  func version() {
    var machine = HandoverGiving(sockets: 1)
    let actions = machine.handle(
      .message(.hello(HandoverMessage.Hello(protocolVersion: 2, gateway: "9.9", process: 7))))
    guard actions.count == 3, case .send(.refused(let reason)) = actions[0], case .failed = actions[1] else {
      Issue.record("\(actions)")
      return
    }
    #expect(reason.contains("9.9") && actions[2] == .end)
    #expect(machine.state == .ended)
  }

  @Test(
    "The new process dies: nothing to undo before it asked for the store, the store is taken back after it",
    arguments: [
      (HandoverGiving.State.greeting, false), (.offered, false), (.finishing, true), (.released, true),
    ])
  func death(state: HandoverGiving.State, takesBack: Bool) {
    var machine = Self.machine(state)
    let actions = machine.handle(.closed)
    #expect(machine.state == .ended)
    #expect(actions.contains(.takeStoreBack) == takesBack)
    #expect(actions.contains(.end) && !actions.contains(.killPeer))
    // Somebody who only looked whether a gateway is there is no failure.
    #expect(actions.contains { if case .failed = $0 { true } else { false } } == (state != .greeting))
  }

  @Test(
    "A step that takes too long ends the replacement; who may have the store must not go on",
    arguments: [HandoverGiving.State.greeting, .offered, .finishing, .released])
  func late(state: HandoverGiving.State) {
    var machine = Self.machine(state)
    #expect(machine.isTimed)
    let actions = machine.handle(.timePassed)
    #expect(machine.state == .ended)
    guard case .send(.cancelled) = actions.first else {
      Issue.record("\(actions)")
      return
    }
    #expect(actions.contains(.killPeer) == (state == .released))
    #expect(actions.contains(.takeStoreBack) == (state == .finishing || state == .released))
    // It is killed while its connection still says which process it is.
    if let kill = actions.firstIndex(of: .killPeer), let end = actions.firstIndex(of: .end) { #expect(kill < end) }
  }

  @Test(
    "SIGTERM ends a replacement that is not done, and the store is nobody's concern here any more",
    arguments: [HandoverGiving.State.greeting, .offered, .finishing, .released])
  func stop(state: HandoverGiving.State) {
    var machine = Self.machine(state)
    let actions = machine.handle(.stopping)
    #expect(machine.state == .ended && actions.last == .end && !actions.contains(.takeStoreBack))
    guard case .send(.cancelled) = actions.first else {
      Issue.record("\(actions)")
      return
    }
  }

  @Test("After the yield neither a late step nor SIGTERM changes anything")
  func settled() {
    var machine = Self.machine(.handedOver)
    #expect(machine.handle(.timePassed).isEmpty && machine.handle(.stopping).isEmpty)
    #expect(machine.handle(.storeReleased([])).isEmpty)
    #expect(machine.state == .handedOver)
  }

  @Test(
    "What comes out of turn ends the replacement, and the old process has its store",
    arguments: [HandoverGiving.State.greeting, .offered, .finishing, .released], HandoverSamples.messages)
  func outOfTurn(state: HandoverGiving.State, message: HandoverMessage) {
    let expected: [HandoverMessage] =
      switch state {
      case .greeting: [HandoverMessage.hello(HandoverMessage.Hello())]
      case .offered: [.release]
      case .released: [.serving]
      case .finishing, .handedOver, .ended: []
      }
    if expected.contains(message) { return }
    var machine = Self.machine(state)
    for event in [HandoverGiving.Event.message(message), .unknownMessage] {
      machine = Self.machine(state)
      let actions = machine.handle(event)
      #expect(machine.state == .ended && actions.contains(.end))
      #expect(actions.contains(.takeStoreBack) == (state == .finishing || state == .released))
    }
  }

  @Test("What the store says too late is not sent", arguments: [HandoverGiving.State.greeting, .offered, .released])
  func lateStore(state: HandoverGiving.State) {
    var machine = Self.machine(state)
    #expect(machine.handle(.storeReleased([])).isEmpty && machine.state == state)
  }

  @Test("After the end nothing follows", arguments: HandoverSamples.messages)
  func end(message: HandoverMessage) {
    var machine = Self.machine(.ended)
    for event in [HandoverGiving.Event.message(message), .closed, .timePassed, .stopping, .storeReleased([])] {
      #expect(machine.handle(event).isEmpty)
    }
  }
}
