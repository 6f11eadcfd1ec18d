// Content-Length and Transfer-Encoding (RFC 9112 §6): read strictly, never guessed from one another.

/// What the framing fields of one head say, collected line by line and judged at its end.
struct MessageFraming {
  private(set) var length: UInt64?
  private(set) var hasTransferEncoding = false
  private var endsInChunked = false
  private var hasOtherCoding = false

  /// Takes a Content-Length line: digits only, once. A list is refused even if its members agree: some peers take the
  /// first member and some the last. More than `Int64.max` is refused too, so that a length fits every counter.
  mutating func addContentLength(_ bytes: Span<UInt8>, _ value: ByteRange) throws(WireError) {
    guard length == nil else { throw WireError(.repeatedContentLength) }
    guard !value.isEmpty else { throw WireError(.malformedContentLength) }
    var total: UInt64 = 0
    for index in value.range {
      guard let digit = bytes[index].decimalDigit else { throw WireError(.malformedContentLength) }
      let (product, overflow) = total.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      guard !overflow, !carry, sum <= UInt64(Int64.max) else { throw WireError(.malformedContentLength) }
      total = sum
    }
    length = total
  }

  /// Takes a Transfer-Encoding line; several lines are one list. Empty elements, quoted codings, parameters on
  /// `chunked` and anything after `chunked` are refused.
  mutating func addTransferEncoding(_ bytes: Span<UInt8>, _ value: ByteRange) throws(WireError) {
    hasTransferEncoding = true
    var cursor = FieldListCursor(value)
    while let element = cursor.next(in: bytes) {
      guard !endsInChunked else { throw WireError(.malformedTransferEncoding) }
      if isEqualIgnoringCase(bytes, element, ("chunked" as StaticString).bytes) {
        endsInChunked = true
      } else {
        try checkCoding(bytes, element)
        hasOtherCoding = true
      }
    }
  }

  /// The body's framing, or nil when neither field was there.
  func resolve(minorVersion: UInt8) throws(WireError) -> BodyFraming? {
    if hasTransferEncoding {
      guard minorVersion >= 1 else { throw WireError(.transferEncodingInHTTP10) }
      guard length == nil else { throw WireError(.lengthAndTransferEncoding) }
      guard endsInChunked else { throw WireError(.malformedTransferEncoding) }
      guard !hasOtherCoding else { throw WireError(.unsupportedTransferCoding, status: 501) }
      return .chunked
    }
    return length.map { .length($0) }
  }

  /// RFC 9112 §7: `token *( OWS ";" OWS token BWS "=" BWS ( token / quoted-string ) )`, and not `chunked` itself.
  private func checkCoding(_ bytes: Span<UInt8>, _ element: ByteRange) throws(WireError) {
    var reader = ParameterReader(position: element.range.lowerBound, end: element.range.upperBound)
    let name = reader.token(bytes)
    guard !name.isEmpty, !isEqualIgnoringCase(bytes, name, ("chunked" as StaticString).bytes) else {
      throw WireError(.malformedTransferEncoding)
    }
    while !reader.isAtEnd {
      guard reader.parameter(bytes) else { throw WireError(.malformedTransferEncoding) }
    }
  }
}

/// Reads `; name=value` parameters.
private struct ParameterReader {
  var position: Int
  let end: Int

  var isAtEnd: Bool { position == end }

  mutating func token(_ bytes: Span<UInt8>) -> ByteRange {
    let start = position
    while position < end, CharacterClass.token.contains(bytes[position]) { position += 1 }
    return ByteRange(start: start, count: position - start)
  }

  /// One parameter with the semicolon before it; false when it is malformed.
  mutating func parameter(_ bytes: Span<UInt8>) -> Bool {
    skipBlanks(bytes)
    guard take(bytes, Byte.semicolon) else { return false }
    skipBlanks(bytes)
    guard !token(bytes).isEmpty else { return false }
    skipBlanks(bytes)
    guard take(bytes, Byte.equals) else { return false }
    skipBlanks(bytes)
    return take(bytes, Byte.quote) ? quotedRest(bytes) : !token(bytes).isEmpty
  }

  private mutating func skipBlanks(_ bytes: Span<UInt8>) {
    while position < end, bytes[position].isBlank { position += 1 }
  }

  private mutating func take(_ bytes: Span<UInt8>, _ byte: UInt8) -> Bool {
    guard position < end, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  private mutating func quotedRest(_ bytes: Span<UInt8>) -> Bool {
    while position < end {
      let byte = bytes[position]
      position += byte == Byte.backslash ? 2 : 1
      if byte == Byte.quote { return true }
    }
    position = end
    return false
  }
}
