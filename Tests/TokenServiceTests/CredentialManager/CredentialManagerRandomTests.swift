// Thousands of random lives of a credential; the first failing seed is printed with its trace and replays exactly.

import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

@Suite struct CredentialManagerRandomTests {
  @Test(arguments: 0..<8)
  func noLifeBreaksAPromise(block: Int) {
    var losses = 0
    for seed in UInt64(block * 250)..<UInt64(block * 250 + 250) {
      let world = ManagerWorld(seed: seed)
      world.run()
      losses += world.lossesSeen > 0 ? 1 : 0
      if let first = world.violations.first {
        Issue.record("seed \(seed): \(first)\n\(world.trace.suffix(150).joined(separator: "\n"))")
        return
      }
    }
    // Lost replies without a grace window do happen in these lives: the checks were not idle.
    #expect(losses > 0)
  }

  @Test func aSeedReplaysExactly() {
    let first = ManagerWorld(seed: 17)
    first.run()
    let second = ManagerWorld(seed: 17)
    second.run()
    #expect(first.trace == second.trace)
    #expect(first.trace.count > 50)
  }

  @Test func aSpentTokenThatIsSentIsFound() {
    // The checker itself: a process that never learns what it stored would send the seed again after a restart.
    let world = ManagerWorld(seed: 3)
    world.faults = ManagerWorld.Faults()
    world.clock.advance(by: .seconds(1))
    world.send("seed", from: world.processes[0]) { _ in }
    #expect(world.violations.contains { $0.contains("successor") })
  }
}
