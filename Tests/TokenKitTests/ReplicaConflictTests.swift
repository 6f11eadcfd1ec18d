// What the simulator has found between replicas, as scripts: writes that had succeeded although they seemed to fail, verdicts
// of others, floors and locks that outlast a store that is away.

import GatewayTesting
import Testing
import TokenKit

@Suite struct ReplicaConflictTests {
  /// A login's pair that the store seemed not to take, and a replica that has gone on from it since.
  private func overtakenLogin() throws -> MachineRig {
    let rig = OutcomeTests.ready(MachineRig.terms(shared: true))
    rig.advance(by: .seconds(2900))
    rig.fail(.needsLogin, "invalid_grant")
    rig.broken = [.save]
    let token = Token(accessToken: Secret("in"), refreshToken: Secret("login"), lifetime: .relative(.seconds(3600)))
    rig.send(.loggedIn(GrantReply(token: token, date: nil, sent: rig.now, received: rig.now)))
    #expect(rig.alarms == [.pairNotStored])
    var row = try #require(rig.store.rows["vinid"])
    row.generation = 3
    row.accessToken = Secret("theirs")
    row.refreshToken = Secret("after-login")
    row.needsLogin = nil
    row.obtainedAt = rig.now.wall
    row.expiresAt = rig.now.wall + .seconds(3600)
    rig.store.rows["vinid"] = row
    rig.store.fingerprints.insert(Fingerprinter.forTests.refreshToken(Secret("login")))
    return rig
  }

  @Test func aLoginWhoseWriteHadSucceededDoesNotReplaceWhatFollowedFromIt() throws {
    let rig = try overtakenLogin()
    rig.broken = []
    rig.advance(by: .seconds(20))
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "after-login")
    #expect(rig.events.contains(.pairAdopted(generation: 3)))
    #expect(rig.published.last?.fields.first?.value.reveal() == "Bearer theirs")
    #expect(rig.alarms.isEmpty)
    rig.advance(by: .seconds(2900))
    #expect(rig.calls.last?.token == "after-login")
  }

  @Test func aConflictThatCannotBeLookedAtReplacesNothing() throws {
    let rig = try overtakenLogin()
    rig.broken = [.read]
    rig.advance(by: .seconds(60))
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "after-login")
    #expect(rig.alarms == [.pairNotStored])
    rig.broken = []
    rig.advance(by: .seconds(20))
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "after-login")
    #expect(rig.alarms.isEmpty)
  }

  @Test func aLoginThatTheStoreNeverHadStillWins() throws {
    let rig = try overtakenLogin()
    rig.store.fingerprints.remove(Fingerprinter.forTests.refreshToken(Secret("login")))
    rig.broken = []
    rig.advance(by: .seconds(20))
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "login")
    #expect(rig.store.rows["vinid"]?.generation == 4)
    #expect(rig.alarms.isEmpty)
  }

  @Test func aNoticeWhileAConflictIsLookedAtAsksForTheSameThing() throws {
    let rig = try overtakenLogin()
    rig.broken = []
    rig.held = [.read]
    rig.advance(by: .seconds(20))
    rig.send(.storeChanged(generation: 3))
    rig.letGo()
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "after-login")
    #expect(rig.alarms.isEmpty)
  }

  @Test func aMisconfiguredReplicaDoesNotAskWithATokenThatAnotherWasToldIsDead() throws {
    let rig = OutcomeTests.ready(MachineRig.terms(shared: true))
    rig.advance(by: .seconds(2900))
    rig.fail(.misconfigured, "invalid_client")
    let verdict = StoredVerdict(reason: .lostReply, code: "invalid_grant", time: rig.now.wall)
    rig.store.rows["vinid"]?.needsLogin = verdict
    let calls = rig.calls.count
    rig.advance(by: .seconds(400))
    let want = rig.want(above: 1)
    #expect(rig.failure(want)?.needsLogin == .lostReply)
    #expect(rig.status.state == .needsLogin)
    rig.advance(by: .seconds(3600))
    #expect(rig.calls.count == calls)
    // A person's wish is another matter.
    rig.want(.admin)
    #expect(rig.calls.count == calls + 1)
  }

  @Test func theFloorOfForcedCallsCountsFromTheCallNotFromTheMark() {
    let rig = OutcomeTests.ready()
    rig.broken = [.mark]
    rig.want(above: 1, .rejected(route: 1))
    rig.advance(by: .seconds(9))
    #expect(rig.calls.count == 1)
    rig.broken = []
    rig.advance(by: .seconds(10))
    #expect(rig.calls.count == 2)
    rig.reply(refresh: "r2")
    rig.want(above: 2, .rejected(route: 1))
    rig.advance(by: .seconds(1))
    rig.want(above: 2, .rejected(route: 1))
    #expect(rig.calls.count == 2)
  }

  @Test func aSeedThatIsNotUsedIsRememberedAgainByAStoreThatHasForgottenIt() {
    let first = OutcomeTests.ready(MachineRig.terms(shared: true))
    let rig = first.restarted(MachineRig.terms(shared: true, owner: "me"))
    rig.start()
    // A failover to an older state: the row is written again by the next grant, and the seed must be as well.
    rig.store.fingerprints = []
    rig.advance(by: .seconds(2900))
    #expect(rig.store.fingerprints.contains(Fingerprinter.forTests.refreshToken(Secret("seed"))))
  }

  // MARK: locks

  @Test(arguments: [false, true])
  func aLockOfAnAbandonedGrantDoesNotComeBackWithTheNextConnection(isStarted: Bool) throws {
    let row = try #require(OutcomeTests.ready(MachineRig.terms(shared: true)).store.rows["vinid"])
    var marked = row
    marked.mark = InFlightMark(owner: "me", generation: 1, time: row.obtainedAt, fingerprint: nil)
    var session = ReplicaSession()
    _ = session.start(.begin(StoreBegin(row: marked, expected: 1, fingerprints: [])))
    _ = session.next(.locked(true))
    _ = session.next(.row(row, markAge: nil))
    #expect(session.next(.written(true)) == .answer(.success(.begun(.marked(prior: nil)))))
    let abandon = StoreAbandon(name: "vinid", generation: 1, keepsMark: true)
    if isStarted { _ = session.start(.abandon(abandon)) } else { session.gaveUp(abandon) }
    session.disconnected()
    #expect(session.start(.relock) == .answer(.success(.relocked)))
  }
}

@Suite struct UnreplayedRejectionTests {
  @Test func aRouteThatRefusesTheLeaseItForcedBacksOffThoughItsRequestWasNotReplayed() {
    let rig = OutcomeTests.ready()
    rig.broken = [.mark]
    // Its 401 passes through; the refresh goes on.
    let first = rig.want(above: 1, .rejected(route: 4))
    #expect(rig.failure(first)?.reason == .storeUnavailable)
    rig.broken = []
    rig.advance(by: .seconds(10))
    #expect(rig.calls.count == 2)
    rig.reply(refresh: "r2")
    rig.send(.accepted(generation: 2))
    rig.advance(by: .seconds(20))
    let second = rig.want(above: 2, .rejected(route: 4))
    #expect(rig.failure(second)?.reason == .routeBackoff)
    #expect(rig.calls.count == 2)
    // Another route is not concerned, and this one may force again when its wait is over.
    rig.want(above: 2, .rejected(route: 5))
    #expect(rig.calls.count == 3)
    rig.reply(refresh: "r3")
    rig.advance(by: .seconds(15))
    rig.want(above: 3, .rejected(route: 4))
    #expect(rig.calls.count == 4)
  }
}
