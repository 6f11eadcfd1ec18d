// A login's pair on its way through the manager: who is told what, and when.
import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

@Suite struct LoginTests {
  private func reply(_ rig: ManagerRig, _ access: String = "good", refresh: String = "in") -> GrantReply {
    GrantReply(
      token: Token(
        accessToken: Secret(access), refreshToken: Secret(refresh), lifetime: .relative(.seconds(100))),
      date: nil, sent: rig.clock.now, received: rig.clock.now)
  }

  @Test func whoeverLogsInHearsWhenTheLoopsHaveThePair() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    rig.transport.reply(400)
    rig.clock.advance(by: .seconds(1))
    var outcomes: [LoginOutcome] = []
    #expect(rig.manager.login(credential: 0, reply(rig)) { outcomes.append($0) })
    rig.clock.advance(by: .zero)
    #expect(outcomes == [.published(generation: 1, isStored: true)])
    #expect(rig.publisher.published.map(\.1.generation) == [1])
    #expect(rig.manager.status(credential: 0).state == .ready)
  }

  /// The pair of the grant in flight is stored first, then the login's.
  @Test func aLoginWaitsForTheGrantInFlight() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    var outcomes: [LoginOutcome] = []
    #expect(rig.manager.login(credential: 0, reply(rig)) { outcomes.append($0) })
    rig.clock.advance(by: .zero)
    #expect(outcomes.isEmpty)
    rig.transport.reply(200, "a1 r1 3600")
    rig.clock.advance(by: .zero)
    #expect(outcomes == [.published(generation: 2, isStored: true)])
    rig.clock.advance(by: .seconds(85))
    #expect(rig.transport.bodies == ["seed", "in"])
  }

  @Test func withTheStoreAwayThePairServesAndItsWriteGoesOn() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    rig.start()
    rig.transport.reply(400)
    rig.clock.advance(by: .seconds(1))
    rig.store.fault = { $0 == .save ? .failed : .none }
    var outcomes: [LoginOutcome] = []
    #expect(rig.manager.login(credential: 0, reply(rig)) { outcomes.append($0) })
    rig.clock.advance(by: .zero)
    #expect(outcomes == [.published(generation: 1, isStored: false)])
    #expect(rig.manager.status(credential: 0).isServing)
    #expect(rig.manager.status(credential: 0).alarms == [.pairNotStored])
    rig.store.fault = { _ in .none }
    rig.clock.advance(by: .seconds(30))
    #expect(rig.manager.status(credential: 0).alarms.isEmpty)
    #expect(rig.shared.model.rows["vinid"]?.refreshToken == Secret("in"))
  }

  /// What a command does when no gateway runs: the seed that stands in the configuration is replaced, not sent.
  @Test func beforeTheStartALoginReplacesWhatWouldBeSent() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    var outcomes: [LoginOutcome] = []
    #expect(rig.manager.login(credential: 0, reply(rig)) { outcomes.append($0) })
    rig.start()
    #expect(outcomes == [.published(generation: 1, isStored: true)])
    #expect(rig.transport.calls.isEmpty)

    let next = try ManagerRig([ManagerRig.definition()], shared: rig.shared)
    next.start()
    #expect(next.manager.status(credential: 0).isServing)
    next.clock.advance(by: .seconds(85))
    #expect(next.transport.bodies == ["in"], "the seed was replaced and is never sent")
  }

  @Test func aStopTellsThoseWhoWait() throws {
    let rig = try ManagerRig([ManagerRig.definition()])
    var outcomes: [LoginOutcome] = []
    #expect(rig.manager.login(credential: 0, reply(rig)) { outcomes.append($0) })
    rig.manager.shutdown {}
    #expect(outcomes == [.stopped])
    #expect(!rig.manager.login(credential: 0, reply(rig)), "nothing is taken any more")
  }

  @Test func settingsThatDifferHaveOtherIdentities() {
    let texts = [
      ManagerRig.definition("a").identityText, ManagerRig.definition("b").identityText,
      ManagerRig.definition("a", seed: "other").identityText,
    ]
    #expect(texts[0].utf8.count == 64 && texts[0] != texts[1] && texts[0] == texts[2])
  }
}
