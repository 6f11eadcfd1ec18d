// Chunked transfer coding (RFC 9112 §7.1), decoded without copying: spans in, ranges of body bytes out.

/// What the next bytes of a chunked body are.
package enum ChunkEvent: Sendable, Equatable {
  /// Body bytes: this range of the span. Go on from its upper bound.
  case data(Range<Int>)
  /// All bytes of the span have been taken; go on with the next ones, from 0.
  case needMore
  /// The last chunk is over; the trailer section starts here (see `TrailerSection`) and may be all yet to come.
  case trailers(at: Int)
}

/// Incremental decoder; one for each message. All state is inside, so the input may be split anywhere.
package struct ChunkedDecoder: Sendable {
  private enum State: Sendable {
    case sizeStart, size, afterSize, chunkExtension, sizeLineFeed, data, dataCarriageReturn, dataLineFeed, done
  }

  /// Bytes of extensions allowed in one line, and in a message: they are of no use, and a known way to burn a server.
  private static let lineExtensionLimit = 256
  private static let messageExtensionLimit = 8192

  private var state = State.sizeStart
  private var remaining: UInt64 = 0
  private var digits = 0
  private var lineExtension = 0
  private var messageExtension = 0

  package init() {}

  /// Whether the last chunk has been seen.
  package var isDone: Bool { state == .done }

  /// Bytes left of the chunk at hand, as far as known.
  package var remainingInChunk: UInt64 { state == .data ? remaining : 0 }

  /// Takes bytes of `bytes` from `offset` on, up to the next event. After `.trailers` it returns just that.
  /// - Throws: `malformedChunkSize`, `malformedChunkEnd`, `chunkExtensionTooLong`, `bareLineFeed`. The body has no end
  ///   that could be trusted then: close.
  package mutating func next(_ bytes: Span<UInt8>, from offset: Int) throws(WireError) -> ChunkEvent {
    var index = offset
    while true {
      if state == .done { return .trailers(at: index) }
      guard index < bytes.count else { return .needMore }
      if state == .data {
        let taken = Int(min(remaining, UInt64(bytes.count - index)))
        remaining -= UInt64(taken)
        if remaining == 0 { state = .dataCarriageReturn }
        return .data(index..<index + taken)
      }
      try step(bytes[index])
      index += 1
    }
  }

  private mutating func step(_ byte: UInt8) throws(WireError) {
    switch state {
    case .sizeStart:
      guard let digit = byte.hexDigit else { throw error(byte, .malformedChunkSize) }
      remaining = UInt64(digit)
      digits = 1
      lineExtension = 0
      state = .size
    case .size:
      if let digit = byte.hexDigit {
        digits += 1
        guard digits <= 16 else { throw WireError(.malformedChunkSize) }
        // Sizes that a peer with signed numbers would misread are nobody's honest chunks.
        guard remaining < 1 << 59 else { throw WireError(.malformedChunkSize) }
        remaining = remaining << 4 | UInt64(digit)
      } else {
        try afterSize(byte)
      }
    case .afterSize: try afterSize(byte)
    case .chunkExtension:
      if byte == Byte.carriageReturn {
        state = .sizeLineFeed
      } else {
        guard !byte.isControl else { throw error(byte, .malformedChunkSize) }
        try countExtension()
      }
    case .sizeLineFeed:
      guard byte == Byte.lineFeed else { throw WireError(.malformedChunkSize) }
      state = remaining == 0 ? .done : .data
    case .dataCarriageReturn:
      guard byte == Byte.carriageReturn else { throw error(byte, .malformedChunkEnd) }
      state = .dataLineFeed
    case .dataLineFeed:
      guard byte == Byte.lineFeed else { throw WireError(.malformedChunkEnd) }
      state = .sizeStart
    case .data, .done: break
    }
  }

  /// Behind the digits: the line's end, an extension, or blanks before either (old servers pad the size with them).
  private mutating func afterSize(_ byte: UInt8) throws(WireError) {
    if byte == Byte.carriageReturn {
      state = .sizeLineFeed
    } else if byte == Byte.semicolon {
      state = .chunkExtension
      try countExtension()
    } else if byte.isBlank {
      state = .afterSize
      try countExtension()
    } else {
      throw error(byte, .malformedChunkSize)
    }
  }

  private mutating func countExtension() throws(WireError) {
    lineExtension += 1
    messageExtension += 1
    guard lineExtension <= Self.lineExtensionLimit, messageExtension <= Self.messageExtensionLimit else {
      throw WireError(.chunkExtensionTooLong)
    }
  }

  private func error(_ byte: UInt8, _ rule: WireRule) -> WireError {
    WireError(byte == Byte.lineFeed ? .bareLineFeed : rule)
  }
}
