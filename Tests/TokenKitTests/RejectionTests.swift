// 401s: single flight, the floor between forced refreshes, and routes that reject every lease.

import GatewayTesting
import Testing
import TokenKit

@Suite struct RejectionTests {
  static func ready() -> MachineRig { OutcomeTests.ready() }

  @Test func manyRejectionsOfOneGenerationCauseOneRefresh() {
    let rig = Self.ready()
    let wants = (0..<200).map { rig.want(above: 1, .rejected(route: UInt32($0 % 7))) }
    #expect(rig.calls.count == 2)
    rig.reply(refresh: "r2")
    #expect(wants.allSatisfy { rig.generation($0) == 2 })
    // Stragglers that used the first lease get the second one and start nothing.
    let late = rig.want(above: 1, .rejected(route: 3))
    #expect(rig.generation(late) == 2)
    #expect(rig.calls.count == 2)
  }

  @Test func whateverAsksJoinsTheGrantInFlight() {
    let rig = MachineRig(MachineRig.terms()).start()
    let wants = [rig.want(), rig.want(.admin), rig.want(above: 9, .rejected(route: 1)), rig.want()]
    rig.advance(by: .seconds(4))
    #expect(rig.calls.count == 1)
    rig.reply()
    #expect(wants.allSatisfy { rig.generation($0) == 1 })
  }

  @Test func withinTheFloorAnAcceptedLeaseParksUntilItsEnd() {
    let rig = Self.ready()
    rig.want(above: 1, .rejected(route: 1))
    rig.reply(refresh: "r2")
    rig.send(.accepted(generation: 2))
    rig.advance(by: .seconds(2))
    let parked = rig.want(above: 2, .rejected(route: 1))
    #expect(rig.answer(parked) == nil)
    rig.advance(by: .milliseconds(7999))
    #expect(rig.calls.count == 2)
    rig.advance(by: .milliseconds(1))
    #expect(rig.calls.count == 3)
    rig.reply(refresh: "r3")
    #expect(rig.generation(parked) == 3)
  }

  @Test func withinTheFloorAnyOther401PassesThrough() {
    let rig = Self.ready()
    rig.want(above: 1, .rejected(route: 1))
    rig.reply(refresh: "r2")
    rig.send(.accepted(generation: 1))
    rig.advance(by: .seconds(9))
    let want = rig.want(above: 2, .rejected(route: 2))
    #expect(rig.failure(want)?.reason == .refreshFloor)
    #expect(rig.failure(want)?.retryAfter(at: rig.now.boot) == 1)
    rig.advance(by: .seconds(1))
    rig.want(above: 2, .rejected(route: 2))
    #expect(rig.calls.count == 3)
  }

  @Test func forcedRefreshesAreTenSecondsApartWhateverUpstreamsDo() {
    let rig = Self.ready()
    for step in 1...1000 {
      let generation = rig.published.last?.generation ?? 0
      rig.send(.accepted(generation: generation))
      rig.want(above: generation, .rejected(route: UInt32(step)))
      if !rig.pending.isEmpty { rig.reply(refresh: "r\(step)") }
      rig.advance(by: .milliseconds(100))
    }
    #expect(rig.calls.count <= 12)
  }

  @Test func aRouteThatRejectsFreshLeasesMayNotForceForTenSecondsDoublingToTenMinutes() {
    let rig = Self.ready()
    for wait in [10, 20, 40, 80, 160, 320, 600, 600] {
      rig.send(.replayRejected(route: 7))
      // A burst of the same moment counts once.
      rig.send(.replayRejected(route: 7))
      let generation = rig.published.last?.generation ?? 0
      rig.send(.accepted(generation: generation))
      rig.advance(by: .seconds(wait) - .milliseconds(1))
      let want = rig.want(above: rig.published.last?.generation, .rejected(route: 7))
      #expect(rig.failure(want)?.reason == .routeBackoff)
      rig.advance(by: .milliseconds(1))
      if !rig.pending.isEmpty { rig.reply(refresh: "ahead-\(wait)") }
      let calls = rig.calls.count
      rig.want(above: rig.published.last?.generation, .rejected(route: 7))
      #expect(rig.calls.count == calls + 1)
      rig.reply(refresh: "r\(calls)")
    }
  }

  @Test func untilTheRouteSeesAnotherStatus() {
    let rig = Self.ready()
    rig.send(.replayRejected(route: 7))
    rig.send(.replayRejected(route: 8))
    rig.send(.routeRecovered(route: 7))
    let blocked = rig.want(above: 1, .rejected(route: 8))
    #expect(rig.failure(blocked)?.reason == .routeBackoff)
    rig.want(above: 1, .rejected(route: 7))
    #expect(rig.calls.count == 2)
    rig.reply(refresh: "r2")
    rig.send(.replayRejected(route: 7))
    rig.advance(by: .seconds(10))
    rig.want(above: 2, .rejected(route: 7))
    #expect(rig.calls.count == 3, "its strikes were forgotten")
  }

  @Test func oneUrlThatAlwaysAnswers401DoesNotChurnTheCredential() {
    let rig = Self.ready()
    for step in 1...3600 {
      let generation = rig.published.last?.generation ?? 0
      rig.send(.accepted(generation: generation))
      let want = rig.want(above: generation, .rejected(route: 1))
      if !rig.pending.isEmpty { rig.reply(refresh: "r\(step)") }
      if rig.generation(want) != nil { rig.send(.replayRejected(route: 1)) }
      rig.advance(by: .seconds(1))
    }
    #expect(rig.calls.count <= 16)
  }

  @Test func aForcedRefreshThatFailsIsSharedAndTheLeaseGoesOn() {
    let rig = Self.ready()
    let wants = (0..<5).map { _ in rig.want(above: 1, .rejected(route: 1)) }
    rig.fail(.transient, "http_429", retryAfter: .seconds(30))
    #expect(wants.allSatisfy { rig.failure($0)?.reason == .rateLimited })
    let cold = rig.want()
    #expect(rig.generation(cold) == 1)
  }
}
