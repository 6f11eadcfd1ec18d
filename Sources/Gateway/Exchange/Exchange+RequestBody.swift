// The caller's body on its way through an exchange: what of it is kept, when it waits for the upstream to have seen the
// head, and when it goes.
internal import EventLoop
internal import HTTPWire

extension Exchange {
  /// How long a body waits for the answer to our `Expect: 100-continue`.
  private static let continueTime: Int64 = 1_000_000_000

  /// What comes of the body goes on to the upstream at once.
  var isSending: Bool { upstream != nil && machine.state != .held && !machine.isBodyUnsent }

  var isAwaitingHead: Bool { machine.state == .awaitingHead || machine.state == .awaitingContinue }

  /// Whether the caller has sent its whole request.
  var isRequestComplete: Bool { body.isComplete }

  /// All of it is or will be kept, so that it can be sent a second time. Of a chunked body that is not known before its
  /// end.
  var isBodySafe: Bool { body.isWhole && (body.isComplete || request.framing != .chunked) }

  // MARK: From the caller

  func requestData(_ bytes: Span<UInt8>) {
    let isSending = isSending
    let isDropped = machine.state == .held && !machine.isBodyUnsent
    worker.counters.received(bytes.count, route: Int(plan.index))
    body.append(bytes, limit: keepLimit, waiting: !isSending && !isDropped, worker.loop, worker.replay)
    if body.received > plan.requestBody { return perform(machine.bodyTooLarge()) }
    if isDropped {
      isRequestCut = true
      if !body.isWhole { perform(machine.bodyLost()) }
      return
    }
    guard isSending, let upstream else {
      // More than what can be kept stays with the caller until there is a connection.
      if !body.isWhole || body.keptCount >= keepLimit { pauseBody() }
      return
    }
    if !isRequestCut, machine.state == .awaitingHead || machine.state == .responding {
      if !isResponsePaused { arm(plan.streamIdleTimeout) }
      upstream.sendData(bytes)
      if upstream.hasBacklog { pauseBody() }
    }
  }

  /// Where the rest of the body goes as it is: nothing of it is to be kept, counted against a limit or held back any more.
  var requestSink: Stream? {
    guard isSending, !isRequestCut, !body.isWhole, body.kept == nil,
      machine.state == .awaitingHead || machine.state == .responding
    else { return nil }
    return upstream?.bodySink
  }

  /// So many bytes of the body have gone there, or will with the upstream's next drain.
  func requestRelayed(_ count: Int) {
    worker.counters.received(count, route: Int(plan.index))
    body.pass(count)
    if !isResponsePaused { arm(plan.streamIdleTimeout) }
    if upstream?.hasBacklog == true { pauseBody() }
  }

  func requestEnd(trailers: [Field], _ bytes: Span<UInt8>) {
    body.isComplete = true
    // It was small enough after all: a 401 finds all of it kept.
    if machine.state == .awaitingContinue, body.isWhole { return perform(machine.bodyMayGo()) }
    if machine.state == .held, !machine.isBodyUnsent { isRequestCut = true }
    guard let upstream, !isRequestCut, machine.state == .awaitingHead || machine.state == .responding else { return }
    upstream.sendTrailers(trailers, bytes)
    endRequest(upstream)
  }

  /// The caller's bytes of this turn were all delivered.
  func flushRequest() {
    if isStartDue {
      isStartDue = false
      start()
    }
    upstream?.flush()
  }

  func pauseBody() {
    if isBodyPaused { return }
    isBodyPaused = true
    downstream?.pauseBody()
  }

  func resumeBody() {
    if !isBodyPaused { return }
    isBodyPaused = false
    downstream?.resumeBody()
  }

  // MARK: To the upstream

  func send() {
    guard let upstream else { return }
    hasWritten = true
    trace.generation = lease?.generation ?? 0
    upstream.sendHead(of: self)
    if machine.isBodyUnsent {
      arm(Self.continueTime)
      if !isBeginning { upstream.flush() }
    } else {
      sendBody()
    }
  }

  func sendBody() {
    guard let upstream else { return }
    if !body.isComplete { arm(plan.streamIdleTimeout) }
    if let kept = body.kept { kept.withSpan { upstream.sendData($0) } }
    body.sent(worker.loop, worker.replay)
    if body.isComplete { endRequest(upstream) }
    // Head and body leave in one piece when they came in one: the flush follows when the caller's bytes are read.
    if isBeginning { return }
    upstream.flush()
    if !upstream.hasBacklog { resumeBody() }
  }

  private func endRequest(_ upstream: any UpstreamChannel) {
    upstream.sendEnd()
    isEndSent = true
    if machine.state == .awaitingHead { arm(plan.responseHeadTimeout) }
  }

  // MARK: Bodies that can't be sent twice, where the old token dies at rotation

  /// Looks at once whether the body is sure to be kept.
  /// - Returns: that the request had better begin when what came with its head is read: all of it may be there.
  func takesCareOfBody() -> Bool {
    switch request.framing {
    case .chunked:
      // A caller that waits to be asked for its body has sent nothing of it.
      isStartDue = !request.expectsContinue
      return isStartDue
    case .length(let length):
      if body.isWhole, length > 0 { body.reserve(ahead: Int(length), worker.replay) }
      return false
    case .none, .untilClose: return false
    }
  }

  /// Whether the head asks, and the body waits.
  func mayExpect() -> Bool { !isBodySafe && pool?.continues.asks(at: worker.loop.now) == true }

  /// 100, in time or not.
  func askedForBody() {
    pool?.continues.answered()
    perform(machine.bodyMayGo())
  }

  /// A final status came after a head with an expectation of ours.
  /// - Returns: that it is not for the caller: the request goes out once more.
  func answeredExpectation(_ status: UInt16) -> Bool {
    // A caller that has an expectation itself is told what became of it.
    if status == 417, !request.expectsContinue {
      pool?.continues.refused(at: worker.loop.now)
      let action = machine.expectationFailed(bodyIsHeld: body.isWhole)
      perform(action)
      return action != .none
    }
    if machine.isBodyUnsent { pool?.continues.answered() }
    return false
  }

  /// The answer is passed on, and it came before the body.
  func settleBody(after status: UInt16) {
    if status < 300 {
      // It has not refused the body, and may be reading it.
      machine.bodyFollows()
      return sendBody()
    }
    // What still comes of it is read and dropped: a caller may take no answer before it has sent everything.
    isRequestCut = true
    machine.bodyFollows()
    body.release(worker.loop, worker.replay)
    resumeBody()
  }
}
