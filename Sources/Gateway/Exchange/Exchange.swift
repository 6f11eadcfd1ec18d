// One request and its response: carries out what `ExchangeStateMachine` decides, between a downstream channel, an
// upstream channel and the lease cache. It knows neither sockets nor the wire version.
internal import EventLoop
internal import HTTPWire
internal import TokenKit

/// Confined to its loop. Taken from the worker's store of exchanges and given back at its end, so that a request
/// allocates nothing.
final class Exchange {
  let worker: Worker
  /// The loop's.
  let timers: TimerWheel
  var timer: TimerWheel.Timer?

  // The request.
  var request = RequestHead()
  let requestBytes: ByteBuffer
  private(set) var plan: RoutePlan
  private(set) var peer: SocketAddress = .unix(path: "")
  /// The path as it is forwarded, without the query: a part of the request's bytes.
  private(set) var forwardedPath: ByteRange = .empty
  var body = RequestBody(willFit: true)
  var keepLimit = 0
  /// Set by the downstream channel before `begin`.
  var trace = ExchangeTrace()
  var span = ExchangeSpan()

  // The attempt.
  var machine = ExchangeStateMachine()
  var downstream: (any DownstreamChannel)?
  var upstream: (any UpstreamChannel)?
  var lease: LoopLease?
  var hasWritten = false
  var hasResponseByte = false
  var isEndSent = false
  /// A part of the body was not sent: the upstream that is being talked to must not get what follows it.
  var isRequestCut = false
  var hasSentContinue = false
  /// The head of this attempt carried an expectation of ours.
  var isExpecting = false
  var held: HeldResponse?
  var isBodyPaused = false
  var isBeginning = false
  /// It begins when what came with its head has been read.
  var isStartDue = false
  var isResponsePaused = false

  // Where it waits.
  /// It has waited for another lease than the usable one, in vain, and does not do so again.
  private var hasWaited = false
  /// What it asked the lease cache for, while it is parked.
  var parkedFor: LeaseWant.Cause?
  /// Names this wait, for the lease cache.
  var parkTicket: UInt64 = 0
  /// Its place among those that wait for a connection.
  var connectTicket: ConnectTicket?
  /// It waits for a connection that nobody has used before.
  var needsFreshConnection = false
  /// Where its connection comes from.
  var pool: UpstreamPool?
  var choice = UpstreamChoice()

  init(_ worker: Worker) {
    self.worker = worker
    plan = worker.noRoute
    requestBytes = ByteBuffer(capacity: 2048)
    timers = worker.loop.timers
    timer = timers.make(self)
  }

  /// It is not in use: lets go of what it was used for last.
  func forget() {
    plan = worker.noRoute
    pool = nil
  }

  /// Ends its use for good: the worker keeps enough others.
  func discard() {
    if let timer { timers.release(timer) }
    timer = nil
  }

  // MARK: The caller's side

  /// Begins with the head in `request`, which was parsed from `bytes`.
  func begin(
    _ bytes: Span<UInt8>, _ plan: RoutePlan, path: ByteRange, peer: SocketAddress, _ downstream: any DownstreamChannel
  ) {
    requestBytes.removeAll()
    requestBytes.append(bytes.extracting(0..<request.count))
    self.plan = plan
    self.peer = peer
    forwardedPath = path
    self.downstream = downstream
    if worker.tracer != nil || span.isTraced { beginSpan(bytes) }
    machine = ExchangeStateMachine()
    keepLimit = plan.replayBody
    var willFit = true
    if case .length(let length) = request.framing { willFit = length <= UInt64(keepLimit) }
    body = RequestBody(willFit: willFit)
    body.isComplete = request.framing == .none || request.framing == .length(0)
    hasSentContinue = false
    hasWaited = false
    resetAttempt()
    if plan.tokensDieAtRotation, takesCareOfBody() { return }
    isBeginning = true
    start()
    isBeginning = false
  }

  func start() {
    guard let credential = plan.credential else { return perform(machine.start(hasLease: true, mayPark: false)) }
    lease = worker.leases.usable(credential)
    if let generation = lease?.generation,
      !waitsForNext(generation, credential) || !worker.leases.mayPark(credential)
    {
      perform(machine.start(hasLease: true, mayPark: false))
    } else {
      perform(machine.start(hasLease: false, mayPark: worker.leases.mayPark(credential)))
    }
  }

