// Which refresh token is used: seeds, edits of the configuration, roll-backs, restarts. And shutdown.

import GatewayTesting
import Testing

@testable import TokenKit

@Suite struct SeedTests {
  static func ready(_ terms: LeaseTerms = MachineRig.terms()) -> MachineRig { OutcomeTests.ready(terms) }

  @Test func aRestartWithAGoodStoredLeaseMakesNoCall() {
    let first = Self.ready()
    first.advance(by: .seconds(600))
    let next = first.restarted(MachineRig.terms()).start()
    #expect(next.isServing)
    #expect(next.published.map(\.generation) == [1])
    #expect(next.published.first?.expires == first.published.first?.expires)
    #expect(next.events.contains(.seedIgnored))
    next.advance(by: .seconds(2100))
    #expect(next.calls.isEmpty)
    next.advance(by: .seconds(300))
    #expect(next.calls.map(\.token) == ["r1"])
  }

  /// What happens when: The machine was off, and its clock is wrong now
  @Test func aStoredLeaseHasNeverMoreLeftThanItsLifetime() {
    let first = Self.ready()
    first.now.wall = first.now.wall + .seconds(-86_400 * 30)
    let next = first.restarted(MachineRig.terms()).start()
    #expect(next.published.first?.expires == next.now.boot + .seconds(3600))
  }

  @Test func anExpiredStoredLeaseIsRefreshedWithTheStoredToken() {
    let first = Self.ready()
    first.now.wall = first.now.wall + .seconds(7200)
    let next = first.restarted(MachineRig.terms()).start()
    #expect(next.published.isEmpty)
    #expect(next.calls.map(\.token) == ["r1"])
  }

  @Test func editedScopeOrTokenURLKeepsTheRefreshTokenButNotTheAccessToken() {
    let next = Self.ready().restarted(MachineRig.terms(scope: "read write")).start()
    #expect(next.published.isEmpty)
    #expect(next.calls.map(\.token) == ["r1"])
    next.reply(refresh: "r2")
    #expect(next.published.map(\.generation) == [2])
    // Rolled back: nothing spent is sent.
    let back = next.restarted(MachineRig.terms()).start()
    #expect(back.calls.map(\.token) == ["r2"])
  }

  @Test func aSeedThatWasExchangedIsNeverUsedAgain() {
    let first = Self.ready()
    first.store.rows["vinid"]?.refreshToken = nil
    let next = first.restarted(MachineRig.terms()).start()
    next.advance(by: .seconds(86_400))
    #expect(next.calls.isEmpty)
    #expect(next.status.failure?.needsLogin == .seedSpent)
  }

  @Test func anUnknownSeedWinsOnceAndTheGenerationGoesOn() {
    let first = Self.ready()
    let next = first.restarted(MachineRig.terms(seed: "fresh")).start()
    #expect(next.published.isEmpty, "the stored access token may be another account's")
    #expect(next.calls.map(\.token) == ["fresh"])
    next.reply("access-f", refresh: "f1")
    #expect(next.published.map(\.generation) == [3])
    // The configuration still has it: now it is known.
    let again = next.restarted(MachineRig.terms(seed: "fresh")).start()
    #expect(again.calls.isEmpty && again.isServing)
    // And the one before it, in a configuration rolled back, is spent; so is the token it had been exchanged for.
    for old in ["seed", "r1"] {
      let back = next.restarted(MachineRig.terms(seed: old)).start()
      back.advance(by: .seconds(2900))
      #expect(back.calls.map(\.token) == ["f1"])
    }
  }

  @Test func anUnknownSeedWinsOverAMarkAndAVerdict() {
    let marked = MachineRig(MachineRig.terms()).start()
    #expect(marked.restarted(MachineRig.terms(seed: "fresh")).start().calls.map(\.token) == ["fresh"])
    marked.fail(.needsLogin, "invalid_grant")
    #expect(marked.restarted(MachineRig.terms(seed: "fresh")).start().calls.map(\.token) == ["fresh"])
  }

  @Test func anotherClientsStoredTokenIsNotUsed() {
    let next = Self.ready().restarted(MachineRig.terms(seed: "fresh", client: "other")).start()
    #expect(next.calls.map(\.token) == ["fresh"])
    let without = Self.ready().restarted(MachineRig.terms(client: "other")).start()
    #expect(without.calls.isEmpty && without.published.isEmpty)
    #expect(without.status.failure?.needsLogin == .seedSpent)
    // Rolled back, the stored token is there as before.
    let back = without.restarted(MachineRig.terms()).start()
    #expect(back.isServing)
  }

  @Test func aMistypedClientDoesNotBurnTheSeed() {
    let rig = MachineRig(MachineRig.terms(client: "tpyo")).start()
    rig.fail(.misconfigured, "invalid_client")
    let fixed = rig.restarted(MachineRig.terms(client: "app")).start()
    #expect(fixed.calls.map(\.token) == ["seed"])
  }

