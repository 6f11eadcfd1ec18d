// A byte stream over a socket: the reading rules, the fairness budget and the write queue of one connection.
internal import CLinux
internal import Glibc

/// One socket, non-blocking, registered once for both directions, with TLS over it or not. Confined to its loop; owns its
/// descriptor.
@safe
package final class Stream: EventHandler, Runnable {
  /// Writes from here on go to the socket directly instead of being gathered.
  private static let directWrite = 16 * 1024

  enum Phase {
    case connecting
    case handshaking
    case open
  }

  package let loop: EventLoop
  package let fd: Int32
  /// The most that one read takes. What a read brings must be kept or used by the delegate at once.
  package var readLimit = Int32(EventLoop.scratchSize)
  /// The loop's.
  private let buffers: BufferPool
  /// Kept strongly until `close`: the stream and its user hold each other while the connection lives. Without one nothing
  /// is read; what came meanwhile is delivered, in the next turn, to the one that is set.
  package var delegate: (any StreamDelegate)? {
    didSet { if delegate != nil, isReadReady, !isPaused, !isPumping, phase == .open { queue() } }
  }
  private var registration = EventLoop.Registration.none
  private(set) var tls: TLSSession?
  var output: ByteBuffer?
  /// Where what is read goes without being looked at.
  var relay: StreamRelay?
  /// Bytes from another stream, before those of `output`, that the socket has not taken yet.
  var inflow: StreamRelay?
  /// Bytes that the socket has taken; with TLS, before they were encrypted.
  package internal(set) var sent: UInt64 = 0

  var phase: Phase
  var isReadReady = false
  var isEndExpected = false
  var isEndDelivered = false
  var isPumping = false
  private var isQueued = false
  private var isHangUpTold = false
  var isWriteBlocked = false
  private var isShutdownWanted = false
  /// The error of a failed write was a reset: what looks like the peer's end afterwards is none.
  var wasReset = false
  package private(set) var hasWriteFailed = false
  package private(set) var isClosed = false
  package private(set) var isPaused = false
  /// Bytes that have reached the peer's side. Costs a system call.
  package var delivered: UInt64 {
    let waiting = UInt64(max(0, linux_unacknowledged(fd)))
    return sent > waiting ? sent - waiting : 0
  }
  /// As far as is known without asking the socket, there is nothing to be read, neither bytes nor an end.
  package var isQuiet: Bool {
    !isReadReady && !isEndDelivered && !isClosed
      && loop.pendingEvents(registration).isDisjoint(with: [.readable, .ending])
  }
  /// The peer has ended its sending direction and all of it was delivered.
  package var hasEnded: Bool { isEndDelivered }
  /// The peer itself said that nothing more follows: by FIN, or over TLS by close_notify (RFC 8446, 6.1). False when what
  /// was read may be cut off; a body that ends with the connection is whole only if this is true.
  package internal(set) var endedCleanly = false

  /// Takes over a connected descriptor, and starts the TLS handshake if there is a session; `streamDidConnect` is told
  /// after a handshake only. On an error the descriptor stays the caller's.
  package init(_ loop: EventLoop, connected fd: Int32, tls: TLSSession? = nil) throws(SystemError) {
    self.loop = loop
    buffers = loop.buffers
    self.fd = fd
    self.tls = tls
    phase = tls == nil ? .open : .handshaking
    tls?.attach(fd)
    registration = try loop.register(fd, .stream, self)
  }

  /// Takes over a descriptor that is connecting. On an error the descriptor stays the caller's.
  package init(_ loop: EventLoop, connecting fd: Int32, tls: TLSSession? = nil) throws(SystemError) {
    self.loop = loop
    buffers = loop.buffers
    self.fd = fd
    self.tls = tls
    phase = .connecting
    tls?.attach(fd)
    registration = try loop.register(fd, .stream, self)
  }

  /// Starts TLS on a stream that has just connected, from within `streamDidConnect`, which is then told once more.
  func startTLS(_ session: TLSSession) {
    session.attach(fd)
    tls = session
    phase = .handshaking
  }

  // MARK: Reading

  package func handle(_ events: ReadyEvents) {
    if !events.isDisjoint(with: .ending) { isEndExpected = true }
    if !events.isDisjoint(with: [.readable, .readHangup, .hangup, .error]) { isReadReady = true }
    var mayWrite = events.contains(.writable)
    if let tls { mayWrite = note(events, tls) }
    if phase != .open, !open(events) { return }
    if mayWrite, isWriteBlocked {
      isWriteBlocked = false
      flush()
      if !isClosed, !hasBacklog, !hasWriteFailed { delegate?.streamDidDrain(self) }
    }
    guard isReadReady, !isClosed else { return }
    // Who waits for this turn's share gets it when the others had theirs.
    if isPaused { tellHangUp() } else if !isQueued { pump() }
  }

  /// Goes on with connecting and the handshake. False while the stream cannot be used, or no more.
  private func open(_ events: ReadyEvents) -> Bool {
    if phase == .connecting {
      guard !events.isDisjoint(with: [.writable, .hangup, .error]) else { return false }
      let error = Socket.pendingError(fd)
      if error != 0 {
        fail(.system(SystemError("connect", errno: error)))
        return false
      }
      phase = tls == nil ? .open : .handshaking
      if tls == nil { delegate?.streamDidConnect(self) }
    }
    if phase == .handshaking, !isClosed {
      guard let tls else { return false }
      switch tls.handshake() {
      case .bytes:
        phase = .open
        // Records that came with the end of the handshake are with OpenSSL already: no event tells of them.
        isReadReady = true
        delegate?.streamDidConnect(self)
      case .failed(let error): fail(error)
      case .wouldBlock, .end: break
      }
    }
    if phase != .open || isClosed { return false }
    flush()
    return !isClosed
  }

  private func tellHangUp() {
    guard isEndExpected, !isHangUpTold, !isEndDelivered, let delegate else { return }
    isHangUpTold = true
    delegate.streamDidHangUp(self)
  }

  /// Reads until the socket is empty, the delegate pauses, or the turn's share is used up.
  private func pump() {
    if isPumping || delegate == nil { return }
    isPumping = true
    if let tls { pumpRecords(tls) } else { pumpBytes() }
    isPumping = false
    if isClosed { return }
    delegate?.streamDidFinishReading(self)
    if isPaused, isReadReady, !isClosed { tellHangUp() }
  }

  private func pumpBytes() {
    var budget = EventLoop.scratchSize
    while isReadReady, !isPaused, !isClosed, !isEndDelivered, let delegate {
      if budget <= 0 { return queue() }
      if let relay {
        if let count = pass(through: relay, atMost: budget) {
          budget -= count
          continue
        }
      }
      let limit = min(Int(readLimit), budget)
      switch unsafe Socket.read(fd, into: UnsafeMutableRawBufferPointer(rebasing: loop.scratch[..<limit])) {
      case .bytes(let count):
        budget -= count
        // Data and the end can come in one edge, which is not repeated: only without an end is a short read the last.
        if count < limit, !isEndExpected { isReadReady = false }
        unsafe delegate.stream(
          self,
          didRead: Span(
            _unsafeElements: UnsafeBufferPointer(rebasing: loop.scratch.assumingMemoryBound(to: UInt8.self)[..<count])))
      case .wouldBlock:
        isReadReady = false
      case .end:
        end(cleanly: !wasReset)
      case .failed(let number):
        isReadReady = false
        fail(.system(SystemError("recv", errno: number)))
      }
    }
  }

  func end(cleanly: Bool) {
    isReadReady = false
    isEndDelivered = true
    endedCleanly = cleanly
    delegate?.streamDidEnd(self)
  }

  /// Bytes have come that were not delivered yet. A system call: for rare questions.
  package var hasUnread: Bool { !isClosed && (isReadReady || Socket.hasUnread(fd)) }

  /// Delivers nothing more until `resume`.
  package func pause() { isPaused = true }

  /// Goes on reading; what is already there is delivered in the next turn.
  package func resume() {
    guard isPaused else { return }
    isPaused = false
    if isReadReady, !isPumping { queue() }
  }

  func queue() {
    if isQueued { return }
    isQueued = true
    loop.runLater(self)
  }

  package func runAgain() {
    isQueued = false
    if !isClosed, !isPaused, isReadReady, phase == .open { pump() }
  }

  // MARK: Writing

  /// Bytes that wait to be sent.
  package var unsent: Int { (output?.count ?? 0) + (inflow?.waiting ?? 0) }

  var hasBacklog: Bool { output != nil || inflow != nil }

  /// The socket takes no more for now: `streamDidDrain` follows. Bytes that only wait for a `flush` don't count.
  package var isFull: Bool { isWriteBlocked && hasBacklog }

  /// Queues bytes; large ones are sent at once. Call `flush` when the message or the batch is complete.
  package func write(_ bytes: Span<UInt8>) {
    if isClosed || hasWriteFailed || bytes.count == 0 { return }
    if bytes.count < Self.directWrite || isWriteBlocked || phase != .open {
      ensureOutput()
      output?.append(bytes)
      return
    }
    if let tls { return writeRecords(bytes, tls) }
    unsafe bytes.withUnsafeBytes { direct in
      let waiting = output?.count ?? 0
      let outcome =
        if let output { unsafe output.withUnsafeBytes { unsafe Socket.write(fd, $0, direct) } } else {
          unsafe Socket.write(fd, direct)
        }
      guard let sent = sentCount(outcome) else { return }
      if waiting > 0 { output?.consume(min(sent, waiting)) }
      let left = max(0, sent - waiting)
      if left < direct.count {
        isWriteBlocked = true
        ensureOutput()
        unsafe output?.append(
          Span(_unsafeElements: UnsafeBufferPointer(rebasing: direct.assumingMemoryBound(to: UInt8.self)[left...])))
      } else {
        releaseOutput()
      }
    }
  }

  /// Queues what `body` writes, at most `capacity` bytes.
  @inlinable
  package func write(capacity: Int, _ body: (inout OutputSpan<UInt8>) -> Void) {
    if isClosed || hasWriteFailed { return }
    // Moved out and in: holding a second reference costs more than that.
    let buffer = output.take() ?? buffers.acquire()
    buffer.append(capacity: capacity, body)
    output = buffer
  }

  /// Sends what waits, as far as the socket takes it.
  package func flush() {
    if isWriteBlocked || phase != .open || isClosed { return }
    if let tls {
      if let output { flushRecords(output, tls) }
      return
    }
    if let inflow {
      guard drain(inflow) else { return }
      if output == nil, isShutdownWanted { return shutdownWriting() }
    }
    guard let waiting = output.take() else { return }
    while !waiting.isEmpty {
      let size = waiting.count
      let outcome = unsafe waiting.withUnsafeBytes { unsafe Socket.write(fd, $0) }
      if case .bytes(size) = outcome {
        sent &+= UInt64(size)
        break
      }
      output = waiting
      guard let sent = sentCount(outcome) else { return }
      waiting.consume(sent)
      isWriteBlocked = true
      return
    }
    buffers.release(waiting)
    if isShutdownWanted { shutdownWriting() }
  }

  /// nil when the write failed; 0 when the socket is full.
  private func sentCount(_ outcome: Socket.Outcome) -> Int? {
    switch outcome {
    case .bytes(let count):
      sent &+= UInt64(count)
      return count
    case .wouldBlock, .end: return 0
    case .failed(let number):
      failWriting(.system(SystemError("send", errno: number)))
      return nil
    }
  }

  func failWriting(_ error: StreamError) {
    hasWriteFailed = true
    // A reset is reported once, by the call that meets it. After EPIPE the peer had ended its direction before.
    if error != .system(SystemError("send", errno: EPIPE)) { wasReset = true }
    dropInflow()
    releaseOutput()
    delegate?.streamDidFailWriting(self, error)
  }

  @usableFromInline
  func ensureOutput() { if output == nil { output = buffers.acquire() } }

  func releaseOutput() {
    guard let buffer = output.take() else { return }
    buffers.release(buffer)
    if isShutdownWanted { shutdownWriting() }
  }

  // MARK: Ending

  /// Tells the peer that nothing more will be sent, once what waits was sent.
  package func shutdownWriting() {
    if isClosed { return }
    isShutdownWanted = true
    if phase != .open || isWriteBlocked { return }
    flush()
    if hasBacklog || isClosed || !isShutdownWanted { return }
    isShutdownWanted = false
    tls?.sayGoodbye()
    Socket.shutdownWriting(fd)
  }

  /// Closes at once; what waits is dropped. The delegate is let go and told nothing more.
  /// - Parameter resetting: the peer gets a reset, so that it cannot take a cut message for a whole one.
  package func close(resetting: Bool = false) {
    if isClosed { return }
    isClosed = true
    if let tls {
      // Without the close_notify a peer knows that something is missing.
      if !resetting, output == nil, phase == .open, !hasWriteFailed { tls.sayGoodbye() }
      tls.detach()
    }
    if resetting { Socket.resetOnClose(fd) }
    loop.deregister(registration)
    registration = .none
    isShutdownWanted = false
    endRelay()
    dropInflow()
    releaseOutput()
    Socket.close(fd)
    delegate = nil
  }

  private func fail(_ error: StreamError) {
    let told = delegate
    close()
    told?.streamDidFail(self, error)
  }

  /// For the parts of this type in other files.
  func fail(reading error: StreamError) {
    isReadReady = false
    fail(error)
  }
}
