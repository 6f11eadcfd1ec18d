// The decisions of one exchange, without I/O: when to park, connect, send, hold a 401, replay, give up. `Exchange`
// carries the actions out.

/// One request and its response, from the matched route to the last byte. A new value for each exchange.
///
/// ```
/// idle ─start─► parked ─lease─► connecting ─connected─► awaitingHead ─head─► responding ─end─► finished
///        └──────────────────────►┘   ▲  ▲                    │ 401
///                                    │  └── died, may be ────┤
///                                    │      sent again       ▼
///                                    └────── new lease ───── held ── no lease ─► responding
/// ```
/// A body that can't be sent twice may wait in `awaitingContinue`, between connecting and `awaitingHead`, from where the
/// same ways lead on: a 401 that comes there finds it unsent.
struct ExchangeStateMachine {
  enum State: Equatable {
    case idle
    /// Waits for a lease; nothing was sent.
    case parked
    /// Waits for an upstream connection.
    case connecting
    /// The head was sent with `Expect: 100-continue`; the body waits for the answer to that.
    case awaitingContinue
    /// The request is on its way or sent; no final head yet.
    case awaitingHead
    /// A 401 is kept back while a newer lease is on its way.
    case held
    /// The final head has been passed on.
    case responding
    case finished
  }

  enum Action: Equatable {
    case none
    /// Ask for a lease and wait for it.
    case park
    /// Take a connection; `fresh` forbids a pooled one.
    case connect(fresh: Bool)
    /// Send the head and, unless the state is `awaitingContinue`, what is there of the body.
    case send
    /// Send what is there of the body after its head.
    case sendBody
    /// Keep the response back and wait for a lease newer than the one used.
    case hold
    /// Drop the response held, if any, and send everything again with the current lease.
    case replay
    /// Pass the response on. `refreshing`: a new lease is wanted for those who come next.
    case forward(refreshing: Bool)
    /// Pass the held 401 on after all.
    case releaseHeld
    /// Answer with an error of our own.
    case fail(GatewayError)
    /// The response has begun: end it so that the caller sees that it is cut.
    case truncate
    /// Stop all work; nobody waits for an answer.
    case abort
  }

  /// What is known of a 401 when its head arrives.
  struct Rejection {
    /// The challenge does not say that another token would be refused as well.
    var mayBeCured: Bool
    /// All of the caller's body that came so far is kept. In `awaitingContinue` it is in any case.
    var bodyIsHeld: Bool
    /// The cache has a usable lease of another generation than the one used.
    var newerLeaseIsHere: Bool
    /// One more parked request is within the limits.
    var mayPark: Bool
  }

  private(set) var state = State.idle
  /// The request was sent a second time because of a 401: the second answer is final.
  private(set) var hasReplayed = false
  /// The request was sent a second time because its connection died.
  private var hasRetried = false
  /// The head of this attempt has gone ahead, and not a byte of the body has followed.
  private(set) var isBodyUnsent = false
  /// The upstream wants no expectation.
  private var hasDroppedExpectation = false

  /// - Parameter hasLease: a usable lease is here, or the route needs none.
  mutating func start(hasLease: Bool, mayPark: Bool) -> Action {
    if hasLease {
      state = .connecting
      return .connect(fresh: false)
    }
    if !mayPark { return fail(.parkedTooMany) }
    state = .parked
    return .park
  }

  /// A lease other than the one that was used came.
  mutating func leaseArrived() -> Action {
    switch state {
    case .parked:
      state = .connecting
      return .connect(fresh: false)
    case .held:
      hasReplayed = true
      state = .connecting
      return .replay
    case .idle, .connecting, .awaitingContinue, .awaitingHead, .responding, .finished: return .none
    }
  }

  /// No lease can be had for now.
  mutating func leaseFailed(_ error: GatewayError) -> Action {
    switch state {
    case .parked:
      state = .finished
      return .fail(error)
    case .held:
      state = .responding
      return .releaseHeld
    case .idle, .connecting, .awaitingContinue, .awaitingHead, .responding, .finished: return .none
    }
  }

  /// - Parameter expecting: the body had better wait until the upstream has seen the head.
  mutating func connected(expecting: Bool = false) -> Action {
    guard state == .connecting else { return .none }
    isBodyUnsent = expecting && !hasDroppedExpectation
    state = isBodyUnsent ? .awaitingContinue : .awaitingHead
    return .send
  }

