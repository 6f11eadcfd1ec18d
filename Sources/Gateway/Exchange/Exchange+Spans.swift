// The spans of an exchange: when each begins and ends, and what it tells. Without tracing each of these is one look at a
// flag.
internal import EventLoop
internal import HTTPWire

extension Exchange {
  /// The head is whole. Not inlined: without tracing it would only be in the way.
  @inline(never)
  func beginSpan(_ bytes: Span<UInt8>) {
    guard let tracer = worker.tracer else { return span = ExchangeSpan() }
    span = tracer.begin(request, bytes)
    if span.isContinued { return }
    // The state of another trace means nothing to this one.
    let name: StaticString = "tracestate"
    for index in request.fields.indices where isEqualIgnoringCase(bytes, request.fields[index].name, name.bytes) {
      request.fields[index].isDropped = true
    }
  }

  /// A server of the upstream is about to be tried.
  @inline(__always)
  func beginAttempt() {
    if span.isRecorded { openAttempt() }
  }

  /// The attempt has brought what it will bring.
  /// - Parameter error: why it brought no answer, or not all of one.
  @inline(__always)
  func endAttempt(_ error: @autoclosure () -> GatewayError? = nil) {
    if span.attempt != 0 { writeAttempt(error()) }
  }

  /// It is parked, or has a refused answer held.
  @inline(__always)
  func beginWait(isForReplacement: Bool) {
    if span.isRecorded { openWait(isForReplacement) }
  }

  @inline(__always)
  func endWait(_ error: @autoclosure () -> GatewayError? = nil) {
    if span.waitBegun != 0 { writeWait(error()) }
  }

  private func openAttempt() {
    guard let tracer = worker.tracer else { return }
    span.attempt = tracer.makeID()
    span.attemptBegun = timers.now
  }

  private func openWait(_ isForReplacement: Bool) {
    // It found no lease when it had its connection: nothing was sent.
    span.attempt = 0
    span.waitBegun = timers.now
    span.isWaitForReplacement = isForReplacement
  }

  /// Nobody goes on with the request.
  func endSpansOfUpstream() {
    endWait()
    endAttempt(trace.isCut ? trace.error : nil)
  }

  private func child(_ kind: SpanRecord.Kind, _ id: UInt64, begun: Int64, _ error: GatewayError?) -> SpanRecord {
    var record = SpanRecord(
      kind, trace: span.trace, id: id, parent: span.id, flags: span.flags, begun: begun, ended: timers.now)
    record.route = Int32(truncatingIfNeeded: plan.index)
    if let error { record.error = ErrorReason(error.kind) }
    return record
  }

  private func writeWait(_ error: GatewayError?) {
    guard let tracer = worker.tracer else { return span.waitBegun = 0 }
    var record = child(.wait, tracer.makeID(), begun: span.waitBegun, error)
    if span.isWaitForReplacement { record.marks.insert(.refused) }
    if trace.isDownstreamGone { record.marks.insert(.abandoned) }
    span.waitBegun = 0
    tracer.record(record)
  }

  private func writeAttempt(_ error: GatewayError?) {
    guard let tracer = worker.tracer else { return span.attempt = 0 }
    var record = child(.attempt, span.attempt, begun: span.attemptBegun, error)
    record.number = span.attempts
    record.method = request.method
    // What an attempt without a connection finds there is of the one before.
    if trace.connected >= span.attemptBegun, trace.connected != 0 {
      record.connected = trace.connected
      record.firstByte = trace.firstByte
      record.status = trace.upstreamStatus
      record.peer = SpanPeer(trace.upstream?.address)
      if trace.isReused { record.marks.insert(.reused) }
      if hasWritten { record.generation = trace.generation }
    }
    if trace.isDownstreamGone { record.marks.insert(.abandoned) }
    record.upstream = Int32(truncatingIfNeeded: pool?.target.place ?? -1)
    span.attempt = 0
    span.attempts &+= 1
    let basePath = plan.basePath
    requestBytes.withSpan { bytes in
      let method = request.method == .other ? request.methodRange : .empty
      tracer.record(
        record, method: bytes.extracting(method.range), base: isAsterisk ? Span() : basePath.span,
        path: bytes.extracting(forwardedPath.range))
    }
  }

  /// The request is over, one way or another.
  func writeSpan(_ tracer: SpanRecorder) {
    var record = SpanRecord(
      .request, trace: span.trace, id: span.id, parent: span.parent, flags: span.flags, begun: trace.begun,
      ended: timers.now)
    if span.parent != 0 { record.marks.insert(.hasRemoteParent) }
    if machine.hasReplayed { record.marks.insert(.replayed) }
    if trace.isCut { record.marks.insert(.cut) }
    if trace.isDownstreamGone { record.marks.insert(.abandoned) }
    record.method = request.method
    record.status = trace.status
    if trace.isCut || trace.isAnswered, let error = trace.error {
      record.error = ErrorReason(error.kind)
      if !trace.isCut { record.status = error.status }
    }
    record.generation = trace.generation
    record.bytesIn = body.received
    record.bytesOut = trace.bytesOut
    record.route = Int32(truncatingIfNeeded: plan.index)
    record.listener = Int32(truncatingIfNeeded: trace.listener)
    record.peer = SpanPeer(peer)
    requestBytes.withSpan { bytes in
      let method = request.method == .other ? request.methodRange : .empty
      tracer.record(
        record, method: bytes.extracting(method.range), path: bytes.extracting(request.path.range))
    }
  }
}

extension SpanRecorder {
  /// A request got an answer of ours before it became an exchange.
  /// - Returns: its place in a trace.
  func refuse(
    _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ error: GatewayError, on connection: HTTP1Downstream
  ) -> ExchangeSpan {
    let span = begin(head, bytes)
    guard span.isRecorded else { return span }
    let now = connection.timers.now
    var record = SpanRecord(
      .request, trace: span.trace, id: span.id, parent: span.parent, flags: span.flags, begun: now, ended: now)
    if span.parent != 0 { record.marks.insert(.hasRemoteParent) }
    record.method = head.method
    record.error = ErrorReason(error.kind)
    record.status = error.status
    record.listener = Int32(truncatingIfNeeded: connection.listener.index)
    record.peer = SpanPeer(connection.peer)
    let method = head.method == .other ? head.methodRange : .empty
    self.record(record, method: bytes.extracting(method.range), path: bytes.extracting(head.path.range))
    return span
  }
}
