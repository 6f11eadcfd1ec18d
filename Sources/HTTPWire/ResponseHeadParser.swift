// Parses and judges a response head. Every error here is a 502 for the caller; the error's status means nothing.

extension ResponseHead {
  /// Parses the head at the start of `bytes`; stateless like `RequestHead.parse`. Interim (1xx) heads are returned like
  /// others, with no body.
  ///
  /// Hop-by-hop fields, those that Connection names, and the Content-Length of a 1xx or 204 response (which must not
  /// have one, RFC 9110 §8.6) are marked dropped.
  /// - Parameter isHeadRequest: whether the request's method was HEAD, whose response has no body whatever it says.
  /// - Returns: the bytes of the head (also in `count`), or nil when its end is not there yet.
  package mutating func parse(
    _ bytes: Span<UInt8>, isHeadRequest: Bool, limits: HeadLimits
  ) throws(WireError) -> Int? {
    let bytes = bytes.extracting(0..<min(bytes.count, limits.bytes))
    fields.removeAll(keepingCapacity: true)
    keepAliveTimeout = nil
    guard let fieldStart = try parseStatusLine(bytes) else {
      return try incomplete(bytes.count, limits)
    }
    var lines = FieldLineParser(position: fieldStart, toleratesSpaceBeforeColon: true)
    var field = Field(name: .empty, value: .empty, known: .other)
    var messageFraming = MessageFraming()
    var hasConnection = false
    loop: while true {
      switch try lines.next(bytes, into: &field) {
      case .incomplete: return try incomplete(bytes.count, limits)
      case .end: break loop
      case .field:
        guard fields.count < limits.fields else { throw WireError(.tooManyFields, status: 431) }
        switch field.known {
        case .contentLength:
          try messageFraming.addContentLength(bytes, field.value)
          field.isDropped = status < 200 || status == 204
        case .transferEncoding: try messageFraming.addTransferEncoding(bytes, field.value)
        case .connection: hasConnection = true
        case .keepAlive: keepAliveTimeout = keepAliveTimeout ?? timeout(bytes, field.value)
        default: break
        }
        fields.append(field)
      }
    }
    try settle(bytes, messageFraming, isHeadRequest: isHeadRequest, hasConnection: hasConnection)
    count = lines.position
    return count
  }

  private func incomplete(_ count: Int, _ limits: HeadLimits) throws(WireError) -> Int? {
    guard count < limits.bytes else { throw WireError(.headTooLarge, status: 431) }
    return nil
  }

  /// `HTTP/1.1 200 OK`; the reason may be empty, and the space before an empty one missing. Status codes are three
  /// digits from 100 on; those above 599 exist in the wild and pass.
  private mutating func parseStatusLine(_ bytes: Span<UInt8>) throws(WireError) -> Int? {
    guard let version = try HTTPVersion.parse(bytes, at: 0) else { return nil }
    minorVersion = version
    let end = bytes.count
    var index = HTTPVersion.count
    guard bytes[index] == Byte.space else { throw WireError(.malformedStatusLine) }
    index += 1
    status = 0
    for _ in 0..<3 {
      guard index < end else { return nil }
      guard let digit = bytes[index].decimalDigit else { throw statusLineError(bytes[index]) }
      status = status * 10 + UInt16(digit)
      index += 1
    }
    guard index < end else { return nil }
    guard status >= 100, bytes[index] == Byte.space || bytes[index] == Byte.carriageReturn else {
      throw statusLineError(bytes[index])
    }
    if bytes[index] == Byte.space { index += 1 }
    let reasonStart = index
    while index < end, !bytes[index].isControl { index += 1 }
    guard index < end else { return nil }
    guard bytes[index] == Byte.carriageReturn else { throw statusLineError(bytes[index]) }
    reason = ByteRange(start: reasonStart, count: index - reasonStart)
    guard index + 1 < end else { return nil }
    guard bytes[index + 1] == Byte.lineFeed else { throw WireError(.malformedStatusLine) }
    return index + 2
  }

  private func statusLineError(_ byte: UInt8) -> WireError {
    WireError(byte == Byte.lineFeed ? .bareLineFeed : .malformedStatusLine)
  }

  /// RFC 9112 §6.3 and §9.3. The framing fields are judged even where there is no body: an upstream that sends both is
  /// broken or lies.
  private mutating func settle(
    _ bytes: Span<UInt8>, _ messageFraming: MessageFraming, isHeadRequest: Bool, hasConnection: Bool
  ) throws(WireError) {
    let framed = try messageFraming.resolve(minorVersion: minorVersion)
    let hasNoBody = isHeadRequest || status < 200 || status == 204 || status == 304
    framing = hasNoBody ? .none : framed ?? .untilClose
    keepsAlive = minorVersion >= 1
    namesHopByHopFields = false
    if hasConnection {
      var options = ConnectionOptions()
      for index in fields.indices where fields[index].known == .connection {
        try options.add(bytes, fields[index].value, inRequest: false, dropIn: &fields)
      }
      keepsAlive = options.persists(minorVersion: minorVersion)
      namesHopByHopFields = options.namesFields
    }
    if framing == .untilClose { keepsAlive = false }
  }

  /// The `timeout` of a Keep-Alive field in seconds; what is not a number is no promise.
  private func timeout(_ bytes: Span<UInt8>, _ value: ByteRange) -> UInt32? {
    let name = ("timeout=" as StaticString).bytes
    var cursor = FieldListCursor(value)
    while let element = cursor.next(in: bytes) {
      guard Int(element.count) > name.count else { continue }
      let prefix = ByteRange(start: Int(element.start), count: name.count)
      guard isEqualIgnoringCase(bytes, prefix, name) else { continue }
      var seconds: UInt32 = 0
      for index in prefix.range.upperBound..<element.range.upperBound {
        guard let digit = bytes[index].decimalDigit else { return nil }
        seconds = min(seconds, (UInt32.max - 9) / 10) * 10 + UInt32(digit)
      }
      return seconds
    }
    return nil
  }
}
