// HTTP/1.1 towards a caller: how a connection ends, and its deadlines.
internal import EventLoop

extension HTTP1Downstream {
  func endConnection() {
    if callerCloses, case .answering = phase, stream.unsent == 0, input == nil { return close() }
    stream.endRelay()
    phase = .discarding(left: Self.discardBytes)
    isBodyPaused = false
    releaseInput()
    stream.resume()
    if stream.unsent == 0 { return discard() }
    mayCloseAfterFlush = true
    startRate()
  }

  func discard() {
    mayCloseAfterFlush = false
    stream.shutdownWriting()
    arm(Self.discardTime)
  }

  func releaseInput() {
    if let input, !isTaking { worker.loop.buffers.release(input) }
    input = nil
  }

  func close(resetting: Bool = false) {
    // The stream may be closed already: it closes itself before it tells of a failure.
    if case .closed = phase { return }
    phase = .closed
    releaseInput()
    if let timer { timers.release(timer) }
    timer = nil
    stream.close(resetting: resetting)
    worker.closed(self)
  }

  // MARK: Deadlines

  func arm(_ nanoseconds: Int64) {
    if let timer { timers.schedule(timer, after: nanoseconds) }
  }

  func armIdle() {
    idleSince = timers.now
    arm(listener.idleTimeout)
  }

  func disarm() { if let timer { timers.disarm(timer) } }

  func startRate() {
    // A socket holds megabytes, and says that it takes more only when a good part of them has left: a caller is judged
    // by what has reached it. Where nothing waits, it is not worth asking.
    rate.start(delivered: stream.unsent > 0 ? stream.delivered : stream.sent)
    arm(listener.rate.interval)
  }
}

extension HTTP1Downstream: TimerHandler {
  func timerFired(_ timer: TimerWheel.Timer) {
    switch phase {
    case .head where hasHeadBegun:
      let problem = GatewayError(.requestTimeout)
      worker.refused(problem, on: self)
      answerAndClose(problem)
    case .discarding where mayCloseAfterFlush, .head where stream.unsent > 0:
      if rate.isTooSlow(listener.rate, delivered: stream.delivered) { cutOff() } else { startRate() }
    case .head, .discarding, .closed:
      close()
    case .answering:
      if stream.unsent == 0 { return }
      if rate.isTooSlow(listener.rate, delivered: stream.delivered) { cutOff() } else { startRate() }
    case .body, .chunked, .trailers:
      if isBodyPaused, stream.unsent == 0 { return }
      if awaitsContinue || !rate.isTooSlow(listener.rate, delivered: stream.delivered) { return startRate() }
      if hasResponseBegun { cutOff() } else { refuse(GatewayError(.requestTimeout)) }
    }
  }

  /// The caller is too slow to go on with. By a reset: a caller that does not read would keep what is on its way to it, and a body that ends with the connection
  /// would look whole.
  private func cutOff() {
    exchange?.trace.cut(GatewayError(.requestTimeout, reason: "min_rate"))
    gone(resetting: true)
  }
}