  /// What could not be sent twice waits for the next lease while this one is about to die by a rotation, or has just
  /// been refused.
  private func waitsForNext(_ generation: UInt64, _ credential: Int) -> Bool {
    if isBodySafe { return false }
    return worker.leases.isHolding(credential) || worker.leases.isRefused(generation, credential)
  }

  /// A rotation has begun while it waited for its connection.
  private func mustWait(_ credential: Int) -> Bool {
    worker.leases.isHolding(credential) && !isBodySafe && !hasWaited && worker.leases.mayPark(credential)
  }

  func resetAttempt() {
    isExpecting = false
    hasWritten = false
    hasResponseByte = false
    isEndSent = false
    isRequestCut = false
    isResponsePaused = false
  }

  /// The caller has taken all of the response that was there.
  func downstreamDrained() {
    guard isResponsePaused else { return }
    isResponsePaused = false
    if machine.state == .responding { arm(plan.streamIdleTimeout) }
    upstream?.resumeResponse()
  }

  func downstreamGone() {
    trace.isDownstreamGone = true
    perform(machine.downstreamGone())
  }

  /// `OPTIONS *`
  var isAsterisk: Bool {
    forwardedPath.count == 1 && requestBytes.withSpan { $0[Int(forwardedPath.start)] == UInt8(ascii: "*") }
  }

  // MARK: The token's side

  func leaseArrived(_ lease: LoopLease) {
    parkedFor = nil
    endWait()
    self.lease = lease
    perform(machine.leaseArrived())
  }

  func leaseFailed(_ error: GatewayError) {
    parkedFor = nil
    if machine.state == .parked, goOnAsItIs() { return }
    endWait(error)
    perform(machine.leaseFailed(error))
  }

  /// There will be no better lease soon: goes on with the one at hand, if that is usable.
  func goOnAsItIs() -> Bool {
    guard let credential = plan.credential, let current = worker.leases.usable(credential) else { return false }
    worker.leases.remove(self)
    hasWaited = true
    leaseArrived(current)
    return true
  }

  // MARK: The upstream's side

  func connected(_ channel: any UpstreamChannel) {
    connectTicket = nil
    // The wait may have been longer than the lease lives: what counts is the lease of this moment.
    if !isBeginning, let credential = plan.credential {
      let current = worker.leases.usable(credential)
      lease = current
      if current == nil || mustWait(credential) {
        channel.letGo()
        return perform(machine.leaseEnded(mayPark: worker.leases.mayPark(credential)))
      }
    }
    upstream = channel
    let action = machine.connected(expecting: plan.tokensDieAtRotation && mayExpect())
    isExpecting = machine.state == .awaitingContinue
    if action == .none {
      upstream = nil
      channel.letGo()
    } else {
      perform(action)
    }
  }

  func connectFailed(_ error: GatewayError) {
    connectTicket = nil
    // Nothing was sent, so any other server of the upstream may have it.
    if machine.state == .connecting, let other = choice.next(plan, worker.pools, now: timers.now) {
      endAttempt(error)
      pool = other
      beginAttempt()
      arm(plan.connectTimeout)
      return other.acquire(for: self, fresh: false, onlyRecent: !request.method.isIdempotent)
    }
    perform(machine.connectFailed(error))
  }

  func upstreamDrained() {
    if !isSending { return }
    if machine.state == .awaitingHead, !isEndSent { arm(plan.streamIdleTimeout) }
    resumeBody()
  }

  func noteResponseByte() {
    if hasResponseByte { return }
    hasResponseByte = true
    trace.firstByte = timers.now
    worker.counters.firstByte(after: trace.firstByte &- trace.connected, route: Int(plan.index))
  }

  func informational(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    if head.status == 100, isExpecting { askedForBody() }
    if !isAwaitingHead || request.minorVersion == 0 { return }
    if head.status == 100 {
      if hasSentContinue || !request.expectsContinue { return }
      hasSentContinue = true
    }
    guard let downstream, head.status == 100 || !downstream.hasBacklog else { return }
    downstream.sendInformational(head, bytes)
    downstream.flush()
  }

