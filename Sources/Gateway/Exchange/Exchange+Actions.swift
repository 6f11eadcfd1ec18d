// Carries out what the exchange's state machine decides, and keeps its deadlines.
internal import EventLoop
internal import HTTPWire
internal import TokenKit

extension Exchange: TimerHandler {
  /// How long what can't be sent twice waits for the successor of a refused lease.
  private static let replacementTime: Int64 = 2_000_000_000

  func perform(_ action: ExchangeStateMachine.Action) {
    switch action {
    case .none: break
    case .park: park(.missing)
    case .hold:
      endAttempt()
      park(.rejected(route: plan.index))
    case .connect(let fresh): connect(fresh: fresh)
    case .send: send()
    case .sendBody: sendBody()
    case .replay:
      held = nil
      endAttempt()
      // The first answer counts for nothing any more.
      trace.upstreamStatus = 0
      let old = upstream
      upstream = nil
      old?.letGo()
      if let credential = plan.credential { lease = worker.leases.usable(credential) ?? lease }
      connect(fresh: false)
    case .releaseHeld: releaseHeld()
    case .fail(let error):
      let downstream = self.downstream
      endWait(error)
      endAttempt(error)
      end()
      downstream?.answer(error.about(plan))
    case .truncate:
      let downstream = self.downstream
      trace.cut(GatewayError(body.received > plan.requestBody ? .bodyTooLarge : .streamTimeout))
      end()
      downstream?.truncate()
    case .abort: end()
    // Decided where the head is at hand.
    case .forward: break
    }
  }

  func park(_ cause: LeaseWant.Cause) {
    guard let credential = plan.credential else { return }
    beginWait(isForReplacement: cause != .missing)
    guard cause == .missing, lease != nil, !worker.leases.isHolding(credential) else {
      return park(credential, cause, atMost: plan.parkTimeout)
    }
    // It waits although there is a lease, and not for long.
    park(credential, .rejected(route: plan.index), atMost: min(plan.parkTimeout, Self.replacementTime))
  }

  private func park(_ credential: Int, _ cause: LeaseWant.Cause, atMost time: Int64) {
    arm(time)
    guard worker.leases.park(self, credential, cause) else { return leaseFailed(GatewayError(.parkedTooMany)) }
    worker.counters.add(.parks, credential: credential)
  }

  func connect(fresh: Bool) {
    resetAttempt()
    trace.connecting(at: timers.now)
    // A second try goes to a server that has not failed yet, if there is one.
    if !fresh || choice.isExhausted(plan) { choice = UpstreamChoice(number: worker.counters.begun) }
    guard let pool = choice.next(plan, worker.pools, now: timers.now) else { return }
    self.pool = pool
    beginAttempt()
    pool.acquire(for: self, fresh: fresh, onlyRecent: !request.method.isIdempotent)
    if machine.state == .connecting { arm(plan.connectTimeout) }
  }

  /// Passes the kept 401 on, unchanged, and goes on reading where it was paused.
  func releaseHeld() {
    worker.leases.remove(self)
    endWait()
    guard let response = held else { return }
    held = nil
    if machine.isBodyUnsent { settleBody(after: response.head.status) }
    response.headBytes.withSpan { forward(response.head, $0) }
    response.body.withSpan { bytes in
      passedOn(bytes.count)
      if bytes.count > 0 { downstream?.sendData(bytes) }
    }
    if response.hasEnded {
      machine.responseEnded()
      finishResponse()
    } else if response.isCut || upstream == nil {
      perform(machine.upstreamFailed(GatewayError(.connectionTerminated), mayResend: false))
    } else {
      downstream?.flush()
      guard isResponsePaused, let downstream else { return }
      if downstream.hasBacklog { disarm() } else { downstreamDrained() }
    }
  }

  /// Stops everything at once: the upstream request is aborted.
  func end() {
    let channel = upstream
    upstream = nil
    channel?.letGo()
    release()
  }

  func release() {
    disarm()
    if span.isRecorded { endSpansOfUpstream() }
    if parkedFor != nil { worker.leases.remove(self) }
    if let ticket = connectTicket { pool?.cancel(ticket) }
    connectTicket = nil
    if held != nil { held = nil }
    if body.holdsMemory { body.release(worker.loop, worker.replay) }
    lease = nil
    downstream = nil
    isStartDue = false
    isBodyPaused = false
  }

  // MARK: Deadlines

  func arm(_ nanoseconds: Int64) {
    if let timer { timers.schedule(timer, after: nanoseconds) }
  }

  func disarm() { if let timer { timers.disarm(timer) } }

  /// Nobody but the caller holds its body up: it is being read, and the upstream has taken all of it.
  private var isCallerLate: Bool {
    let awaitsContinue = request.expectsContinue && !hasSentContinue && body.received == 0
    return !body.isComplete && !isBodyPaused && !awaitsContinue
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    if machine.state == .parked, goOnAsItIs() { return }
    if machine.state == .awaitingContinue { pool?.continues.stayedSilent(at: worker.loop.now) }
    if machine.state == .awaitingHead, isEndSent { pool?.noteFailure() }
    if parkedFor != nil, let credential = plan.credential { worker.counters.add(.parkTimeouts, credential: credential) }
    perform(machine.timedOut(isAtLimit: pool?.isAtLimit ?? false, isCallerLate: isCallerLate))
  }
}
