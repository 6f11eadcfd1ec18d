// The new process's side of a replacement: every message and every mishap in every state.
import Testing

@testable import Gateway

@Suite("Handover, new process") struct HandoverTakingTests {
  private static let offer = HandoverMessage.offer(HandoverMessage.Hello(), sockets: 2)
  private static let socket = HandoverMessage.socket(name: "listener main", address: "127.0.0.1:8080")

  private enum Step: Int, CaseIterable { case greeting, receiving, preparing, asking, opening, serving, linked }

  /// A machine that has got that far.
  private static func machine(_ step: Step) -> HandoverTaking {
    var machine = HandoverTaking()
    let way: [[HandoverTaking.Event]] = [
      [.message(offer)], [.message(socket), .message(socket)], [.prepared], [.message(.released)], [.started],
      [.message(.yielded)],
    ]
    for event in way.prefix(step.rawValue).joined() { _ = machine.handle(event) }
    return machine
  }

  @Test("The whole way: sockets, everything else, the store, service, and the old one's questions until its end")
  func way() {
    var machine = HandoverTaking()
    #expect(machine.handle(.message(Self.offer)).isEmpty)
    let kept = HandoverTaking.Action.keepSocket(name: "listener main", address: "127.0.0.1:8080")
    #expect(machine.handle(.message(Self.socket)) == [kept])
    #expect(machine.handle(.message(Self.socket)) == [kept, .prepare])
    #expect(machine.handle(.prepared) == [.send(.release)])
    let pair = HandedPair(HandoverSamples.row)
    #expect(machine.handle(.message(.pair(pair))).isEmpty)
    #expect(machine.handle(.message(.released)) == [.openStore([pair])])
    #expect(machine.handle(.started) == [.send(.serving)])
    #expect(machine.handle(.message(.yielded)) == [.becomeMain])
    let question = HandoverMessage.holding(ticket: 1)
    #expect(machine.handle(.message(question)) == [.relay(question)])
    #expect(machine.handle(.unknownMessage).isEmpty)
    #expect(machine.handle(.closed) == [.predecessorEnded, .end])
    #expect(machine.state == .ended)
  }

  @Test("Without sockets there is nothing to wait for")
  func noSockets() {
    var machine = HandoverTaking()
    #expect(machine.handle(.message(.offer(HandoverMessage.Hello(), sockets: 0))) == [.prepare])
  }

  @Test("The old process dies: the new one goes on alone from wherever it is, and is told to serve once")
  func death() {
    var machine = Self.machine(.greeting)
    #expect(machine.handle(.closed) == [.prepare])
    #expect(machine.handle(.prepared) == [.openStore([])])
    #expect(machine.handle(.started) == [.becomeMain, .end])

    machine = Self.machine(.receiving)
    _ = machine.handle(.message(Self.socket))
    #expect(machine.handle(.closed) == [.prepare])

    machine = Self.machine(.preparing)
    #expect(machine.handle(.closed).isEmpty)
    #expect(machine.handle(.prepared) == [.openStore([])])

    machine = Self.machine(.asking)
    #expect(machine.handle(.closed) == [.openStore([])])
    #expect(machine.handle(.started) == [.becomeMain, .end])

    machine = Self.machine(.opening)
    #expect(machine.handle(.closed).isEmpty)
    #expect(machine.handle(.started) == [.becomeMain, .end])

    machine = Self.machine(.serving)
    #expect(machine.handle(.closed) == [.becomeMain, .predecessorEnded, .end])

    machine = Self.machine(.linked)
    #expect(machine.handle(.closed) == [.predecessorEnded, .end])
  }

  @Test(
    "The old process goes on itself: the new one does not start, whatever it has",
    arguments: 0...4, [HandoverMessage.refused(reason: "why"), .cancelled(reason: "why")])
  func refused(step: Int, message: HandoverMessage) throws {
    var machine = Self.machine(try #require(Step(rawValue: step)))
    #expect(machine.handle(.message(message)) == [.fail(reason: "why"), .end])
    #expect(machine.state == .ended && machine.handle(.closed).isEmpty && machine.handle(.started).isEmpty)
  }

  @Test("An old process that does not answer is no reason to start")
  func late() {
    for step in [Step.greeting, .receiving, .asking] {
      var machine = Self.machine(step)
      #expect(machine.isTimed)
      guard case .fail = machine.handle(.timePassed).first else {
        Issue.record("\(step)")
        continue
      }
    }
    // Its own steps are the old process's to time.
    for step in [Step.preparing, .opening, .serving, .linked] { #expect(!Self.machine(step).isTimed) }
  }

  @Test("What comes out of turn is no reason to start either", arguments: HandoverSamples.messages)
  func outOfTurn(message: HandoverMessage) {
    for step in [Step.greeting, .receiving, .preparing, .asking, .opening] {
      let expected: Bool =
        switch (step, message) {
        case (_, .refused), (_, .cancelled), (.greeting, .offer), (.receiving, .socket), (.asking, .pair),
          (.asking, .released):
          true
        default: false
        }
      if expected { continue }
      for event in [HandoverTaking.Event.message(message), .unknownMessage] {
        var machine = Self.machine(step)
        let actions = machine.handle(event)
        guard actions.count == 2, case .fail = actions[0], actions[1] == .end else {
          Issue.record("\(step): \(actions)")
          continue
        }
      }
    }
  }

  @Test("A second word that the old process yields changes nothing")
  func yieldedTwice() {
    var machine = Self.machine(.linked)
    #expect(machine.handle(.message(.yielded)).isEmpty && machine.state == .linked)
  }
}
