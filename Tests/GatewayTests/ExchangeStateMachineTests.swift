// The exchange's decisions as event → action scripts.
import Testing

@testable import Gateway

@Suite struct ExchangeStateMachineTests {
  private func rejection(
    mayBeCured: Bool = true, bodyIsHeld: Bool = true, newerLeaseIsHere: Bool = false, mayPark: Bool = true
  ) -> ExchangeStateMachine.Rejection {
    .init(mayBeCured: mayBeCured, bodyIsHeld: bodyIsHeld, newerLeaseIsHere: newerLeaseIsHere, mayPark: mayPark)
  }

  /// A machine whose request has been sent.
  private func sent() -> ExchangeStateMachine {
    var machine = ExchangeStateMachine()
    #expect(machine.start(hasLease: true, mayPark: true) == .connect(fresh: false))
    #expect(machine.connected() == .send)
    return machine
  }

  @Test func plainRequest() {
    var machine = sent()
    #expect(machine.head(nil) == .forward(refreshing: false))
    machine.responseEnded()
    #expect(machine.state == .finished)
  }

  @Test("4.3: a lease that ends while a request waits for its connection parks it again")
  func parksWhenItsLeaseEnds() {
    var machine = ExchangeStateMachine()
    #expect(machine.start(hasLease: true, mayPark: true) == .connect(fresh: false))
    #expect(machine.leaseEnded(mayPark: true) == .park)
    #expect(machine.leaseArrived() == .connect(fresh: false))
    #expect(machine.leaseEnded(mayPark: false) == .fail(GatewayError(.parkedTooMany)))
  }

  @Test("4.3: without a usable lease a request parks and goes on when one comes")
  func parks() {
    var machine = ExchangeStateMachine()
    #expect(machine.start(hasLease: false, mayPark: true) == .park)
    #expect(machine.leaseArrived() == .connect(fresh: false))
    #expect(machine.connected() == .send)
  }

  @Test("4.3: too many parked fail at once")
  func parkedTooMany() {
    var machine = ExchangeStateMachine()
    #expect(machine.start(hasLease: false, mayPark: false) == .fail(GatewayError(.parkedTooMany)))
  }

  @Test("4.3: fail closed: no token, no request")
  func failsClosed() {
    var machine = ExchangeStateMachine()
    _ = machine.start(hasLease: false, mayPark: true)
    let error = GatewayError(.tokenUnavailable, reason: "needs_login")
    #expect(machine.leaseFailed(error) == .fail(error))
    #expect(machine.connected() == .none)
  }

  @Test("4.3: parking is bounded in time")
  func parkTimesOut() {
    var machine = ExchangeStateMachine()
    _ = machine.start(hasLease: false, mayPark: true)
    #expect(machine.timedOut() == .fail(GatewayError(.parkTimeout)))
    #expect(machine.leaseArrived() == .none)
  }

  @Test("4.4: a connection that dies before any answer is retried once, on a fresh one")
  func retriesOnce() {
    let error = GatewayError(.connectionTerminated)
    var machine = sent()
    #expect(machine.upstreamFailed(error, mayResend: true) == .connect(fresh: true))
    #expect(machine.connected() == .send)
    #expect(machine.upstreamFailed(error, mayResend: true) == .fail(error))
  }

  @Test("4.4: what may not be sent again fails")
  func doesNotResend() {
    let error = GatewayError(.connectionTerminated)
    var machine = sent()
    #expect(machine.upstreamFailed(error, mayResend: false) == .fail(error))
  }

  @Test("4.6: a 401 is held, and the request replayed once with the new lease")
  func replays() {
    var machine = sent()
    #expect(machine.head(rejection()) == .hold)
    #expect(machine.leaseArrived() == .replay)
    #expect(machine.connected() == .send)
    #expect(machine.hasReplayed)
    // The second 401 is the caller's, and asks for no third token.
    #expect(machine.head(rejection()) == .forward(refreshing: false))
  }

  @Test("4.6: a 401 with an older token than the current one is replayed at once")
  func replaysWithNewerLease() {
    var machine = sent()
    #expect(machine.head(rejection(newerLeaseIsHere: true)) == .replay)
  }

  @Test("4.6: if the refresh fails, the caller gets the upstream's own 401")
  func releasesHeld() {
    var machine = sent()
    _ = machine.head(rejection())
    #expect(machine.leaseFailed(GatewayError(.tokenUnavailable)) == .releaseHeld)
    machine.responseEnded()
    #expect(machine.state == .finished)
  }

  @Test("4.6: the same when it takes too long, or the body outgrew the buffer")
  func releasesHeldInTime() {
    var machine = sent()
    _ = machine.head(rejection())
    #expect(machine.timedOut() == .releaseHeld)
    machine = sent()
    _ = machine.head(rejection())
    #expect(machine.bodyLost() == .releaseHeld)
  }