  @Test func aSeedThatNoCallHasSentYetIsNotSpent() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.fail(.transient, "connect_refused")
    let next = rig.restarted(MachineRig.terms()).start()
    #expect(next.calls.map(\.token) == ["seed"])
  }

  @Test func aStoreThatCantBeReadAgainNeverLeadsBackToASeed() {
    let rig = Self.ready()
    rig.broken = [.read]
    rig.send(.termsChanged(MachineRig.terms(seed: "fresh")))
    let want = rig.want(above: 1)
    rig.advance(by: .seconds(3600))
    #expect(rig.calls.count == 1)
    #expect(rig.failure(want)?.reason == .storeUnavailable)
    rig.broken = []
    rig.advance(by: .seconds(2))
    #expect(rig.calls.last?.token == "fresh")
  }

  @Test func changedTermsWithdrawALeaseThatBelongsToTheOldOnes() {
    let rig = Self.ready()
    rig.send(.termsChanged(MachineRig.terms(scope: "write")))
    #expect(rig.withdrawals == 1)
    rig.advance(by: .seconds(1))
    #expect(rig.calls.map(\.token) == ["seed", "r1"])
  }

  @Test func changedTermsCancelNoGrant() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.send(.termsChanged(MachineRig.terms(scope: "write")))
    #expect(rig.calls.count == 1)
    rig.reply(refresh: "r1")
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "r1")
    #expect(rig.withdrawals == 1)
    rig.advance(by: .seconds(1))
    #expect(rig.calls.map(\.token) == ["seed", "r1"])
  }

  @Test func changedHeadersRenderTheLeaseAgainWithoutACall() throws {
    let rig = Self.ready()
    var terms = MachineRig.terms()
    terms.rules = try InjectionRules(header: "X-Token", scheme: "")
    rig.send(.termsChanged(terms))
    #expect(rig.calls.count == 1 && rig.withdrawals == 0)
    #expect(rig.published.last?.fields.first?.name == "X-Token")
    #expect(rig.published.last?.generation == 1)
  }

  @Test func aLoginDuringAGrantWaitsForItsEndAndWins() {
    let rig = Self.ready()
    rig.want(above: 1, .rejected(route: 1))
    let token = Token(accessToken: Secret("in"), refreshToken: Secret("login"), lifetime: .relative(.seconds(60)))
    rig.send(.loggedIn(GrantReply(token: token, date: nil, sent: rig.now, received: rig.now)))
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "r1")
    rig.reply(refresh: "r2")
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "login")
    #expect(rig.published.map(\.generation) == [1, 2, 3])
  }
}

@Suite struct ShutdownTests {
  @Test func atRestItStopsAtOnce() {
    let rig = OutcomeTests.ready()
    rig.send(.shutdown)
    #expect(rig.stops == 1)
    rig.advance(by: .seconds(7200))
    #expect(rig.calls.count == 1)
    rig.send(.shutdown)
    #expect(rig.stops == 1)
  }

  @Test func leasesGoOnToBeAnsweredAndNoGrantIsStarted() {
    let rig = OutcomeTests.ready()
    rig.send(.shutdown)
    let cold = rig.want()
    let rejected = rig.want(above: 1, .rejected(route: 1))
    let admin = rig.want(above: 1, .admin)
    #expect(rig.generation(cold) == 1)
    #expect(rig.failure(rejected)?.reason == .shuttingDown)
    #expect(rig.failure(admin)?.reason == .shuttingDown)
    #expect(rig.calls.count == 1)
  }

  @Test func theGrantInFlightIsFinishedAndStored() {
    let rig = MachineRig(MachineRig.terms()).start()
    let want = rig.want()
    rig.send(.shutdown)
    #expect(rig.stops == 0)
    rig.held = [.save]
    rig.reply()
    #expect(rig.stops == 0)
    rig.letGo()
    #expect(rig.stops == 1)
    #expect(rig.generation(want) == 1)
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "next")
  }

  @Test func anUnsavedPairIsWrittenAgainUntilItIsStored() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.broken = [.save]
    rig.reply()
    rig.send(.shutdown)
    rig.advance(by: .seconds(20))
    #expect(rig.stops == 0)
    #expect(rig.machine.hasUnsavedPair)
    rig.broken = []
    rig.advance(by: .seconds(10))
    #expect(rig.stops == 1)
  }

  @Test func anUnansweredGrantLeavesItsMark() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.send(.shutdown)
    rig.fail(.unanswered)
    #expect(rig.stops == 1)
    #expect(rig.store.rows["vinid"]?.mark != nil)
    rig.advance(by: .seconds(60))
    #expect(rig.calls.count == 1)
  }

  @Test func aGrantThatIsOnlyAnnouncedIsNotSent() {
    let rig = OutcomeTests.ready(MachineRig.terms(kills: true))
    rig.advance(by: .seconds(5))
    rig.want(above: 1, .admin)
    #expect(rig.announced != nil)
    rig.send(.shutdown)
    #expect(rig.stops == 1 && rig.releases == 1)
    #expect(rig.store.rows["vinid"]?.mark == nil)
    rig.advance(by: .seconds(60))
    #expect(rig.calls.count == 1)
  }

  @Test func aMarkThatComesDuringShutdownIsTakenBack() {
    let rig = MachineRig(MachineRig.terms())
    rig.held = [.mark]
    rig.start()
    rig.send(.shutdown)
    #expect(rig.stops == 0)
    rig.letGo()
    #expect(rig.stops == 1)
    #expect(rig.calls.isEmpty)
    #expect(rig.store.rows["vinid"]?.mark == nil)
  }

  @Test(arguments: [GrantError.Kind.needsLogin, .misconfigured, .transient])
  func aGrantThatFailsEndsIt(kind: GrantError.Kind) {
    let rig = MachineRig(MachineRig.terms()).start()
    let want = rig.want()
    rig.send(.shutdown)
    rig.fail(kind)
    #expect(rig.stops == 1)
    #expect(rig.failure(want) != nil)
  }
}
