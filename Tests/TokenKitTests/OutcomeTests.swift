// What follows from an attempt that brought no token: unanswered, transient, needsLogin, misconfigured.

import GatewayTesting
import Testing
import TokenKit

@Suite struct OutcomeTests {
  static func ready(_ terms: LeaseTerms = MachineRig.terms(), lifetime: Duration = .seconds(3600)) -> MachineRig {
    let rig = MachineRig(terms).start()
    rig.reply(refresh: "r1", lifetime: .relative(lifetime))
    return rig
  }

  // MARK: unanswered

  @Test func afterAnUnansweredAttemptTheStoreIsReadAndTheSameTokenSentAfterOneSecond() {
    let rig = MachineRig(MachineRig.terms()).start()
    let reads = rig.reads
    rig.fail(.unanswered, "reset")
    #expect(rig.reads == reads + 1)
    rig.advance(by: .milliseconds(999))
    #expect(rig.calls.count == 1)
    rig.advance(by: .milliseconds(1))
    #expect(rig.calls.map(\.token) == ["seed", "seed"])
    rig.reply()
    #expect(rig.isServing)
  }

  @Test func thenItIsSentAgainByBackoff() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.fail(.unanswered)
    for _ in 1...40 {
      while rig.pending.isEmpty { rig.advance(by: .milliseconds(100)) }
      rig.fail(.unanswered)
    }
    #expect(rig.calls.allSatisfy { $0.token == "seed" })
    let gaps = zip(rig.calls.dropFirst(), rig.calls).map { $0.at - $1.at }
    #expect(gaps[0] == .seconds(1))
    #expect(gaps.dropFirst().allSatisfy { $0 >= .milliseconds(250) && $0 <= .milliseconds(300_100) })
    #expect(gaps.contains { $0 > .seconds(60) })
  }

  @Test func callersWaitForTheSecondAttemptAndShareTheFailureOfItsOwn() {
    let rig = MachineRig(MachineRig.terms()).start()
    let first = rig.want()
    rig.fail(.unanswered)
    let second = rig.want()
    #expect(rig.answer(first) == nil && rig.answer(second) == nil)
    rig.advance(by: .seconds(1))
    rig.fail(.unanswered, "timeout")
    let failure = rig.failure(first)
    #expect(failure?.reason == .tokenEndpointUnreachable)
    #expect(failure?.code == "timeout")
    #expect(failure == rig.failure(second))
    let third = rig.want()
    #expect(rig.failure(third)?.until == rig.status.failure?.until)
  }

  @Test func aNewerPairInTheStoreIsAdoptedWithoutACall() throws {
    let rig = Self.ready(MachineRig.terms(shared: true))
    rig.advance(by: .seconds(2900))
    var row = try #require(rig.store.rows["vinid"])
    row.generation = 9
    row.accessToken = Secret("theirs")
    row.refreshToken = Secret("r9")
    row.obtainedAt = rig.now.wall
    row.expiresAt = rig.now.wall + .seconds(3600)
    row.mark = nil
    rig.store.rows["vinid"] = row
    rig.fail(.unanswered, "lost_race")
    #expect(rig.published.last?.generation == 9)
    rig.advance(by: .seconds(2000))
    #expect(rig.calls.count == 2)
    rig.advance(by: .seconds(900))
    #expect(rig.calls.last?.token == "r9")
  }

  @Test func theMarkStaysWhileTheAnswerIsUnknownAndGoesWithADefiniteOne() {
    let rig = MachineRig(MachineRig.terms()).start()
    #expect(rig.store.rows["vinid"]?.mark?.owner == "me")
    rig.fail(.transient)
    #expect(rig.store.rows["vinid"]?.mark == nil)
    while rig.pending.isEmpty { rig.advance(by: .seconds(1)) }
    rig.fail(.unanswered)
    #expect(rig.store.rows["vinid"]?.mark != nil)
    while rig.pending.isEmpty { rig.advance(by: .seconds(1)) }
    // A refusal for now doesn't tell what became of the attempt before it.
    rig.fail(.transient)
    #expect(rig.store.rows["vinid"]?.mark != nil)
  }

  @Test func invalidGrantAfterAnUnansweredAttemptIsALostReply() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.fail(.unanswered)
    let want = rig.want()
    rig.advance(by: .seconds(1))
    rig.fail(.needsLogin, "invalid_grant")
    #expect(rig.failure(want)?.needsLogin == .lostReply)
    #expect(rig.failure(want)?.text == "lost_reply")
    #expect(rig.store.rows["vinid"]?.needsLogin?.reason == .lostReply)
  }

  @Test func anInFlightMarkFoundAtStartIsAnUnansweredAttempt() {
    let first = MachineRig(MachineRig.terms()).start()
    let second = first.restarted(MachineRig.terms())
    second.start()
    #expect(second.events.contains(.interruptedGrantFound(owner: "me")))
    second.advance(by: .milliseconds(999))
    #expect(second.calls.isEmpty)
    second.advance(by: .milliseconds(1))
    #expect(second.calls.map(\.token) == ["seed"])
    second.fail(.needsLogin, "invalid_grant")
    #expect(second.status.failure?.needsLogin == .lostReply)
  }

  @Test func itsSecondAttemptCountsFromTheFirstNotFromTheStart() {
    let first = Self.ready()
    first.advance(by: .seconds(2900))
    #expect(first.pending.count == 1)
    first.advance(by: .seconds(30))
    let second = first.restarted(MachineRig.terms()).start()
    second.advance(by: .milliseconds(1))
    #expect(second.calls.map(\.token) == ["r1"])
    // The stored lease serves meanwhile.
    #expect(second.isServing)
  }

  @Test func aMarkIsFollowedUpEvenIfTheStoredLeaseIsGoodForLong() {
    let first = Self.ready()
    first.advance(by: .seconds(100))
    first.want(above: 1, .rejected(route: 1))
    #expect(first.pending.count == 1)
    let second = first.restarted(MachineRig.terms()).start()
    second.advance(by: .seconds(1))
    #expect(second.calls.map(\.token) == ["r1"])
  }

  // MARK: transient

  @Test func transientFailuresBackOffAndWaitersShareThemUntilTheNextAttempt() {
    let rig = MachineRig(MachineRig.terms()).start()
    let first = rig.want()
    rig.fail(.transient, "http_429")
    #expect(rig.failure(first)?.reason == .tokenEndpointUnreachable)
    let calls = rig.calls.count
    let second = rig.want()
    #expect(rig.failure(second) == rig.failure(first))
    #expect(rig.calls.count == calls)
    #expect(rig.failure(first)?.retryAfter(at: rig.now.boot) == 1)
  }

  @Test func backoffIsCappedAtTenSecondsWhileCallersWaitWithoutALease() {
    let rig = MachineRig(MachineRig.terms()).start()
    var last = rig.now.boot
    var longest = Duration.zero
    for _ in 1...60 {
      while rig.pending.isEmpty {
        rig.want()
        rig.advance(by: .milliseconds(100))
      }
      longest = max(longest, rig.now.boot - last)
      last = rig.now.boot
      rig.fail(.transient)
    }
    #expect(longest <= .milliseconds(10_100))
    #expect(longest > .seconds(8))
  }

  @Test func backoffIsCappedAtFiveMinutesWhileNobodyAsks() {
    let rig = MachineRig(MachineRig.terms()).start()
    var last = rig.now.boot
    var longest = Duration.zero
    for _ in 1...60 {
      while rig.pending.isEmpty { rig.advance(by: .milliseconds(500)) }
      longest = max(longest, rig.now.boot - last)
      last = rig.now.boot
      rig.fail(.transient)
    }
    #expect(longest <= .milliseconds(300_500))
    #expect(longest > .seconds(200))
    // Now somebody asks: ten seconds at most.
    rig.want()
    rig.advance(by: .seconds(10))
    #expect(rig.pending.count == 1)
  }

  @Test func retryAfterWins() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.fail(.transient, "http_429", retryAfter: .seconds(90))
    let want = rig.want()
    #expect(rig.failure(want)?.retryAfter(at: rig.now.boot) == 90)
    rig.advance(by: .milliseconds(89_999))
    #expect(rig.calls.count == 1)
    rig.advance(by: .milliseconds(1))
    #expect(rig.calls.count == 2)
  }

  @Test func retryAfterZeroIsNotAtOnceAndAYearIsADay() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.fail(.transient, retryAfter: .zero)
    rig.advance(by: .milliseconds(999))
    #expect(rig.calls.count == 1)
    rig.advance(by: .milliseconds(1))
    rig.fail(.transient, retryAfter: .seconds(365 * 86_400))
    rig.advance(by: .seconds(86_400))
    #expect(rig.calls.count == 3)
  }

  @Test(arguments: [GrantError.Kind.transient, .unanswered, .needsLogin, .misconfigured])
  func theLeaseServesToItsEndWhateverFails(kind: GrantError.Kind) {
    let rig = Self.ready(lifetime: .seconds(100))
    rig.advance(by: .seconds(80))
    while rig.now.boot < BootInstant(nanoseconds: 0) + .seconds(1000 + 94) {
      if !rig.pending.isEmpty { rig.fail(kind) }
      let want = rig.want()
      #expect(rig.generation(want) == 1)
      rig.advance(by: .milliseconds(500))
    }
    rig.advance(by: .seconds(1))
    if !rig.pending.isEmpty { rig.fail(kind) }
    #expect(!rig.isServing)
    #expect(rig.status.failure != nil)
  }

  // MARK: needsLogin

  @Test func needsLoginReadsTheStoreOnceAndThenAsksNobodyAnyMore() {
    let rig = Self.ready()
    rig.advance(by: .seconds(2900))
    let reads = rig.reads
    rig.fail(.needsLogin, "invalid_grant")
    #expect(rig.reads == reads + 1)
    #expect(rig.status.state == .needsLogin)
    #expect(rig.alarms == [.needsLogin])
    rig.advance(by: .seconds(86_400))
    let want = rig.want(above: 1, .rejected(route: 1))
    #expect(rig.failure(want) == LeaseFailure(.needsLogin, needsLogin: .rejected, code: "invalid_grant"))
    #expect(rig.calls.count == 2)
    // A restart doesn't ask either.
    let next = rig.restarted(MachineRig.terms()).start()
    next.advance(by: .seconds(86_400))
    #expect(next.calls.isEmpty)
    #expect(next.status.failure?.code == "invalid_grant")
  }

  @Test func needsLoginEndsWithANewSeed() {
    let rig = Self.ready()
    rig.advance(by: .seconds(2900))
    rig.fail(.needsLogin, "invalid_grant")
    rig.newSecrets = MachineRig.terms(seed: "fresh")
    rig.advance(by: .seconds(300))
    #expect(rig.calls.last?.token == "fresh")
    rig.reply(refresh: "f1")
    #expect(rig.isServing && rig.alarms.isEmpty)
    #expect(rig.published.last?.generation == 3)
  }

  @Test func needsLoginEndsWithALogin() {
    let rig = Self.ready()
    rig.advance(by: .seconds(2900))
    rig.fail(.needsLogin, "invalid_grant")
    let token = Token(
      accessToken: Secret("in"), refreshToken: Secret("login"), lifetime: .relative(.seconds(3600)))
    rig.send(.loggedIn(GrantReply(token: token, date: nil, sent: rig.now, received: rig.now)))
    #expect(rig.published.last?.generation == 2)
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "login")
    #expect(rig.store.rows["vinid"]?.needsLogin == nil)
    rig.advance(by: .seconds(2900))
    #expect(rig.calls.last?.token == "login")
  }

  @Test func needsLoginEndsWithAnAdminsRefresh() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.fail(.unanswered)
    rig.advance(by: .seconds(1))
    rig.fail(.needsLogin, "invalid_grant")
    rig.advance(by: .seconds(5))
    let admin = rig.want(.admin)
    rig.fail(.needsLogin, "invalid_grant")
    #expect(rig.failure(admin)?.needsLogin == .lostReply)
    #expect(rig.calls.count == 3)
    rig.advance(by: .seconds(5))
    let again = rig.want(.admin)
    rig.reply()
    #expect(rig.generation(again) == 1)
    #expect(rig.alarms.isEmpty)
  }

  @Test func needsLoginEndsWithAPairThatAnotherReplicaStored() throws {
    let rig = Self.ready(MachineRig.terms(shared: true))
    rig.advance(by: .seconds(2900))
    rig.fail(.needsLogin, "invalid_grant")
    #expect(rig.status.state == .needsLogin)
    var row = try #require(rig.store.rows["vinid"])
    row.generation = 5
    row.refreshToken = Secret("r5")
    row.accessToken = Secret("a5")
    row.needsLogin = nil
    row.expiresAt = rig.now.wall + .seconds(3600)
    rig.store.rows["vinid"] = row
    rig.send(.storeChanged(generation: 5))
    #expect(rig.isServing)
    #expect(rig.published.last?.generation == 5)
  }

  @Test func noTokenAtAllNeedsALoginWithoutACall() {
    let rig = MachineRig(MachineRig.terms(seed: nil)).start()
    let want = rig.want()
    let admin = rig.want(.admin)
    rig.advance(by: .seconds(86_400))
    #expect(rig.calls.isEmpty)
    #expect(rig.failure(want)?.needsLogin == .noRefreshToken)
    #expect(rig.failure(admin)?.needsLogin == .noRefreshToken)
  }

  // MARK: misconfigured

  /// What happens when: The token API refuses the client
  @Test func misconfiguredReadsSecretsAgainAndIsTriedEveryFiveMinutes() {
    let rig = MachineRig(MachineRig.terms()).start()
    let want = rig.want()
    rig.fail(.misconfigured, "invalid_client")
    #expect(rig.failure(want)?.reason == .misconfigured)
    #expect(rig.rereads == 1)
    #expect(rig.alarms == [.misconfigured])
    rig.advance(by: .milliseconds(299_999))
    #expect(rig.calls.count == 1)
    rig.advance(by: .milliseconds(1))
    #expect(rig.calls.count == 2)
    #expect(rig.rereads == 2)
    #expect(rig.alarms == [.misconfigured])
    rig.reply()
    #expect(rig.alarms.isEmpty)
  }

  @Test func changedSecretsAreTriedAtOnce() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.newSecrets = MachineRig.terms()
    rig.fail(.misconfigured, "invalid_client")
    rig.advance(by: .seconds(1))
    #expect(rig.calls.count == 2)
  }

  @Test func secretsThatChangeWheneverTheyAreReadMakeNoLoop() {
    let rig = MachineRig(MachineRig.terms()).start()
    for _ in 1...3000 {
      if !rig.pending.isEmpty {
        rig.newSecrets = MachineRig.terms()
        rig.fail(.misconfigured, "invalid_client")
      }
      rig.advance(by: .seconds(1))
    }
    #expect(rig.calls.count <= 2 * 3000 / 300 + 2)
  }

  @Test func grantsWithoutARefreshTokenNeverNeedALogin() {
    let rig = MachineRig(MachineRig.terms(seed: nil, refresh: false)).start()
    let want = rig.want()
    rig.fail(.needsLogin, "invalid_grant")
    #expect(rig.failure(want)?.reason == .misconfigured)
  }

  @Test func aTokenThatCantStandInAHeaderIsAFailedRefresh() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply("bad\r\nX-Evil: 1", refresh: "r1")
    #expect(rig.published.isEmpty)
    #expect(rig.status.failure?.code == "malformed_token")
    rig.advance(by: .seconds(1))
    #expect(rig.calls.map(\.token) == ["seed", "seed"])
  }

  @Test func aReplyWithoutARefreshTokenKeepsTheOldOneAndAnEmptyOneToo() {
    let rig = Self.ready()
    for refresh in [nil, ""] {
      rig.advance(by: .seconds(2900))
      rig.reply(refresh: refresh)
    }
    rig.advance(by: .seconds(2900))
    #expect(rig.calls.map(\.token) == ["seed", "r1", "r1", "r1"])
  }
}
