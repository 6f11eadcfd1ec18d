// The four forms of a request target (RFC 9112 §3.2), and what a valid authority is.

extension RequestHead {
  /// Splits the target into path, query and (absolute form) authority.
  mutating func splitTarget(_ bytes: Span<UInt8>) throws(WireError) {
    let start = Int(target.start)
    let end = target.range.upperBound
    authority = .empty
    query = .empty
    if bytes[start] == Byte.slash {
      splitPath(bytes, from: start, end: end)
    } else if bytes[start] == Byte.asterisk, target.count == 1, method == .options {
      path = target
    } else {
      try splitAbsoluteForm(bytes, start: start, end: end)
    }
  }

  private mutating func splitPath(_ bytes: Span<UInt8>, from start: Int, end: Int) {
    var index = start
    while index < end, bytes[index] != Byte.question { index += 1 }
    path = ByteRange(start: start, count: index - start)
    query = ByteRange(start: index, count: end - index)
  }

  /// `http://authority/path?query`. Other schemes and the authority form (CONNECT's) are not for us. An empty path is
  /// `/` (RFC 9110 §4.2.3); `path` then points at the slash before the authority, so it stays a range of the target.
  private mutating func splitAbsoluteForm(_ bytes: Span<UInt8>, start: Int, end: Int) throws(WireError) {
    guard let authorityStart = schemeEnd(bytes, start: start, end: end) else { throw WireError(.malformedTarget) }
    var index = authorityStart
    while index < end, bytes[index] != Byte.slash, bytes[index] != Byte.question { index += 1 }
    authority = ByteRange(start: authorityStart, count: index - authorityStart)
    guard Authority.isValid(bytes, authority) else { throw WireError(.malformedTarget) }
    splitPath(bytes, from: index, end: end)
    if path.isEmpty { path = ByteRange(start: authorityStart - 1, count: 1) }
  }

  private func schemeEnd(_ bytes: Span<UInt8>, start: Int, end: Int) -> Int? {
    func hasPrefix(_ text: StaticString) -> Bool {
      let expected = text.bytes
      guard end - start >= expected.count else { return false }
      for index in 0..<expected.count where bytes[start + index].lowercased != expected[index] { return false }
      return true
    }
    if hasPrefix("http://") { return start + 7 }
    if hasPrefix("https://") { return start + 8 }
    return nil
  }

  /// Host: needed in HTTP/1.1, a valid authority, and the same as an absolute target's (RFC 9112 §3.2, §3.2.2).
  mutating func settleAuthority(_ bytes: Span<UInt8>, host: ByteRange?) throws(WireError) {
    guard let host else {
      guard minorVersion == 0 else { throw WireError(.missingHost) }
      return
    }
    guard authority.isEmpty || isEqualIgnoringCase(bytes, authority, bytes.extracting(host.range)) else {
      throw WireError(.hostMismatch)
    }
    authority = host
  }
}

/// RFC 3986 §3.2 without user information: `host [ ":" port ]`.
enum Authority {
  static func isValid(_ bytes: Span<UInt8>, _ range: ByteRange) -> Bool {
    let end = range.range.upperBound
    var index = range.range.lowerBound
    guard index < end else { return false }
    if bytes[index] == Byte.openBracket {
      guard let next = literalEnd(bytes, from: index + 1, end: end) else { return false }
      index = next
    } else {
      let start = index
      while index < end, CharacterClass.hostName.contains(bytes[index]) { index += 1 }
      guard index > start else { return false }
    }
    return index == end || (bytes[index] == Byte.colon && isPort(bytes, from: index + 1, end: end))
  }

  /// The index after the closing bracket of an IPv6 address; a zone (`%eth0`) means something on one machine only.
  private static func literalEnd(_ bytes: Span<UInt8>, from start: Int, end: Int) -> Int? {
    var colons = 0
    var index = start
    while index < end, bytes[index] != Byte.closeBracket {
      let byte = bytes[index]
      if byte == Byte.colon {
        colons += 1
      } else if byte.hexDigit == nil, byte != Byte.dot {
        return nil
      }
      index += 1
    }
    // The longest: eight groups of four, or six of them and a dotted quad.
    guard index < end, (2...8).contains(colons), index - start <= 45 else { return nil }
    return index + 1
  }

  /// Digits up to 65535; none at all is a valid port too.
  private static func isPort(_ bytes: Span<UInt8>, from start: Int, end: Int) -> Bool {
    var port = 0
    for index in start..<end {
      guard let digit = bytes[index].decimalDigit else { return false }
      port = port * 10 + Int(digit)
      guard port <= 65535 else { return false }
    }
    return true
  }
}
