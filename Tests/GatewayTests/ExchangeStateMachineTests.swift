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