  @Test("4.6: a body that is not held: the 401 passes, but a new lease is asked for")
  func passesWhenBodyIsGone() {
    var machine = sent()
    #expect(machine.head(rejection(bodyIsHeld: false)) == .forward(refreshing: true))
    machine = sent()
    #expect(machine.head(rejection(bodyIsHeld: false, newerLeaseIsHere: true)) == .forward(refreshing: false))
  }

  @Test("4.6: insufficient_scope and its like start no refresh")
  func incurable() {
    var machine = sent()
    #expect(machine.head(rejection(mayBeCured: false)) == .forward(refreshing: false))
  }

  @Test("a connection that breaks while its 401 is held changes nothing about the replay")
  func breaksWhileHeld() {
    var machine = sent()
    _ = machine.head(rejection())
    #expect(machine.upstreamFailed(GatewayError(.connectionTerminated), mayResend: false) == .none)
    #expect(machine.leaseArrived() == .replay)
  }

  @Test("a response that has begun can only be cut")
  func truncates() {
    var machine = sent()
    _ = machine.head(nil)
    #expect(machine.upstreamFailed(GatewayError(.connectionTerminated), mayResend: true) == .truncate)
    machine = sent()
    _ = machine.head(nil)
    #expect(machine.timedOut() == .truncate)
  }

  @Test("time-outs name what was waited for")
  func timeouts() {
    var machine = ExchangeStateMachine()
    _ = machine.start(hasLease: true, mayPark: true)
    #expect(machine.timedOut() == .fail(GatewayError(.connectionTimeout)))
    machine = sent()
    #expect(machine.timedOut() == .fail(GatewayError(.responseHeadTimeout)))
    machine = sent()
    #expect(machine.timedOut(isCallerLate: true) == .fail(GatewayError(.requestTimeout)))
  }

  @Test("a caller that goes away ends everything, in every state")
  func callerGone() {
    var machine = ExchangeStateMachine()
    _ = machine.start(hasLease: false, mayPark: true)
    #expect(machine.downstreamGone() == .abort)
    #expect(machine.leaseArrived() == .none)
    machine = sent()
    #expect(machine.downstreamGone() == .abort)
    #expect(machine.head(nil) == .none)
    machine = sent()
    _ = machine.head(rejection())
    #expect(machine.downstreamGone() == .abort)
    #expect(machine.downstreamGone() == .none)
  }
}

/// A body that can't be sent twice, on a route whose old token dies at rotation (DESIGN 5, hold; RFC 9110 §10.1.1).
@Suite struct ExpectationMachineTests {
  private static let rejection = ExchangeStateMachine.Rejection(
    mayBeCured: true, bodyIsHeld: false, newerLeaseIsHere: false, mayPark: true)

  private func asked() -> ExchangeStateMachine {
    var machine = ExchangeStateMachine()
    _ = machine.start(hasLease: true, mayPark: true)
    #expect(machine.connected(expecting: true) == .send)
    #expect(machine.state == .awaitingContinue && machine.isBodyUnsent)
    return machine
  }

  @Test("the body goes when the upstream asks for it, and once only")
  func goesWhenAskedFor() {
    var machine = asked()
    #expect(machine.bodyMayGo() == .sendBody)
    #expect(machine.state == .awaitingHead && !machine.isBodyUnsent)
    #expect(machine.bodyMayGo() == .none)
    #expect(machine.head(nil) == .forward(refreshing: false))
  }

  @Test("the wait has an end: silence sends the body, and the next time-out is the response's")
  func goesAfterSilence() {
    var machine = asked()
    #expect(machine.timedOut() == .sendBody)
    #expect(machine.timedOut() == .fail(GatewayError(.responseHeadTimeout)))
  }

  @Test("a 401 finds the body unsent: held although nothing of it is kept, and replayed once")
  func rejectionFindsBodyUnsent() {
    var machine = asked()
    #expect(machine.head(Self.rejection) == .hold)
    #expect(machine.isBodyUnsent)
    #expect(machine.leaseArrived() == .replay)
    #expect(machine.connected(expecting: true) == .send)
    #expect(machine.bodyMayGo() == .sendBody)
    #expect(machine.head(Self.rejection) == .forward(refreshing: false))
  }

  @Test("with a newer lease at hand it is replayed at once")
  func replaysAtOnce() {
    var machine = asked()
    var rejection = Self.rejection
    rejection.newerLeaseIsHere = true
    #expect(machine.head(rejection) == .replay)
  }

  @Test("once the body goes, a 401 passes")
  func rejectionAfterBody() {
    var machine = asked()
    _ = machine.bodyMayGo()
    #expect(machine.head(Self.rejection) == .forward(refreshing: true))
  }