  func responseHead(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    trace.upstreamStatus = head.status
    if isExpecting, answeredExpectation(head.status) { return }
    let rejection = plan.rejects(head.status) ? judge(head, bytes) : nil
    noteVerdict(isRejection: rejection != nil)
    let action = machine.head(rejection)
    switch action {
    case .forward(let refreshing):
      if refreshing { worker.leases.refresh(plan, lease) }
      forward(head, bytes)
      if machine.isBodyUnsent { settleBody(after: head.status) }
    case .hold:
      held = HeldResponse(head, bytes)
      perform(action)
    default: perform(action)
    }
  }

  func judge(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) -> ExchangeStateMachine.Rejection? {
    guard let credential = plan.credential, let lease else { return nil }
    let current = worker.leases.usable(credential)
    return ExchangeStateMachine.Rejection(
      mayBeCured: Challenge.mayBeCured(head, bytes), bodyIsHeld: body.isWhole,
      newerLeaseIsHere: current != nil && current?.generation != lease.generation,
      mayPark: worker.leases.mayPark(credential))
  }

  /// Tells the control loop what it counts on: that a lease was accepted, that a route refuses fresh ones.
  func noteVerdict(isRejection: Bool) {
    guard let credential = plan.credential, let generation = lease?.generation else { return }
    if isRejection || machine.hasReplayed {
      worker.counters.judged(isRejection: isRejection, isReplay: machine.hasReplayed, route: Int(plan.index))
    }
    if isRejection {
      if machine.hasReplayed { worker.leases.replayRejected(credential, route: plan.index) }
    } else {
      worker.leases.accepted(credential, generation, route: plan.index)
    }
  }

  func forward(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    arm(plan.streamIdleTimeout)
    trace.status = head.status
    downstream?.sendHead(head, bytes)
  }

  func responseData(_ bytes: Span<UInt8>) {
    if machine.state == .responding {
      guard let downstream else { return }
      passedOn(bytes.count)
      downstream.sendData(bytes)
      if downstream.hasBacklog { pauseResponse() }
      return
    }
    guard machine.state == .held, held != nil else { return }
    held?.body.append(bytes)
    if let held, held.body.count >= HeldResponse.bodyLimit { pauseResponse() }
  }

  func passedOn(_ count: Int) {
    trace.bytesOut &+= UInt64(count)
    worker.counters.passedOn(count, route: Int(plan.index))
  }

  /// Where the rest of the response's body goes as it is.
  var responseSink: Stream? { machine.state == .responding ? downstream?.bodySink : nil }

  /// So many bytes of the body have gone there, or will with the caller's next drain.
  func responseRelayed(_ count: Int) {
    passedOn(count)
    if downstream?.hasBacklog == true { pauseResponse() }
  }

  func pauseResponse() {
    if isResponsePaused { return }
    isResponsePaused = true
    // A caller that does not read is judged by its own minimum rate, not by the upstream's silence. What is held has
    // its own deadline.
    if machine.state == .responding { disarm() }
    upstream?.pauseResponse()
  }

  func responseTrailers(_ fields: [Field], _ bytes: Span<UInt8>) {
    if machine.state == .responding { downstream?.sendTrailers(fields, bytes) }
  }

  /// The response is whole. The channel lets go of the exchange by itself.
  func responseEnd() {
    if machine.state == .held {
      held?.hasEnded = true
      return
    }
    guard machine.state == .responding else { return }
    machine.responseEnded()
    finishResponse()
  }

  func finishResponse() {
    let downstream = self.downstream.take()
    upstream.take()?.letGo()
    release()
    downstream?.sendEnd()
  }

  /// The upstream's bytes of this turn were all delivered.
  func flushResponse() {
    guard let downstream else { return }
    if machine.state == .responding, !isResponsePaused { arm(plan.streamIdleTimeout) }
    downstream.flush()
    if downstream.hasBacklog, machine.state == .responding { pauseResponse() }
  }

  /// The channel is closed already.
  func upstreamFailed(_ error: GatewayError) {
    upstream = nil
    trace.error = error
    endAttempt(error)
    held?.isCut = true
    // The end of an old connection says nothing about the question.
    if machine.state == .awaitingContinue, !trace.isReused { pool?.continues.refused(at: worker.loop.now) }
    let maySendAgain = !hasWritten || (request.method.isIdempotent && (body.isWhole || machine.isBodyUnsent))
    perform(machine.upstreamFailed(error, mayResend: maySendAgain && !hasResponseByte))
  }
}
