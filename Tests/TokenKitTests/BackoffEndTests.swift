// When a back-off ends: not after the lease, and for whoever asks at that moment.

import GatewayTesting
import Testing
import TokenKit

@Suite struct BackoffEndTests {
  /// A lease of a minute whose refreshes fail until shortly before its end.
  private static func nearTheEnd(seed: UInt64) throws -> (rig: MachineRig, end: BootInstant) {
    let rig = MachineRig(MachineRig.terms(), seed: seed).start()
    rig.reply(refresh: "r1", lifetime: .relative(.seconds(60)))
    let end = try #require(rig.published.last).usableUntil
    while end - rig.now.boot > .milliseconds(300) {
      if !rig.pending.isEmpty { rig.fail(.transient) }
      rig.advance(by: .milliseconds(200))
    }
    if !rig.pending.isEmpty { rig.fail(.transient) }
    return (rig, end)
  }

  @Test func theEndOfTheLeaseIsNotSleptThrough() throws {
    for seed in 1...20 {
      let (rig, end) = try Self.nearTheEnd(seed: UInt64(seed))
      // The attempt just before may have been the last failure: the floor of a back-off, and 1 s between two grants.
      rig.advance(by: end - rig.now.boot + .milliseconds(250))
      let want = rig.want()
      #expect(rig.answer(want) == nil, "it waits for the attempt, seed \(seed)")
      if rig.pending.isEmpty { rig.advance(by: .milliseconds(750)) }
      rig.reply()
      #expect(rig.generation(want) == 2)
    }
  }

  @Test func whoAsksWhenItIsOverButTheTimerHasNotFiredWaitsForTheNewAttempt() throws {
    let rig = MachineRig(MachineRig.terms()).start()
    rig.fail(.transient)
    let until = try #require(rig.machine.nextWakeUp)
    let calls = rig.calls.count
    let wait = max(until - rig.now.boot, .seconds(1))
    rig.now = Moment(boot: rig.now.boot + wait, wall: rig.now.wall + wait)
    let want = rig.want()
    #expect(rig.answer(want) == nil && rig.calls.count == calls + 1)
  }
}
