// A byte stream over a socket: the reading rules, the fairness budget and the write queue of one connection.
internal import CLinux
internal import Glibc

/// What is told about a stream, on its loop. Calls never nest into one stream's own read loop.
package protocol StreamDelegate: AnyObject {
  /// An outgoing stream can be used.
  func streamDidConnect(_ stream: Stream)
  /// Bytes came. What is not taken now must be kept: they are gone after the call.
  func stream(_ stream: Stream, didRead bytes: Span<UInt8>)
  /// No more bytes for now: the moment to flush what they led to.
  func streamDidFinishReading(_ stream: Stream)
  /// The peer ended its sending direction; all that it sent was delivered.
  func streamDidEnd(_ stream: Stream)
  /// The peer hung up while reading is paused.
  func streamDidHangUp(_ stream: Stream)
  /// Everything that waited to be sent was sent.
  func streamDidDrain(_ stream: Stream)
  /// Sending failed. Reading goes on: an answer may still be there.
  func streamDidFailWriting(_ stream: Stream, _ error: SystemError)
  /// The stream cannot be used any more. Not told after `close`.
  func streamDidFail(_ stream: Stream, _ error: SystemError)
}

/// One socket, non-blocking, registered once for both directions. Confined to its loop; owns its descriptor.
@safe
package final class Stream: EventHandler, Runnable {
  /// Writes from here on go to the socket directly instead of being gathered.
  private static let directWrite = 16 * 1024

  package let loop: EventLoop
  package let fd: Int32
  /// Kept strongly until `close`: the stream and its user hold each other while the connection lives.
  package var delegate: (any StreamDelegate)?
  private var registration: EventLoop.Registration?
  private var output: ByteBuffer?

  private var isConnecting: Bool
  private var isReadReady = false
  private var isEndExpected = false
  private var isEndDelivered = false
  private var isPumping = false
  private var isQueued = false
  private var isWriteBlocked = false
  package private(set) var hasWriteFailed = false
  /// Bytes that the socket has taken.
  package private(set) var sent: UInt64 = 0
  package private(set) var isClosed = false
  package private(set) var isPaused = false
  /// The peer has ended its sending direction and all of it was delivered.
  package var hasEnded: Bool { isEndDelivered }

  /// Takes over a connected descriptor.
  package init(_ loop: EventLoop, connected fd: Int32) throws(SystemError) {
    self.loop = loop
    self.fd = fd
    isConnecting = false
    registration = try loop.register(fd, .stream, self)
  }

  /// Takes over a descriptor that is connecting.
  init(_ loop: EventLoop, connecting fd: Int32) throws(SystemError) {
    self.loop = loop
    self.fd = fd
    isConnecting = true
    registration = try loop.register(fd, .stream, self)
  }

  // MARK: Reading

  package func handle(_ events: ReadyEvents) {
    if isConnecting {
      guard !events.isDisjoint(with: [.writable, .hangup, .error]) else { return }
      let error = Socket.pendingError(fd)
      if error != 0 { return fail(SystemError("connect", errno: error)) }
      isConnecting = false
      delegate?.streamDidConnect(self)
      if isClosed { return }
    }
    if !events.isDisjoint(with: .ending) { isEndExpected = true }
    if !events.isDisjoint(with: [.readable, .readHangup, .hangup, .error]) { isReadReady = true }
    if events.contains(.writable), isWriteBlocked {
      isWriteBlocked = false
      flush()
      if !isClosed, output == nil, !hasWriteFailed { delegate?.streamDidDrain(self) }
    }
    guard isReadReady, !isClosed else { return }
    if !isPaused {
      pump()
    } else if isEndExpected {
      delegate?.streamDidHangUp(self)
    }
  }

  /// Reads until the socket is empty, the delegate pauses, or the turn's share is used up.
  private func pump() {
    if isPumping { return }
    isPumping = true
    var budget = EventLoop.scratchSize
    while isReadReady, !isPaused, !isClosed, !isEndDelivered {
      if budget <= 0 {
        queue()
        break
      }
      switch unsafe Socket.read(fd, into: loop.scratch) {
      case .bytes(let count):
        budget -= count
        // Data and the end can come in one edge, which is not repeated: only without an end is a short read the last.
        if count < EventLoop.scratchSize, !isEndExpected { isReadReady = false }
        unsafe delegate?.stream(
          self,
          didRead: Span(
            _unsafeElements: UnsafeBufferPointer(rebasing: loop.scratch.assumingMemoryBound(to: UInt8.self)[..<count])))
      case .wouldBlock:
        isReadReady = false
      case .end:
        isReadReady = false
        isEndDelivered = true
        delegate?.streamDidEnd(self)
      case .failed(let number):
        isReadReady = false
        fail(SystemError("recv", errno: number))
      }
    }
    isPumping = false
    if !isClosed { delegate?.streamDidFinishReading(self) }
  }

  /// Delivers nothing more until `resume`.
  package func pause() { isPaused = true }

  /// Goes on reading; what is already there is delivered in the next turn.
  package func resume() {
    guard isPaused else { return }
    isPaused = false
    if isReadReady, !isPumping { queue() }
  }

  private func queue() {
    if isQueued { return }
    isQueued = true
    loop.runLater(self)
  }

  package func runAgain() {
    isQueued = false
    if !isClosed, !isPaused, isReadReady { pump() }
  }

  // MARK: Writing

  /// Bytes that wait to be sent.
  package var unsent: Int { output?.count ?? 0 }

  /// Queues bytes; large ones are sent at once. Call `flush` when the message or the batch is complete.
  package func write(_ bytes: Span<UInt8>) {
    if isClosed || hasWriteFailed || bytes.count == 0 { return }
    if bytes.count < Self.directWrite || isWriteBlocked || isConnecting {
      queuedOutput().append(bytes)
      return
    }
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
        unsafe queuedOutput().append(
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
    queuedOutput().append(capacity: capacity, body)
  }

  /// Sends what waits, as far as the socket takes it.
  package func flush() {
    guard let output, !isWriteBlocked, !isConnecting, !isClosed else { return }
    while !output.isEmpty {
      let size = output.count
      guard let sent = unsafe sentCount(output.withUnsafeBytes { unsafe Socket.write(fd, $0) }) else { return }
      output.consume(sent)
      if sent < size {
        isWriteBlocked = true
        return
      }
    }
    releaseOutput()
  }

  /// nil when the write failed; 0 when the socket is full.
  private func sentCount(_ outcome: Socket.Outcome) -> Int? {
    switch outcome {
    case .bytes(let count):
      sent &+= UInt64(count)
      return count
    case .wouldBlock, .end: return 0
    case .failed(let number):
      hasWriteFailed = true
      releaseOutput()
      delegate?.streamDidFailWriting(self, SystemError("send", errno: number))
      return nil
    }
  }

  @usableFromInline
  func queuedOutput() -> ByteBuffer {
    if let output { return output }
    let buffer = loop.buffers.acquire()
    output = buffer
    return buffer
  }

  private func releaseOutput() {
    guard let buffer = output else { return }
    output = nil
    loop.buffers.release(buffer)
  }

  // MARK: Ending

  /// Tells the peer that nothing more will be sent.
  package func shutdownWriting() { if !isClosed { Socket.shutdownWriting(fd) } }

  /// Closes at once; what waits is dropped. The delegate is let go and told nothing more.
  /// - Parameter resetting: the peer gets a reset, so that it cannot take a cut message for a whole one.
  package func close(resetting: Bool = false) {
    if isClosed { return }
    isClosed = true
    if resetting { Socket.resetOnClose(fd) }
    if let registration { loop.deregister(registration) }
    registration = nil
    releaseOutput()
    Socket.close(fd)
    delegate = nil
  }

  private func fail(_ error: SystemError) {
    let told = delegate
    close()
    told?.streamDidFail(self, error)
  }
}