  @Test("a second 401 before the body is the caller's")
  func secondRejection() {
    var machine = asked()
    _ = machine.head(Self.rejection)
    _ = machine.leaseArrived()
    _ = machine.connected(expecting: true)
    #expect(machine.head(Self.rejection) == .forward(refreshing: false))
    #expect(machine.isBodyUnsent, "whoever passes it on has to settle what becomes of the body")
    machine.bodyFollows()
    #expect(!machine.isBodyUnsent)
  }

  @Test("no new lease: the held 401 passes")
  func heldIsReleased() {
    var machine = asked()
    _ = machine.head(Self.rejection)
    #expect(machine.leaseFailed(GatewayError(.tokenUnavailable)) == .releaseHeld)
    machine = asked()
    _ = machine.head(Self.rejection)
    #expect(machine.timedOut() == .releaseHeld)
  }

  @Test("417: once more without an expectation; a second 417 is the caller's")
  func expectationFails() {
    var machine = asked()
    #expect(machine.expectationFailed(bodyIsHeld: false) == .replay)
    #expect(machine.connected(expecting: true) == .send)
    #expect(machine.state == .awaitingHead && !machine.isBodyUnsent)
    #expect(machine.expectationFailed(bodyIsHeld: true) == .none)
    // It was no 401: a replay for one is still to be had.
    var rejection = Self.rejection
    rejection.bodyIsHeld = true
    #expect(machine.head(rejection) == .hold)
  }

  @Test("417 after the body has begun: only a kept body goes out again")
  func expectationFailsLate() {
    var machine = asked()
    _ = machine.timedOut()
    #expect(machine.expectationFailed(bodyIsHeld: false) == .none)
    #expect(machine.expectationFailed(bodyIsHeld: true) == .replay)
  }

  @Test("an early final answer is passed on", arguments: [200, 413])
  func finalAnswer(_ status: Int) {
    var machine = asked()
    #expect(machine.head(nil) == .forward(refreshing: false))
    #expect(machine.isBodyUnsent)
    #expect(machine.bodyMayGo() == .none)
    machine.bodyFollows()
    machine.responseEnded()
    #expect(machine.state == .finished)
  }

  @Test("a connection that dies instead of an answer: 4.4 holds for it as for any other")
  func dies() {
    let error = GatewayError(.connectionTerminated)
    var machine = asked()
    #expect(machine.upstreamFailed(error, mayResend: true) == .connect(fresh: true))
    machine = asked()
    #expect(machine.upstreamFailed(error, mayResend: false) == .fail(error))
  }

  @Test("the caller goes, or sends too much, before the body went and before anything began")
  func ends() {
    var machine = asked()
    #expect(machine.downstreamGone() == .abort)
    machine = asked()
    #expect(machine.bodyTooLarge() == .fail(GatewayError(.bodyTooLarge)))
    machine = ExchangeStateMachine()
    #expect(machine.bodyTooLarge() == .fail(GatewayError(.bodyTooLarge)))
    machine = ExchangeStateMachine()
    #expect(machine.downstreamGone() == .abort)
  }
}

/// A server that does not answer the question is not asked again and again: each may cost a second.
@Suite struct ContinueExperienceTests {
  private static let second: Int64 = 1_000_000_000

  private func asks(_ experience: inout ContinueExperience, at now: Int64) -> Bool { experience.asks(at: now) }

  @Test func threeSilencesInARowEndTheQuestions() {
    var experience = ContinueExperience()
    for _ in 0..<2 { experience.stayedSilent(at: 0) }
    #expect(asks(&experience, at: 0))
    experience.answered()
    for _ in 0..<2 { experience.stayedSilent(at: 0) }
    #expect(asks(&experience, at: 0), "an answer between them begins anew")
    experience.stayedSilent(at: 0)
    #expect(!asks(&experience, at: 0))
  }

  @Test func thenOneAMinuteIsAsked() {
    var experience = ContinueExperience()
    experience.refused(at: 0)
    #expect(!asks(&experience, at: ContinueExperience.rest - 1))
    #expect(asks(&experience, at: ContinueExperience.rest))
    #expect(!asks(&experience, at: ContinueExperience.rest), "its answer is not there yet")
    experience.stayedSilent(at: ContinueExperience.rest + Self.second)
    #expect(!asks(&experience, at: 2 * ContinueExperience.rest))
    #expect(asks(&experience, at: 2 * ContinueExperience.rest + Self.second))
  }

  @Test func aLateAnswerCountsToo() {
    var experience = ContinueExperience()
    for _ in 0..<8 { experience.stayedSilent(at: 0) }
    experience.answered()
    #expect(asks(&experience, at: 0))
  }
}
