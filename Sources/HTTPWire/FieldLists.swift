// Comma-separated field values (RFC 9110 §5.6.1), element by element, quoted strings respected.

/// Walks the elements of one list value. Elements come without the white space around them and may be empty.
package struct FieldListCursor: Sendable {
  private var position: Int
  private let end: Int
  private var isFinished = false
  private let respectsQuotes: Bool

  /// Starts at the first element of `value`.
  /// - Parameter quotes: false for lists of tokens, where a quote is just a wrong byte: an open one must not hide what
  ///   stands behind the next comma.
  package init(_ value: ByteRange, quotes: Bool = true) {
    respectsQuotes = quotes
    position = value.range.lowerBound
    end = value.range.upperBound
  }

  /// The next element, or nil after the last one. An empty value has one empty element.
  package mutating func next(in bytes: Span<UInt8>) -> ByteRange? {
    if isFinished { return nil }
    var start = position
    var quoted = false
    var index = position
    while index < end {
      let byte = bytes[index]
      if quoted {
        if byte == Byte.backslash {
          index += 1
        } else if byte == Byte.quote {
          quoted = false
        }
      } else if byte == Byte.quote {
        quoted = respectsQuotes
      } else if byte == Byte.comma {
        break
      }
      index += 1
    }
    var stop = min(index, end)
    if index < end { position = index + 1 } else { isFinished = true }
    while start < stop, bytes[start].isBlank { start += 1 }
    while stop > start, bytes[stop - 1].isBlank { stop -= 1 }
    return ByteRange(start: start, count: stop - start)
  }
}

/// Whether a list value has the element `token`, case ignored. A comma inside a quoted string separates nothing.
package func hasToken(_ bytes: Span<UInt8>, _ value: ByteRange, _ token: StaticString) -> Bool {
  var cursor = FieldListCursor(value)
  while let element = cursor.next(in: bytes) {
    if isEqualIgnoringCase(bytes, element, token.bytes) { return true }
  }
  return false
}
