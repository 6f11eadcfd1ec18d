// The request line (RFC 9112 §3): method, target as bytes, version. What the target means is in RequestTarget.swift.

extension RequestHead {
  /// Reads the request line; returns where the fields start, or nil when its end is not there yet.
  mutating func parseLine(_ bytes: Span<UInt8>, limits: HeadLimits) throws(WireError) -> Int? {
    let end = bytes.count
    guard let start = try skipEmptyLine(bytes) else { return nil }
    var index = start
    while index < end, CharacterClass.token.contains(bytes[index]) { index += 1 }
    if index == end { return nil }
    guard bytes[index] == Byte.space, index > start else { throw lineError(bytes[index], .malformedRequestLine) }
    methodRange = ByteRange(start: start, count: index - start)

    index += 1
    let targetStart = index
    let targetEnd = targetStart + min(end - targetStart, limits.target)
    while index < targetEnd, CharacterClass.target.contains(bytes[index]) { index += 1 }
    if index == end {
      // A target that fills the rest of the largest head is too long by itself.
      guard end < limits.bytes else { throw WireError(.targetTooLong, status: 414) }
      return nil
    }
    if index == targetEnd, CharacterClass.target.contains(bytes[index]) {
      throw WireError(.targetTooLong, status: 414)
    }
    guard bytes[index] == Byte.space else {
      // `GET /` and no version: HTTP/0.9.
      throw lineError(bytes[index], bytes[index] == Byte.carriageReturn ? .malformedRequestLine : .malformedTarget)
    }
    guard index > targetStart else { throw WireError(.malformedRequestLine) }
    target = ByteRange(start: targetStart, count: index - targetStart)

    guard let version = try HTTPVersion.parse(bytes, at: index + 1) else { return nil }
    minorVersion = version
    let afterVersion = index + 1 + HTTPVersion.count
    guard bytes[afterVersion] == Byte.carriageReturn else { throw lineError(bytes[afterVersion], .malformedVersion) }
    guard afterVersion + 1 < end else { return nil }
    guard bytes[afterVersion + 1] == Byte.lineFeed else { throw WireError(.malformedRequestLine) }
    return afterVersion + 2
  }

  /// RFC 9112 §2.2: one empty line before the request line is forgiven.
  private func skipEmptyLine(_ bytes: Span<UInt8>) throws(WireError) -> Int? {
    guard bytes.count > 0 else { return nil }
    if bytes[0] == Byte.lineFeed { throw WireError(.bareLineFeed) }
    guard bytes[0] == Byte.carriageReturn else { return 0 }
    guard bytes.count > 1 else { return nil }
    guard bytes[1] == Byte.lineFeed else { throw WireError(.malformedRequestLine) }
    return 2
  }

  private func lineError(_ byte: UInt8, _ rule: WireRule) -> WireError {
    WireError(byte == Byte.lineFeed ? .bareLineFeed : rule)
  }

  /// Tells the methods apart. CONNECT and TRACE are refused in any case of their letters: an upstream that ignores
  /// case must not be made to trace or to tunnel.
  mutating func classifyMethod(_ bytes: Span<UInt8>) throws(WireError) {
    func matches(_ text: StaticString) -> Bool {
      let expected = text.bytes
      let start = Int(methodRange.start)
      for index in 0..<expected.count where bytes[start + index] != expected[index] { return false }
      return true
    }
    method = .other
    switch methodRange.count {
    case 3: method = matches("GET") ? .get : matches("PUT") ? .put : .other
    case 4: method = matches("POST") ? .post : matches("HEAD") ? .head : .other
    case 5:
      method = matches("PATCH") ? .patch : .other
      try refuse(bytes, "TRACE")
    case 6: method = matches("DELETE") ? .delete : .other
    case 7:
      method = matches("OPTIONS") ? .options : .other
      try refuse(bytes, "CONNECT")
    default: break
    }
  }

  private func refuse(_ bytes: Span<UInt8>, _ name: StaticString) throws(WireError) {
    if isEqualIgnoringCase(bytes, methodRange, name.bytes) { throw WireError(.methodNotAllowed, status: 405) }
  }
}

/// `HTTP/1.1`, case-sensitive, one digit each.
enum HTTPVersion {
  static let count = 8

  /// The minor version (0 or 1; a higher one is read as 1, RFC 9110 §2.5), or nil when the eight bytes and the one
  /// behind them are not all there. The first byte that is wrong is an error at once. Major versions but 1: 505.
  static func parse(_ bytes: Span<UInt8>, at start: Int) throws(WireError) -> UInt8? {
    let prefix = ("HTTP/" as StaticString).bytes
    let end = bytes.count
    if start + count < end, bytes[start + count] == Byte.carriageReturn || bytes[start + count] == Byte.space {
      // "HTTP/1.1" as a word: nearly all there is.
      if bytes.word(at: start) == 0x312e_312f_5054_5448 { return 1 }
    }
    let available = min(end - start, count)
    for offset in 0..<available {
      let byte = bytes[start + offset]
      let isRight =
        switch offset {
        case 5, 7: byte.decimalDigit != nil
        case 6: byte == Byte.dot
        default: byte == prefix[offset]
        }
      guard isRight else { throw WireError(byte == Byte.lineFeed ? .bareLineFeed : .malformedVersion) }
    }
    guard available == count else { return nil }
    // Judged only with the byte after it, so that `HTTP/2.0x` is malformed, not unsupported.
    guard start + count < end else { return nil }
    let next = bytes[start + count]
    guard next == Byte.carriageReturn || next == Byte.space else {
      throw WireError(next == Byte.lineFeed ? .bareLineFeed : .malformedVersion)
    }
    guard bytes[start + 5] == 0x31 else { throw WireError(.unsupportedVersion, status: 505) }
    return min(bytes[start + 7] - 0x30, 1)
  }
}
