// HTTP/1.1 towards a caller: the response's side of a connection.
internal import EventLoop
internal import HTTPWire

extension HTTP1Downstream: DownstreamChannel {
  var hasBacklog: Bool { stream.isFull }

  var bodySink: Stream? { isChunkedResponse ? nil : stream }

  func sendInformational(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    if head.status == 100 { awaitsContinue = false }
    ResponseWriter.write(head, bytes, to: stream, tail: .informational)
  }

  func sendHead(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    hasResponseBegun = true
    if exchange?.isRequestComplete != true || worker.isDraining { mayKeepAlive = false }
    let tail: ResponseWriter.Tail
    switch head.framing {
    case .none, .length:
      tail = mayKeepAlive ? (isHTTP10 ? .keepAlive : .plain) : .close
    case .chunked, .untilClose:
      if isHTTP10 {
        isCloseDelimited = true
        mayKeepAlive = false
        tail = .close
      } else {
        isChunkedResponse = true
        tail = mayKeepAlive ? .chunked : .chunkedClose
      }
    }
    ResponseWriter.write(head, bytes, to: stream, tail: tail)
  }

  func sendData(_ bytes: Span<UInt8>) {
    if isChunkedResponse {
      stream.write(capacity: ChunkWriter.sizeLineCapacity) { ChunkWriter.writeSizeLine(bytes.count, into: &$0) }
      stream.write(bytes)
      stream.write(capacity: 2) { $0.append(ChunkWriter.dataEnd) }
    } else {
      stream.write(bytes)
    }
  }

  func sendTrailers(_ fields: [Field], _ bytes: Span<UInt8>) {
    guard isChunkedResponse, takesTrailers else { return }
    isChunkedResponse = false
    stream.write(capacity: HeadWriter.capacity(of: fields) + 8) { out in
      out.append(ChunkWriter.lastChunk)
      HeadWriter.writeFields(fields, of: bytes, into: &out)
      out.append(ChunkWriter.dataEnd)
    }
  }

  func sendEnd() {
    if isChunkedResponse { stream.write(capacity: 5) { $0.append(ChunkWriter.end) } }
    finish()
  }

  /// The response is written: on to the next request, or to the end of the connection.
  func finish() {
    stream.flush()
    if let done = exchange {
      exchange = nil
      worker.giveBack(done)
    }
    if stream.isClosed { return }
    guard mayKeepAlive, case .answering = phase else { return endConnection() }
    phase = .head
    isBodyPaused = false
    worker.mayBeIdle(self)
    if stream.unsent > 0 { startRate() } else { armIdle() }
    // More is read when what was read is used up.
    if input != nil { queueInput() } else { stream.resume() }
  }

  /// A request that came with or before the end of the last answer: in a turn of its own, so that answers to a long
  /// row of requests do not nest.
  func queueInput() {
    if isTaking || isTakeQueued { return }
    isTakeQueued = true
    worker.loop.runLater(self)
  }

  func flush() {
    stream.flush()
    if stream.unsent > 0, let timer, !timers.isArmed(timer) { startRate() }
  }

  func streamDidDrain(_ stream: Stream) {
    if mayCloseAfterFlush {
      if case .discarding = phase { return discard() }
      return gone()
    }
    if case .head = phase, !hasHeadBegun {
      worker.mayBeIdle(self)
      armIdle()
      if input != nil { queueInput() }
    }
    exchange?.downstreamDrained()
  }

  func truncate() {
    if let done = exchange {
      exchange = nil
      worker.giveBack(done)
    }
    close(resetting: true)
  }

  func answer(_ error: GatewayError) {
    exchange?.trace.answered(error)
    if hasResponseBegun {
      exchange?.trace.cut(error)
      return truncate()
    }
    hasResponseBegun = true
    if case .answering = phase {} else { mayKeepAlive = false }
    if case .malformed = error.kind { mayKeepAlive = false }
    writeAnswer(error)
    finish()
  }

  /// The connection can't be understood any further: whatever stands behind the fault may be anything.
  func answerAndClose(_ error: GatewayError) {
    mayKeepAlive = false
    writeAnswer(error)
    finish()
  }

  func writeAnswer(_ error: GatewayError) {
    let bytes = ProblemResponse.render(
      error, proxyName: worker.forwarding.proxyName, closing: !mayKeepAlive, withBody: !isHeadRequest)
    stream.write(bytes.span)
  }

  /// The request's body breaks a rule: its upstream must not get more of it.
  func refuse(_ error: GatewayError) {
    let abandoned = exchange
    exchange = nil
    abandoned?.trace.answered(error)
    if hasResponseBegun { abandoned?.trace.cut(error) }
    abandoned?.downstreamGone()
    if let abandoned { worker.giveBack(abandoned) }
    if hasResponseBegun {
      close(resetting: true)
    } else {
      answerAndClose(error)
    }
  }
}
