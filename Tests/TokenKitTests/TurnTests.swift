// What a credential does while it waits for its turn at the token host: nothing that anybody else would notice.

import GatewayTesting
import Testing
import TokenKit

@Suite struct TurnTests {
  /// Waits for its first turn.
  static func waiting(kills: Bool = false, shared: Bool = false) -> MachineRig {
    let rig = MachineRig(MachineRig.terms(kills: kills, shared: shared))
    rig.givesTurns = false
    return rig.start()
  }

  /// Has a lease of an hour, and is due for its refresh.
  static func due(kills: Bool = false) -> MachineRig {
    let rig = MachineRig(MachineRig.terms(kills: kills)).start()
    rig.reply(refresh: "r1")
    rig.givesTurns = false
    rig.advance(by: .seconds(3000))
    return rig
  }

  static func giveTurn(_ rig: MachineRig) { if let turn = rig.turns.last { rig.send(.turn(turn.id)) } }

  @Test(arguments: [false, true])
  func noMarkAndNoLockBeforeTheTurn(_ isShared: Bool) {
    let rig = Self.waiting(shared: isShared)
    rig.advance(by: .seconds(600))
    #expect(rig.turns.count == 1 && rig.begins == 0 && rig.calls.isEmpty)
    #expect(rig.store.rows.isEmpty && rig.store.locks.isEmpty)
    Self.giveTurn(rig)
    #expect(rig.begins == 1 && rig.calls.count == 1)
    #expect(rig.endedTurns.isEmpty, "the turn lasts as long as the call")
    rig.reply(refresh: "r1")
    #expect(rig.endedTurns == [1])
    #expect(rig.isServing)
  }

  @Test func nothingIsHeldBackBeforeTheTurn() {
    let rig = Self.due(kills: true)
    #expect(rig.turns.count == 2 && rig.announced == nil)
    Self.giveTurn(rig)
    #expect(rig.announced != nil)
  }

  @Test func aTurnIsUrgentOnceSomebodyWaits() {
    let rig = Self.due()
    #expect(rig.turns.last?.priority.isUrgent == false)
    let want = rig.want(above: 1)
    #expect(rig.turns.count == 3 && rig.turns[2].priority.isUrgent)
    #expect(rig.turns[2].id == rig.turns[1].id, "the same turn, sooner")
    rig.want(above: 1)
    #expect(rig.turns.count == 3)
    Self.giveTurn(rig)
    rig.reply("new", refresh: "r2")
    #expect(rig.generation(want) == 2)
  }

  @Test func theDeadlineIsTheLeasesOrTheRefreshTokensEnd() throws {
    let rig = MachineRig(MachineRig.terms(refreshLifetime: .seconds(1800))).start()
    rig.reply(refresh: "r1")
    rig.givesTurns = false
    let sent = rig.now.boot
    rig.advance(by: .seconds(901))
    // The wall clock has milliseconds.
    let deadline = try #require(rig.turns.last?.priority.deadline)
    #expect(deadline >= sent + .seconds(1800) && deadline < sent + .milliseconds(1_800_002))
  }

  @Test func callersWaitForATurnThatIsNearAndAreToldOfOneThatIsFar() {
    let rig = Self.waiting()
    let first = rig.want()
    #expect(rig.answer(first) == nil)
    rig.send(.turnDelayed(1, until: rig.now.boot + .seconds(40)))
    #expect(rig.failure(first)?.reason == .rateLimited)
    #expect(rig.failure(first)?.retryAfter(at: rig.now.boot) == 40)
    #expect(rig.status.state == .rateLimited)
    #expect(rig.status.failure?.text == "rate_limited")
    rig.advance(by: .seconds(31))
    let second = rig.want()
    #expect(rig.answer(second) == nil, "it comes within the time in which callers may wait")
    #expect(rig.turns.allSatisfy { $0.id == 1 } && rig.turns.last?.priority.isUrgent == true)
    Self.giveTurn(rig)
    rig.reply(refresh: "r1")
    #expect(rig.generation(second) == 1)
  }

  @Test func aLeaseServesWhileItsRefreshWaits() {
    let rig = Self.due()
    rig.send(.turnDelayed(2, until: rig.now.boot + .seconds(60)))
    #expect(rig.status.state == .rateLimited && rig.status.isHealthy && rig.status.failure == nil)
    #expect(rig.generation(rig.want()) == 1)
  }

  @Test func aTurnThatIsNotNeededAnyMoreIsGivenBack() {
    let rig = Self.due()
    rig.send(.shutdown)
    #expect(rig.endedTurns == [1, 2] && rig.stops == 1)
    Self.giveTurn(rig)
    #expect(rig.begins == 1 && rig.calls.count == 1, "a turn that comes too late begins nothing")
  }

  @Test func aMarkThatFailsGivesTheTurnBackUntilItIsTriedAgain() {
    let rig = Self.due()
    rig.broken = [.mark]
    Self.giveTurn(rig)
    #expect(rig.endedTurns == [1, 2])
    rig.givesTurns = true
    rig.broken = []
    rig.advance(by: .seconds(15))
    #expect(rig.calls.count == 2 && rig.turns.count == 3)
    rig.reply(refresh: "r2")
    #expect(rig.endedTurns == [1, 2, 3])
  }

  @Test func withoutAMarkItTakesATurnToo() {
    let rig = Self.waiting()
    rig.broken = [.mark]
    Self.giveTurn(rig)
    #expect(rig.calls.count == 1, "no lease: its own store can't stop it")
    #expect(rig.endedTurns.isEmpty)
  }

  @Test func aLoginTakesThePlaceOfAGrantThatWaits() {
    let rig = Self.due()
    rig.send(
      .loggedIn(
        GrantReply(
          token: Token(accessToken: Secret("in"), refreshToken: Secret("r9"), lifetime: .relative(.seconds(3600))),
          date: nil, sent: rig.now, received: rig.now)))
    #expect(rig.endedTurns == [1, 2])
    #expect(rig.status.state == .ready && rig.published.last?.generation == 2)
  }

  @Test func aNewerPairTakesThePlaceOfAGrantThatWaits() throws {
    let rig = Self.due()
    let row = try #require(rig.store.rows["vinid"])
    var newer = row
    newer.generation = 2
    newer.accessToken = Secret("other")
    newer.refreshToken = Secret("r2")
    newer.obtainedAt = rig.now.wall
    newer.expiresAt = rig.now.wall + .seconds(3600)
    rig.store.rows["vinid"] = newer
    rig.send(.storeChanged(generation: 2))
    #expect(rig.endedTurns == [1, 2])
    #expect(rig.published.last?.generation == 2 && rig.calls.count == 1)
  }
}
