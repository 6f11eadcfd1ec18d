// Refresh ahead, its rest, the refresh token's own end, and that no answer of a server makes a loop of calls.

import GatewayTesting
import Testing
import TokenKit

@Suite struct RefreshAheadTests {
  @Test func theSeedIsExchangedAtStartInTheOrderMarkCallStorePublish() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply()
    let order = rig.actions.compactMap { action -> String? in
      switch action {
      case .begin: "mark"
      case .call: "call"
      case .save: "store"
      case .publish: "publish"
      default: nil
      }
    }
    #expect(order == ["mark", "call", "store", "publish"])
    #expect(rig.calls.map(\.token) == ["seed"])
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "next")
    #expect(rig.store.rows["vinid"]?.mark == nil)
    #expect(rig.published.map(\.generation) == [1])
  }

  @Test(arguments: UInt64(1)...50)
  func aThreeSecondTokenIsRefreshedBetween228And240AndUsableUntil270(seed: UInt64) {
    let rig = MachineRig(MachineRig.terms(), seed: seed).start()
    rig.reply(lifetime: .relative(.seconds(3)))
    let obtained = rig.now.boot
    rig.advance(by: .milliseconds(2279))
    #expect(rig.calls.count == 1)
    rig.advance(by: .milliseconds(121))
    #expect(rig.calls.count == 2)
    #expect(rig.calls.last?.token == "next")
    #expect(rig.published.first?.usableUntil == obtained + .milliseconds(2700))
  }

  /// The must-show of the sandbox: at most 30/(0.75 × 3) + 2 calls in 30 s, and nobody ever waits.
  @Test func shortTokensUnderConstantDemandAreRefreshedInTimeAndNotTooOften() {
    for seed in UInt64(1)...20 {
      let rig = MachineRig(MachineRig.terms(), seed: seed).start()
      rig.reply(refresh: "r0", lifetime: .relative(.seconds(3)))
      for step in 1...600 {
        rig.advance(by: .milliseconds(50))
        if !rig.pending.isEmpty {
          rig.reply(refresh: "r\(step)", lifetime: .relative(.seconds(3)), took: .milliseconds(40))
        }
        #expect(rig.isServing)
        let want = rig.want()
        #expect(rig.generation(want) != nil)
      }
      #expect(rig.calls.count <= 15)
      #expect(rig.calls.count >= 12)
    }
  }

  @Test func refreshesAreSpreadByJitter() {
    var instants: Set<BootInstant> = []
    for seed in UInt64(1)...40 {
      let rig = MachineRig(MachineRig.terms(), seed: seed).start()
      rig.reply()
      rig.advance(by: .seconds(2735))
      #expect(rig.calls.count == 1)
      rig.advance(by: .seconds(146))
      #expect(rig.calls.count == 2)
      if let last = rig.calls.last { instants.insert(last.at) }
    }
    #expect(instants.count > 30)
  }

  @Test func aCredentialWithARefreshTokenIsKeptAliveForAYearWithoutCallers() {
    let rig = MachineRig(MachineRig.terms(refreshLifetime: .seconds(720 * 3600))).start()
    rig.reply(refresh: "r0")
    for step in 1...(365 * 24) {
      rig.advance(by: .seconds(3600))
      if !rig.pending.isEmpty { rig.reply(refresh: "r\(step)") }
      #expect(rig.alarms.isEmpty)
    }
    #expect(rig.calls.count > 8000)
  }

  @Test func clientCredentialsRestWhenNobodyAsks() {
    let rig = MachineRig(MachineRig.terms(seed: nil, refresh: false)).start()
    rig.advance(by: .seconds(100))
    #expect(rig.calls.isEmpty)
    let want = rig.want()
    #expect(rig.calls.map(\.token) == [nil])
    rig.reply(refresh: nil)
    #expect(rig.generation(want) == 1)
    // Used once: refreshed ahead once. The second lease is used by nobody.
    rig.advance(by: .seconds(2900))
    #expect(rig.calls.count == 2)
    rig.reply(refresh: nil)
    rig.advance(by: .seconds(86_400))
    #expect(rig.calls.count == 2)
    #expect(rig.status.state == .idle)
    #expect(rig.status.isHealthy)
    #expect(rig.machine.nextWakeUp == nil)
  }

  @Test func clientCredentialsInUseAreRefreshedAhead() {
    let rig = MachineRig(MachineRig.terms(seed: nil, refresh: false)).start()
    rig.want()
    rig.reply(refresh: nil)
    for generation in UInt64(1)...5 {
      rig.send(.accepted(generation: generation))
      rig.advance(by: .seconds(2900))
      #expect(rig.isServing)
      rig.reply(refresh: nil)
    }
    #expect(rig.calls.count == 6)
  }

  @Test func aLeaseFirstUsedAfterItsRefreshWasDueIsRefreshedThen() {
    let rig = MachineRig(MachineRig.terms(seed: nil, refresh: false)).start()
    rig.want()
    rig.reply(refresh: nil)
    rig.advance(by: .seconds(2900))
    rig.reply(refresh: nil)
    rig.advance(by: .seconds(3000))
    #expect(rig.calls.count == 2)
    rig.send(.accepted(generation: 2))
    #expect(rig.calls.count == 3)
  }

  @Test func grantsThatSpendNothingNeedNoMark() {
    let rig = MachineRig(MachineRig.terms(seed: nil, refresh: false)).start()
    rig.broken = [.mark, .save, .abandon]
    let want = rig.want()
    rig.reply(refresh: nil, lifetime: .relative(.seconds(10)))
    #expect(rig.begins == 0)
    #expect(rig.generation(want) == 1)
    #expect(rig.alarms == [.pairNotStored])
    // Nothing would be lost: the next grant doesn't wait for the store.
    rig.send(.accepted(generation: 1))
    rig.advance(by: .seconds(8))
    #expect(rig.calls.count == 2)
    rig.broken = []
    rig.reply(refresh: nil)
    #expect(rig.alarms.isEmpty)
    #expect(rig.store.rows["vinid"]?.generation == 2)
  }

  @Test func aRefreshTokenThatEndsFirstIsRefreshedAtHalfItsLife() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply(refresh: "a", lifetime: .relative(.seconds(3600)), refreshLifetime: .seconds(1800))
    rig.advance(by: .seconds(854))
    #expect(rig.calls.count == 1)
    rig.advance(by: .seconds(46))
    #expect(rig.calls.map(\.token) == ["seed", "a"])
  }

  @Test func aRefreshTokenThatIsNotProlongedMakesNoLoop() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply(refresh: "a", refreshLifetime: .seconds(1800))
    while rig.now.boot < BootInstant(nanoseconds: 0) + .seconds(1000 + 1800) {
      rig.advance(by: .seconds(1))
      if !rig.pending.isEmpty { rig.reply(refresh: nil) }
    }
    #expect(rig.calls.count < 20)
  }

  @Test func anAlarmShowsWhenAFifthOfTheRefreshTokenIsLeft() {
    let rig = MachineRig(MachineRig.terms(refreshLifetime: .seconds(1000))).start()
    rig.reply(refresh: "a", lifetime: .relative(.seconds(100)))
    rig.advance(by: .seconds(81))
    rig.fail(.misconfigured)
    while rig.now.boot < BootInstant(nanoseconds: 0) + .seconds(1000 + 799) {
      rig.advance(by: .seconds(1))
      if !rig.pending.isEmpty { rig.fail(.misconfigured) }
    }
    #expect(rig.alarms == [.misconfigured])
    rig.advance(by: .seconds(2))
    #expect(rig.alarms == [.misconfigured, .refreshTokenEnding])
    #expect(rig.events.contains(.alarmRaised(.refreshTokenEnding)))
  }

  @Test(arguments: [Token.Lifetime.relative(.seconds(1)), .relative(.milliseconds(1)), .relative(.zero)])
  func noLifetimeMakesALoopOfCalls(lifetime: Token.Lifetime) {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply(refresh: "r", lifetime: lifetime)
    for step in 1...300 {
      rig.advance(by: .milliseconds(100))
      rig.want()
      if !rig.pending.isEmpty { rig.reply(refresh: "r\(step)", lifetime: lifetime) }
    }
    #expect(rig.calls.count <= 31)
  }

  @Test func datesInThePastMakeNoLoopOfCalls() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply(lifetime: .absolute(rig.now.wall + .seconds(-100)))
    rig.advance(by: .seconds(600))
    #expect(rig.calls.count == 1)
    #expect(rig.isServing)
  }

  @Test func lifetimeCountsFromSendingTheGrant() {
    let rig = MachineRig(MachineRig.terms()).start()
    let sent = rig.now.boot
    rig.reply(lifetime: .relative(.seconds(100)), took: .seconds(4))
    #expect(rig.published.first?.expires == sent + .seconds(100))
  }

  /// What happens when: The clock jumps while the gateway runs
  @Test func theWallClockMayJumpWithoutChangingDeadlines() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply(lifetime: .relative(.seconds(100)))
    rig.now.wall = rig.now.wall + .seconds(-86_400)
    rig.advance(by: .seconds(70))
    #expect(rig.calls.count == 1)
    rig.advance(by: .seconds(11))
    #expect(rig.calls.count == 2)
  }
}
