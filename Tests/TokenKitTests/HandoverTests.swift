// A credential whose process lets go of the store and takes it back, and one that goes on from another process's memory.
import GatewayTesting
import Testing
import TokenKit

extension MachineRig {
  /// A pair that nobody else has.
  fileprivate func succeed() {
    reply("access-\(machineOwner)-\(calls.count)", refresh: "next-\(machineOwner)-\(calls.count)")
  }
}

@Suite("Handover of a credential") struct HandoverTests {
  private func served(_ terms: LeaseTerms = MachineRig.terms()) -> MachineRig {
    let rig = MachineRig(terms).start()
    rig.succeed()
    return rig
  }

  @Test("At rest it is over at once; nothing is started until the store is back, and who asks gets the lease")
  func rest() {
    let rig = served()
    let calls = rig.calls.count
    rig.send(.pause)
    #expect(rig.pauses == 1)
    let id = rig.want(above: nil, .missing)
    #expect(rig.answers[id]?.count == 1)
    rig.advance(by: .seconds(4000))
    #expect(rig.calls.count == calls && rig.pauses == 1)
    let later = rig.want(above: nil, .missing)
    #expect(rig.answers[later] == nil, "it waits")
    rig.send(.resume(wasAway: true))
    #expect(rig.calls.count == calls + 1)
    rig.succeed()
    #expect(rig.answers[later]?.count == 1)
  }

  @Test("A call that is out is finished and its pair stored first")
  func inFlight() {
    let rig = MachineRig(MachineRig.terms()).start()
    #expect(rig.pending.count == 1)
    rig.send(.pause)
    #expect(rig.pauses == 0)
    rig.held = [.save]
    rig.succeed()
    #expect(rig.pauses == 0, "the pair is not stored yet")
    rig.letGo()
    #expect(rig.pauses == 1)
    #expect(rig.store.read(rig.machine.query).row?.generation == 1)
    #expect(rig.machine.pairOnlyInMemory == nil)
  }

  @Test("A call whose answer never comes leaves its mark, so that the next process knows")
  func unanswered() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.send(.pause)
    rig.fail(.unanswered, "timeout")
    #expect(rig.pauses == 1)
    #expect(rig.store.read(rig.machine.query).row?.mark != nil)
    rig.advance(by: .seconds(100))
    #expect(rig.calls.count == 1, "the same token is not sent from here")
  }

  @Test("A pair that can't be stored keeps the store here until it is")
  func unsaved() {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.broken = [.save]
    rig.succeed()
    rig.send(.pause)
    rig.advance(by: .seconds(30))
    #expect(rig.pauses == 0)
    rig.broken = []
    rig.advance(by: .seconds(30))
    #expect(rig.pauses == 1)
    #expect(rig.calls.count == 1)
  }

  @Test("A mark that is being written is taken back; nothing is sent")
  func beginning() {
    let rig = MachineRig(MachineRig.terms())
    rig.held = [.mark]
    rig.start()
    rig.send(.pause)
    #expect(rig.pauses == 0 && rig.calls.isEmpty)
    rig.letGo()
    #expect(rig.pauses == 1 && rig.calls.isEmpty)
    #expect(rig.store.read(rig.machine.query).row?.mark == nil)
    rig.send(.resume(wasAway: true))
    #expect(rig.calls.count == 1)
  }

  @Test("What waits for its turn at the token host gives it back")
  func queued() {
    let rig = MachineRig(MachineRig.terms())
    rig.givesTurns = false
    rig.start()
    #expect(rig.turns.count == 1)
    rig.send(.pause)
    #expect(rig.pauses == 1 && rig.endedTurns.count == 1)
  }

  @Test("Going on without having let go asks nobody")
  func resumedAtOnce() {
    let rig = served()
    let reads = rig.reads
    rig.send(.pause)
    rig.send(.resume(wasAway: false))
    #expect(rig.reads == reads)
    rig.advance(by: .seconds(3000))
    #expect(rig.calls.count == 2, "refreshed ahead as usual")
  }

  @Test("A newer pair that the other process has stored is taken up; the old token is not sent")
  func adopted() {
    let rig = served()
    rig.send(.pause)
    // The other process lives on the same rows.
    let other = MachineRig(MachineRig.terms(owner: "other"), store: rig.store)
    other.machineOwner = "other"
    other.start()
    other.advance(by: .seconds(3500))
    other.succeed()
    rig.store = other.store
    rig.now = other.now
    rig.send(.resume(wasAway: true))
    #expect(rig.machine.currentLease?.generation == 2)
    rig.advance(by: .seconds(3500))
    #expect(Set(rig.calls.map(\.token)).isDisjoint(with: Set(other.calls.map(\.token))))
    #expect(rig.calls.count == 2)
  }

  @Test("A pair only in memory goes on in the next process, and is stored there")
  func inherited() throws {
    let terms = MachineRig.terms(seed: nil, refresh: false)
    let rig = MachineRig(terms).start()
    _ = rig.want(above: nil, .missing)
    rig.broken = [.save]
    rig.succeed()
    #expect(rig.machine.currentLease?.generation == 1)
    rig.send(.pause)
    #expect(rig.pauses == 1, "nothing is lost without it")
    let pair = try #require(rig.machine.pairOnlyInMemory)

    let next = MachineRig(terms, store: rig.store)
    next.now = rig.now
    next.send(.inherited(pair))
    next.start()
    #expect(next.machine.currentLease?.generation == 1)
    let id = next.want(above: nil, .missing)
    #expect(next.answers[id]?.count == 1 && next.calls.isEmpty)
    next.advance(by: .seconds(1))
    #expect(next.store.read(next.machine.query).row?.generation == 1)
    #expect(next.machine.pairOnlyInMemory == nil)
  }

  @Test("An inherited pair that is older than the store's is nothing")
  func inheritedLate() throws {
    let rig = served()
    let row = try #require(rig.store.read(rig.machine.query).row)
    rig.advance(by: .seconds(3500))
    rig.succeed()
    let next = MachineRig(MachineRig.terms(), store: rig.store)
    next.now = rig.now
    next.send(.inherited(row))
    next.start()
    #expect(next.machine.currentLease?.generation == 2)
    next.advance(by: .seconds(10))
    #expect(next.saves == 0)
  }

  @Test("Who waits can be taken over, and gets no answer from here")
  func waiting() {
    let rig = served()
    rig.send(.pause)
    rig.advance(by: .seconds(4000))
    let id = rig.want(above: nil, .missing)
    let taken = rig.machine.takeWaiting()
    #expect(taken.map(\.id) == [id] && taken.first?.want.cause == .missing)
    rig.send(.resume(wasAway: true))
    rig.succeed()
    #expect(rig.answers[id] == nil)
  }

  @Test("A shutdown after the pause is over at once")
  func stopped() {
    let rig = served()
    rig.send(.pause)
    rig.send(.shutdown)
    #expect(rig.stops == 1)
    let id = rig.want(above: 1, .missing)
    #expect(rig.answers[id]?.count == 1)
  }

  @Test("A pause during the shutdown, and one of a machine that has stopped, are told too")
  func pausedLate() {
    let rig = served()
    rig.send(.shutdown)
    rig.send(.pause)
    #expect(rig.pauses == 1 && rig.stops == 1)
  }
}