  /// The upstream asks for the body; or the body turned out to be one that can be sent twice.
  mutating func bodyMayGo() -> Action {
    guard state == .awaitingContinue else { return .none }
    state = .awaitingHead
    isBodyUnsent = false
    return .sendBody
  }

  /// The response is being passed on, and what there is and comes of the body is sent after all, or dropped.
  mutating func bodyFollows() { isBodyUnsent = false }

  /// 417 for an expectation of ours: RFC 9110 §10.1.1 wants the request once more, without it.
  /// - Parameter bodyIsHeld: all of the caller's body that came so far is kept.
  mutating func expectationFailed(bodyIsHeld: Bool) -> Action {
    guard state == .awaitingContinue || (state == .awaitingHead && bodyIsHeld), !hasDroppedExpectation else {
      return .none
    }
    hasDroppedExpectation = true
    state = .connecting
    return .replay
  }

  /// There is a connection, but no lease that is still usable, or none that will be when the request arrives.
  mutating func leaseEnded(mayPark: Bool) -> Action {
    guard state == .connecting else { return .none }
    if !mayPark { return fail(.parkedTooMany) }
    state = .parked
    return .park
  }

  mutating func connectFailed(_ error: GatewayError) -> Action {
    guard state == .connecting else { return .none }
    state = .finished
    return .fail(error)
  }

  /// The connection broke, or what came over it is no HTTP.
  /// - Parameter mayResend: nothing of the request was written, or it is idempotent and its body still held; and not a
  ///   byte of an answer came.
  mutating func upstreamFailed(_ error: GatewayError, mayResend: Bool) -> Action {
    switch state {
    case .awaitingContinue, .awaitingHead:
      if mayResend, !hasRetried {
        hasRetried = true
        state = .connecting
        return .connect(fresh: true)
      }
      state = .finished
      return .fail(error)
    case .responding:
      state = .finished
      return .truncate
    // The 401 is decided already; only its body, if it is passed on at all, is cut.
    case .held, .idle, .parked, .connecting, .finished: return .none
    }
  }

  /// The final head.
  /// - Parameter rejection: nil unless the status rejects the token that was sent.
  mutating func head(_ rejection: Rejection?) -> Action {
    guard state == .awaitingHead || state == .awaitingContinue else { return .none }
    guard let rejection, rejection.mayBeCured, !hasReplayed else {
      state = .responding
      return .forward(refreshing: false)
    }
    let bodyIsHeld = rejection.bodyIsHeld || isBodyUnsent
    if !bodyIsHeld || (!rejection.newerLeaseIsHere && !rejection.mayPark) {
      state = .responding
      return .forward(refreshing: !rejection.newerLeaseIsHere)
    }
    if rejection.newerLeaseIsHere {
      hasReplayed = true
      state = .connecting
      return .replay
    }
    state = .held
    return .hold
  }

  /// What is kept of the body was given up while a 401 was held: it cannot be replayed any more.
  mutating func bodyLost() -> Action {
    guard state == .held else { return .none }
    state = .responding
    return .releaseHeld
  }

  /// The caller has sent more than the route allows.
  mutating func bodyTooLarge() -> Action {
    switch state {
    case .finished: return .none
    case .responding:
      state = .finished
      return .truncate
    case .idle, .parked, .connecting, .awaitingContinue, .awaitingHead, .held: return fail(.bodyTooLarge)
    }
  }

  mutating func responseEnded() { if state == .responding { state = .finished } }

  /// The deadline of the current state has passed.
  /// - Parameters:
  ///   - isAtLimit: all connections that the upstream may have are at work.
  ///   - isCallerLate: the caller could have sent more of its body, and did not.
  mutating func timedOut(isAtLimit: Bool = false, isCallerLate: Bool = false) -> Action {
    switch state {
    case .parked: return fail(.parkTimeout)
    case .connecting: return fail(isAtLimit ? .connectionLimit : .connectionTimeout)
    // RFC 9110 §10.1.1: an upstream that says nothing gets the body all the same.
    case .awaitingContinue: return bodyMayGo()
    case .awaitingHead: return fail(isCallerLate ? .requestTimeout : .responseHeadTimeout)
    case .held:
      state = .responding
      return .releaseHeld
    case .responding:
      state = .finished
      return .truncate
    case .idle, .finished: return .none
    }
  }

  mutating func downstreamGone() -> Action {
    if state == .finished { return .none }
    state = .finished
    return .abort
  }

  private mutating func fail(_ kind: GatewayError.Kind) -> Action {
    state = .finished
    return .fail(GatewayError(kind))
  }
}
