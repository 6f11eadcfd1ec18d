// The order mark → call → store → publish when the store is slow or broken, holds, and the shared store.

import GatewayTesting
import Testing
import TokenKit

@Suite struct PairTests {
  // MARK: publishing

  @Test func thePairIsPublishedOnceItsWriteHasSucceeded() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.held = [.save]
    let want = rig.want()
    rig.reply()
    rig.advance(by: .milliseconds(100))
    #expect(rig.published.isEmpty && rig.answer(want) == nil)
    rig.letGo()
    #expect(rig.published.count == 1)
    #expect(rig.generation(want) == 1)
  }

  @Test func orWhenTheWriteHasTaken250Milliseconds() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.held = [.save]
    let want = rig.want()
    rig.reply(lifetime: .relative(.seconds(10)))
    rig.advance(by: .milliseconds(249))
    #expect(rig.published.isEmpty)
    rig.advance(by: .milliseconds(1))
    #expect(rig.published.count == 1 && rig.generation(want) == 1)
    // No grant while the write hangs, even if the lease is over.
    let late = rig.want(above: 1)
    rig.advance(by: .seconds(60))
    #expect(rig.calls.count == 1)
    #expect(rig.answer(late) == nil)
    rig.letGo()
    #expect(rig.published.count == 1)
    #expect(rig.calls.map(\.token) == ["seed", "next"])
  }

  @Test func orWhenTheWriteHasFailedAndThenNoGrantIsMadeUntilItIsStored() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.broken = [.save]
    rig.reply(lifetime: .relative(.seconds(30)))
    #expect(rig.published.count == 1)
    #expect(rig.alarms == [.pairNotStored])
    let saves = rig.saves
    rig.advance(by: .seconds(120))
    #expect(rig.saves > saves + 5)
    #expect(rig.calls.count == 1)
    let want = rig.want(above: 1)
    #expect(rig.failure(want)?.reason == .storeUnavailable)
    let admin = rig.want(above: 1, .admin)
    #expect(rig.failure(admin)?.reason == .storeUnavailable)
    rig.broken = []
    rig.advance(by: .seconds(10))
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "next")
    #expect(rig.alarms.isEmpty)
    #expect(rig.events.contains(.pairStored(generation: 1)))
    #expect(rig.calls.map(\.token) == ["seed", "next"])
  }

  // MARK: the mark

  @Test func withoutAMarkItWaitsWhileTheLeaseIsUsableAndThenRefreshesWithAnAlarm() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply(lifetime: .relative(.seconds(100)))
    rig.broken = [.mark]
    rig.advance(by: .milliseconds(94_900))
    #expect(rig.calls.count == 1)
    #expect(rig.alarms == [.markNotWritten])
    #expect(rig.begins > 3)
    // A 401 meanwhile passes through.
    let rejected = rig.want(above: 1, .rejected(route: 1))
    #expect(rig.failure(rejected)?.reason == .storeUnavailable)
    rig.advance(by: .milliseconds(100))
    #expect(rig.calls.map(\.token) == ["seed", "next"])
    #expect(rig.events.contains(.grantWithoutMark))
    rig.broken = []
    rig.reply(refresh: "n2")
    #expect(rig.isServing)
    #expect(rig.alarms.isEmpty, "what was written tells that the store can be written")
  }

  @Test func withoutAMarkAndWithoutALeaseItRefreshesAtOnce() {
    let rig = MachineRig(MachineRig.terms())
    rig.broken = [.mark]
    rig.start()
    #expect(rig.calls.map(\.token) == ["seed"])
  }

  @Test func aSharedStoreNeverRefreshesWithoutAMark() {
    let rig = MachineRig(MachineRig.terms(shared: true))
    rig.broken = [.mark]
    rig.start()
    let want = rig.want()
    #expect(rig.failure(want)?.reason == .storeUnavailable)
    rig.advance(by: .seconds(3600))
    #expect(rig.calls.isEmpty)
    rig.broken = []
    rig.advance(by: .seconds(11))
    #expect(rig.calls.map(\.token) == ["seed"])
  }

  @Test func aMarkThatComesInTimeEndsTheWait() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.reply(lifetime: .relative(.seconds(100)))
    rig.broken = [.mark]
    rig.advance(by: .seconds(82))
    rig.broken = []
    rig.advance(by: .seconds(10))
    #expect(rig.calls.count == 2)
    #expect(rig.alarms.isEmpty)
    #expect(!rig.events.contains(.grantWithoutMark))
  }

  // MARK: hold

  @Test func aGrantThatKillsTheOldTokenIsAnnouncedFirst() {
    let rig = MachineRig(MachineRig.terms(kills: true)).start()
    #expect(rig.announced == nil, "without a lease there is nothing to hold")
    rig.reply()
    rig.advance(by: .seconds(2850))
    while rig.announced == nil { rig.advance(by: .seconds(1)) }
    let attempt = rig.announced ?? 0
    #expect(rig.calls.count == 2, "50 ms are over")
    rig.reply(refresh: "n2")
    #expect(rig.releases == 1)
    rig.send(.holdAcknowledged(attempt: attempt))
    #expect(rig.calls.count == 2)
    let order = rig.actions.suffix(6).compactMap { action -> String? in
      switch action {
      case .publish: "publish"
      case .releaseHold: "release"
      default: nil
      }
    }
    #expect(order == ["publish", "release"])
  }

  @Test func theCallWaitsForTheAcknowledgementAtMost50Milliseconds() {
    for isAcknowledged in [true, false] {
      let rig = MachineRig(MachineRig.terms(kills: true)).start()
      rig.reply()
      let admin = rig.now.boot + .seconds(5)
      rig.advance(by: .seconds(5))
      rig.want(above: 1, .admin)
      #expect(rig.announced != nil && rig.calls.count == 1)
      rig.advance(by: .milliseconds(20))
      if isAcknowledged {
        rig.send(.holdAcknowledged(attempt: rig.announced ?? 0))
        #expect(rig.calls.last?.at == admin + .milliseconds(20))
      } else {
        rig.advance(by: .milliseconds(30))
        #expect(rig.calls.last?.at == admin + .milliseconds(50))
      }
      rig.fail(.transient)
      #expect(rig.releases == 1, "a failed grant is over too")
    }
  }

  // MARK: replicas

  static func replicas(_ count: Int) -> [MachineRig] {
    (1...count).map { number in
      let name = "replica-\(number)"
      let rig = MachineRig(
        MachineRig.terms(shared: true, owner: name), store: StoreModel(isShared: true), seed: UInt64(number))
      rig.machineOwner = name
      return rig
    }
  }

  @Test func aRowThatIsNotTheOneToBeReplacedIsAdoptedWithoutACall() throws {
    let rigs = Self.replicas(2)
    rigs[0].start()
    rigs[0].reply(refresh: "r1")
    rigs[1].store = rigs[0].store
    rigs[1].start()
    #expect(rigs[1].published.map(\.generation) == [1])
    // The first one refreshes; the second one meets the new row when it wants to mark its own grant.
    rigs[0].advance(by: .seconds(2900))
    rigs[0].reply("access-2", refresh: "r2")
    rigs[1].store = rigs[0].store
    rigs[1].advance(by: .seconds(2900))
    #expect(rigs[1].calls.isEmpty)
    #expect(rigs[1].published.map(\.generation) == [1, 2])
    #expect(rigs[1].events.contains(.pairAdopted(generation: 2)))
  }

  @Test func whileAnotherReplicaIsAtItThereIsNoCallAndItsPairAnswersTheWants() {
    let rigs = Self.replicas(2)
    rigs[0].start()
    rigs[1].store = rigs[0].store
    rigs[1].start()
    // Its mark is found at start; a second attempt would be due after 1 s, but the lock is held.
    rigs[1].advance(by: .seconds(2))
    #expect(rigs[1].calls.isEmpty)
    let want = rigs[1].want()
    #expect(rigs[1].answer(want) == nil)
    rigs[0].reply(refresh: "r1")
    rigs[1].store = rigs[0].store
    rigs[1].send(.storeChanged(generation: 1))
    #expect(rigs[1].generation(want) == 1)
    #expect(rigs[1].calls.isEmpty)
  }

  @Test func aForeignMarkWithAFreeLockIsTakenOverAfterFiveSeconds() {
    let rigs = Self.replicas(2)
    rigs[0].start()
    rigs[1].store = rigs[0].store
    rigs[1].store.disconnect(owner: "replica-1")
    rigs[1].start()
    rigs[1].advance(by: .milliseconds(4900))
    #expect(rigs[1].calls.isEmpty)
    rigs[1].advance(by: .seconds(1))
    #expect(rigs[1].calls.map(\.token) == ["seed"])
    rigs[1].fail(.needsLogin, "invalid_grant")
    #expect(rigs[1].status.failure?.needsLogin == .lostReply)
  }

  /// What happens when: PostgreSQL fails over to an older state
  @Test func aRowOlderThanMemoryIsOverwrittenNeverAdopted() throws {
    let rig = Self.replicas(1)[0]
    rig.start()
    rig.reply(refresh: "r1")
    let old = rig.store
    rig.advance(by: .seconds(2900))
    rig.reply("access-2", refresh: "r2")
    rig.store = old
    rig.send(.storeChanged(generation: 1))
    #expect(rig.store.rows["vinid"]?.generation == 2)
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "r2")
    #expect(rig.published.map(\.generation) == [1, 2])
    // The same when the row is gone altogether, and only met at the next grant.
    rig.store.rows = [:]
    rig.advance(by: .seconds(2900))
    rig.reply("access-3", refresh: "r3")
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "r3")
  }

  @Test func aPairObtainedAfterAForeignOneOverwritesItWithAHigherNumber() throws {
    let rig = Self.replicas(1)[0]
    rig.start()
    rig.reply(refresh: "r1")
    rig.advance(by: .seconds(2900))
    var foreign = try #require(rig.store.rows["vinid"])
    foreign.generation = 4
    foreign.refreshToken = Secret("foreign")
    rig.store.rows["vinid"] = foreign
    rig.reply("mine", refresh: "r2")
    #expect(rig.store.rows["vinid"]?.generation == 5)
    #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "r2")
    #expect(rig.published.last?.generation == 5)
    #expect(rig.events.contains(.storeConflict(stored: 4, ours: 2)))
  }

  @Test func aForeignPairObtainedLaterIsAdopted() throws {
    for generation in [UInt64(2), 6] {
      let rig = Self.replicas(1)[0]
      rig.start()
      rig.reply(refresh: "r1")
      rig.advance(by: .seconds(2900))
      var foreign = try #require(rig.store.rows["vinid"])
      foreign.generation = generation
      foreign.accessToken = Secret("theirs")
      foreign.refreshToken = Secret("later")
      foreign.obtainedAt = rig.now.wall + .seconds(10)
      foreign.expiresAt = rig.now.wall + .seconds(3600)
      rig.store.rows["vinid"] = foreign
      rig.reply("mine", refresh: "r2")
      #expect(rig.published.last?.fields.first?.value.reveal() == "Bearer theirs")
      #expect(rig.published.last.map { $0.generation >= generation } == true)
      #expect(rig.store.rows["vinid"]?.refreshToken?.reveal() == "later")
      rig.advance(by: .seconds(2900))
      #expect(rig.calls.last?.token == "later")
    }
  }

  @Test func grantsThatSpendNothingTakeTheLockButDontDependOnIt() {
    let terms = MachineRig.terms(seed: nil, refresh: false, shared: true)
    let rig = MachineRig(terms).start()
    rig.want()
    #expect(rig.begins == 1 && rig.calls.count == 1)
    rig.reply(refresh: nil, lifetime: .relative(.seconds(10)))
    rig.broken = [.mark, .save]
    rig.advance(by: .seconds(20))
    let want = rig.want()
    rig.reply(refresh: nil)
    #expect(rig.generation(want) != nil)
  }
}
