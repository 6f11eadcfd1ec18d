// One field line at a time, for request heads, response heads and trailer sections (RFC 9112 §5).

enum FieldLine {
  /// The line's end is not among the bytes yet.
  case incomplete
  /// The empty line that ends the section.
  case end
  case field
}

/// Reads field lines from `position` on, up to the end of the span, which the caller has cut to its limit: loops that
/// run to `bytes.count` need no other bounds check.
struct FieldLineParser {
  var position: Int
  /// Responses: white space before the colon is removed instead of refused (RFC 9112 §5.1).
  let toleratesSpaceBeforeColon: Bool

  /// Reads the next line into `field`. On `incomplete` the position stays at the line's start.
  @inline(__always)
  mutating func next(_ bytes: Span<UInt8>, into field: inout Field) throws(WireError) -> FieldLine {
    let start = position
    let count = bytes.count
    guard start < count else { return .incomplete }
    var index = plainNameEnd(bytes, from: start)
    var hasUnderscore = false
    var byte: UInt8 = 0
    while index < count {
      byte = bytes[index]
      if !CharacterClass.token.contains(byte) { break }
      hasUnderscore = hasUnderscore || byte == Byte.underscore
      index += 1
    }
    if index == count { return .incomplete }
    let name = ByteRange(start: start, count: index - start)
    if byte != Byte.colon || index == start {
      if byte == Byte.carriageReturn, index == start { return try emptyLine(bytes) }
      guard let colon = try spaceBeforeColon(bytes, after: index, start: start) else { return .incomplete }
      index = colon
    }

    index += 1
    while index < count, bytes[index].isBlank { index += 1 }
    let valueStart = index
    index = valueEnd(bytes, from: index)
    if index == count { return .incomplete }
    byte = bytes[index]
    guard byte == Byte.carriageReturn else {
      throw WireError(byte == Byte.lineFeed ? .bareLineFeed : .malformedFieldValue)
    }
    if index + 1 == count { return .incomplete }
    guard bytes[index + 1] == Byte.lineFeed else { throw WireError(.malformedFieldValue) }
    var end = index
    while end > valueStart, bytes[end - 1].isBlank { end -= 1 }

    position = index + 2
    field.name = name
    field.value = ByteRange(start: valueStart, count: end - valueStart)
    field.known = FieldName.classify(bytes, name)
    field.hasUnderscore = hasUnderscore
    field.isDropped = field.known.isHopByHop || (hasUnderscore && isDisguised(bytes, name))
    return .field
  }

  /// How far letters and dashes go, of which most names are made: eight bytes at a time, as long as eight are there.
  @inline(__always)
  private func plainNameEnd(_ bytes: Span<UInt8>, from start: Int) -> Int {
    let count = bytes.count
    var index = start
    while index &+ 8 <= count {
      let word = bytes.word(at: index)
      // The high bit of each byte says whether it is a letter, or a dash. Bytes from 0x80 on are masked out, so that no
      // addition carries into the next byte.
      let low = word & 0x7f7f_7f7f_7f7f_7f7f
      let lower = low | 0x2020_2020_2020_2020
      let letters = (lower &+ 0x1f1f_1f1f_1f1f_1f1f) & ~(lower &+ 0x0505_0505_0505_0505)
      let dashes = ~((low ^ 0x2d2d_2d2d_2d2d_2d2d) &+ 0x7f7f_7f7f_7f7f_7f7f)
      let others = ~((letters | dashes) & ~word) & 0x8080_8080_8080_8080
      if others != 0 { return index &+ others.trailingZeroBitCount &>> 3 }
      index &+= 8
    }
    return index
  }

  /// Where the first byte is that may not stand in a value, or the end of the bytes. Values are most of a head, so they
  /// are scanned eight bytes at a time.
  @inline(__always)
  private func valueEnd(_ bytes: Span<UInt8>, from start: Int) -> Int {
    let count = bytes.count
    var index = start
    while index &+ 8 <= count {
      let word = bytes.word(at: index)
      // The high bit of each byte: set in bytes from 0x80 on, made by + 1 out of 0x7f, and by - 0x20 out of controls.
      // A carry or borrow runs upwards only, so the lowest bit that is set belongs to a byte that is meant.
      let marks =
        (word | (word &+ 0x0101_0101_0101_0101) | (word &- 0x2020_2020_2020_2020)) & 0x8080_8080_8080_8080
      if marks == 0 {
        index &+= 8
        continue
      }
      index &+= marks.trailingZeroBitCount &>> 3
      if bytes[index].isControl { return index }
      index &+= 1
    }
    while index < count, !bytes[index].isControl { index &+= 1 }
    return index
  }

  private mutating func emptyLine(_ bytes: Span<UInt8>) throws(WireError) -> FieldLine {
    if position + 1 == bytes.count { return .incomplete }
    guard bytes[position + 1] == Byte.lineFeed else { throw WireError(.malformedFieldName) }
    position += 2
    return .end
  }

  /// What stands where a colon should: an error, or (responses only) blanks before the colon, whose index is returned.
  @inline(never)
  private func spaceBeforeColon(_ bytes: Span<UInt8>, after first: Int, start: Int) throws(WireError) -> Int? {
    let byte = bytes[first]
    if byte == Byte.lineFeed { throw WireError(.bareLineFeed) }
    guard byte.isBlank else { throw WireError(.malformedFieldName) }
    if first == start { throw WireError(.lineFolding) }
    guard toleratesSpaceBeforeColon else { throw WireError(.spaceBeforeColon) }
    var index = first
    while index < bytes.count, bytes[index].isBlank { index += 1 }
    if index == bytes.count { return nil }
    guard bytes[index] == Byte.colon else {
      throw WireError(bytes[index] == Byte.lineFeed ? .bareLineFeed : .malformedFieldName)
    }
    return index
  }

  /// `Transfer_Encoding` and its like: never forwarded, whatever the configuration says of underscores, since servers
  /// that map both spellings to one variable would frame or route by it.
  @inline(never)
  private func isDisguised(_ bytes: Span<UInt8>, _ name: ByteRange) -> Bool {
    let twin = FieldName.classify(bytes, name, underscoreIsDash: true)
    return twin.isHopByHop || twin.isFramingOrRouting
  }
}
