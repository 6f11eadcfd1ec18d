// One field line at a time, for request heads, response heads and trailer sections (RFC 9112 §5).

enum FieldLine {
  /// The line's end is not among the bytes yet.
  case incomplete
  /// The empty line that ends the section.
  case end
  case field
}

/// Reads field lines from `position` on, up to `end`.
struct FieldLineParser {
  var position: Int
  let end: Int
  /// Responses: white space before the colon is removed instead of refused (RFC 9112 §5.1).
  let toleratesSpaceBeforeColon: Bool

  /// Reads the next line into `field`. On `incomplete` the position stays at the line's start.
  @inline(__always)
  mutating func next(_ bytes: Span<UInt8>, into field: inout Field) throws(WireError) -> FieldLine {
    let start = position
    let end = self.end
    guard start < end else { return .incomplete }
    var index = start
    var hasUnderscore = false
    var byte: UInt8 = 0
    while index < end {
      byte = bytes[index]
      if !CharacterClass.token.contains(byte) { break }
      hasUnderscore = hasUnderscore || byte == Byte.underscore
      index += 1
    }
    if index == end { return .incomplete }
    let name = ByteRange(start: start, count: index - start)
    if byte != Byte.colon || index == start {
      if byte == Byte.carriageReturn, index == start { return try emptyLine(bytes) }
      guard let colon = try spaceBeforeColon(bytes, after: index, start: start) else { return .incomplete }
      index = colon
    }

    index += 1
    while index < end, bytes[index].isBlank { index += 1 }
    let valueStart = index
    while index < end {
      byte = bytes[index]
      if byte.isControl { break }
      index += 1
    }
    if index == end { return .incomplete }
    guard byte == Byte.carriageReturn else {
      throw WireError(byte == Byte.lineFeed ? .bareLineFeed : .malformedFieldValue)
    }
    if index + 1 == end { return .incomplete }
    guard bytes[index + 1] == Byte.lineFeed else { throw WireError(.malformedFieldValue) }
    var valueEnd = index
    while valueEnd > valueStart, bytes[valueEnd - 1].isBlank { valueEnd -= 1 }

    position = index + 2
    field.name = name
    field.value = ByteRange(start: valueStart, count: valueEnd - valueStart)
    field.known = FieldName.classify(bytes, name)
    field.hasUnderscore = hasUnderscore
    field.isDropped = field.known.isHopByHop || (hasUnderscore && isDisguised(bytes, name))
    return .field
  }

  private mutating func emptyLine(_ bytes: Span<UInt8>) throws(WireError) -> FieldLine {
    if position + 1 == end { return .incomplete }
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
    while index < end, bytes[index].isBlank { index += 1 }
    if index == end { return nil }
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
