// The two halves of a path's normal form: bytes percent-decoded twice, and segments resolved.

/// Percent-decodes twice in one pass, looking ahead instead of keeping the result of the first round.
struct TwiceDecoder {
  private var position = 0
  private var previous: UInt8 = 0

  /// The next decoded byte, or nil at the end.
  mutating func next(_ path: Span<UInt8>) throws(WireError) -> UInt8? {
    guard let first = try Self.once(path, at: position) else { return nil }
    var (byte, end) = first
    if byte == Byte.percent, let second = try Self.once(path, at: end) {
      if second.byte | 0x20 == 0x75 { throw WireError(.ambiguousPath) }
      if let high = second.byte.hexDigit, let third = try Self.once(path, at: second.end),
        let low = third.byte.hexDigit
      {
        byte = high << 4 | low
        end = third.end
      }
    }
    guard byte >= 0x20, byte != Byte.delete, !Self.isOverlong(previous, byte) else {
      throw WireError(.ambiguousPath)
    }
    previous = byte
    position = end
    return byte
  }

  /// One round of decoding at `position`.
  private static func once(_ path: Span<UInt8>, at position: Int) throws(WireError) -> (byte: UInt8, end: Int)? {
    guard position < path.count else { return nil }
    let byte = path[position]
    guard byte == Byte.percent, position + 1 < path.count else { return (byte, position + 1) }
    if path[position + 1] | 0x20 == 0x75 { throw WireError(.ambiguousPath) }
    guard position + 2 < path.count, let high = path[position + 1].hexDigit, let low = path[position + 2].hexDigit
    else { return (byte, position + 1) }
    return (high << 4 | low, position + 3)
  }

  /// Whether two bytes begin a UTF-8 sequence that is longer than its character needs: `%c0%ae` is a dot to decoders
  /// that do not check.
  private static func isOverlong(_ first: UInt8, _ second: UInt8) -> Bool {
    switch first {
    case 0xc0, 0xc1: second & 0xc0 == 0x80
    case 0xe0: (0x80..<0xa0).contains(second)
    case 0xf0: (0x80..<0x90).contains(second)
    default: false
    }
  }
}

/// Collects one segment after the other at the end of an output span that already ends with a slash.
struct SegmentWriter {
  /// Where the path starts in the output span.
  let start: Int
  /// Bytes of the segment at hand.
  var count = 0
  var inParameters = false

  @_lifetime(out: copy out)
  mutating func add(_ byte: UInt8, to out: inout OutputSpan<UInt8>) {
    if byte == Byte.semicolon { inParameters = true }
    if inParameters { return }
    out.append(byte)
    count += 1
  }

  /// Ends a segment. An empty one (also one that was only `.` or parameters) is merged with the slash before it, but
  /// not when it is the first of several: some servers would take the next one for a host.
  @_lifetime(out: copy out)
  mutating func end(_ out: inout OutputSpan<UInt8>, atSlash: Bool) throws(WireError) {
    let isDot = count == 1 && out.span[out.count - 1] == Byte.dot
    if count == 2, out.span[out.count - 1] == Byte.dot, out.span[out.count - 2] == Byte.dot {
      throw WireError(.ambiguousPath)
    }
    if isDot { out.removeLast(1) }
    let isEmpty = count == 0 || isDot
    if atSlash {
      if isEmpty, out.count == start + 1, !isDot { throw WireError(.ambiguousPath) }
      if !isEmpty { out.append(Byte.slash) }
    }
    count = 0
    inParameters = false
  }
}
