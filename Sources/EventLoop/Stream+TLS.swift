// The TLS side of a stream: how records are read in batches, and how queued bytes become records.
internal import COpenSSL

extension Stream {
  /// RFC 8446, 5.1: what one record carries at most.
  private static let record = 16 * 1024
  /// Plain text that is collected before the delegate gets it.
  private static let batch = 4 * record

  /// Tells the session what the socket can do now. A key update makes one direction wait for the other.
  /// - Returns: whether writing may go on.
  func note(_ events: ReadyEvents, _ tls: TLSSession) -> Bool {
    if isReadReady { tls.noteReadable(isEnding: isEndExpected) }
    if events.contains(.writable), tls.isReadAwaitingWrite { isReadReady = true }
    return events.contains(.writable) || (isReadReady && tls.isWriteAwaitingRead)
  }

  /// Reads until OpenSSL wants more bytes and the socket has none, the delegate pauses, or the turn's share is used up.
  func pumpRecords(_ tls: TLSSession) {
    var budget = EventLoop.scratchSize
    while isReadReady, !isPaused, !isClosed, !isEndDelivered, let delegate {
      if budget <= 0 { return queue() }
      var count = 0
      var outcome = TLSSession.Outcome.wouldBlock
      batch: while count < Self.batch {
        outcome = unsafe tls.read(into: UnsafeMutableRawBufferPointer(rebasing: loop.scratch[count...]))
        guard case .bytes(let more) = outcome else { break batch }
        count += more
      }
      if case .wouldBlock = outcome { isReadReady = false }
      if count > 0 {
        // How it ended, if it did, is told by the next round: the session says it again.
        budget -= count
        unsafe delegate.stream(
          self,
          didRead: Span(
            _unsafeElements: UnsafeBufferPointer(rebasing: loop.scratch.assumingMemoryBound(to: UInt8.self)[..<count])))
        continue
      }
      switch outcome {
      case .bytes, .wouldBlock: break
      case .end(let isClean): end(cleanly: isClean)
      case .failed(let error): fail(reading: error)
      }
    }
  }

  /// One record for each 16 KiB of what waits.
  func flushRecords(_ output: ByteBuffer, _ tls: TLSSession) {
    while !output.isEmpty {
      switch unsafe output.withUnsafeBytes({ unsafe tls.write($0) }) {
      case .bytes(let count):
        sent &+= UInt64(count)
        output.consume(count)
      case .failed(let error): return failWriting(error)
      case .wouldBlock, .end:
        isWriteBlocked = true
        return
      }
    }
    releaseOutput()
  }

  /// Sends whole records from the caller's bytes; the rest waits for `flush`.
  func writeRecords(_ bytes: Span<UInt8>, _ tls: TLSSession) {
    var start = 0
    if let output {
      start = min(bytes.count, max(0, Self.record - output.count))
      output.append(bytes.extracting(..<start))
      flushRecords(output, tls)
      if hasWriteFailed || isClosed { return }
    }
    unsafe bytes.withUnsafeBytes { bytes in
      while !isWriteBlocked, bytes.count - start >= Self.record {
        switch unsafe tls.write(UnsafeRawBufferPointer(rebasing: bytes[start..<(start + Self.record)])) {
        case .bytes(let count):
          sent &+= UInt64(count)
          start += count
        case .failed(let error): return failWriting(error)
        case .wouldBlock, .end: isWriteBlocked = true
        }
      }
    }
    if start < bytes.count, !hasWriteFailed, !isClosed {
      ensureOutput()
      output?.append(bytes.extracting(start...))
    }
  }
}
