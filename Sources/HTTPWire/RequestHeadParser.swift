// Parses and judges a request head: everything that HTTP-RULES says of requests up to the body.

extension RequestHead {
  /// Parses the head at the start of `bytes`. Stateless: call again with more bytes from the same start after nil;
  /// `mayComplete` says whether that is worth it.
  ///
  /// Hop-by-hop fields and those that Connection names are marked dropped. Content-Length, Host, Expect and
  /// X-Gateway-Token are not, unless Connection names them; a check of the caller's token must not look at `isDropped`.
  /// - Returns: the bytes of the head (also in `count`), or nil when its end is not there yet; the properties mean
  ///   nothing then.
  /// - Throws: the first rule broken, with the status to answer. The connection must be closed after that.
  package mutating func parse(_ bytes: Span<UInt8>, limits: HeadLimits) throws(WireError) -> Int? {
    let bytes = bytes.extracting(0..<min(bytes.count, limits.bytes))
    fields.removeAll(keepingCapacity: true)
    guard let fieldStart = try parseLine(bytes, limits: limits) else {
      return try incomplete(bytes.count, limits)
    }
    try classifyMethod(bytes)
    try splitTarget(bytes)

    acceptsTrailers = false
    names = .none
    var lines = FieldLineParser(position: fieldStart, toleratesSpaceBeforeColon: false)
    var field = Field(name: .empty, value: .empty, known: .other)
    var summary = RequestFieldSummary()
    loop: while true {
      switch try lines.next(bytes, into: &field) {
      case .incomplete: return try incomplete(bytes.count, limits)
      case .end: break loop
      case .field:
        guard fields.count < limits.fields else { throw WireError(.tooManyFields, status: 431) }
        fields.append(field)
        if field.known != .other {
          names.add(field.known)
          try summary.add(bytes, field)
        }
      }
    }
    try settle(bytes, summary)
    count = lines.position
    return count
  }

  /// Whether bytes that came in since the last `parse` returned nil can have completed the head or broken a rule that
  /// was not broken before: they hold a line's end, or the limit is reached. Lets a caller that drips its head byte by
  /// byte cost no parse for each byte.
  /// - Parameter seen: how many bytes that `parse` was given.
  package static func mayComplete(_ bytes: Span<UInt8>, seen: Int, limits: HeadLimits) -> Bool {
    if bytes.count >= limits.bytes { return true }
    for index in min(seen, bytes.count)..<bytes.count where bytes[index] == Byte.lineFeed { return true }
    return false
  }

  private func incomplete(_ count: Int, _ limits: HeadLimits) throws(WireError) -> Int? {
    guard count < limits.bytes else { throw WireError(.headTooLarge, status: 431) }
    return nil
  }

  /// The rules that need the whole head. Framing comes first: a message whose end is in doubt is refused for that.
  private mutating func settle(_ bytes: Span<UInt8>, _ summary: RequestFieldSummary) throws(WireError) {
    framing = try summary.framing.resolve(minorVersion: minorVersion) ?? .none
    try settleAuthority(bytes, host: summary.host)
    keepsAlive = minorVersion >= 1
    if summary.hasConnection {
      var options = ConnectionOptions()
      for index in fields.indices where fields[index].known == .connection {
        try options.add(bytes, fields[index].value, inRequest: true, dropIn: &fields)
      }
      keepsAlive = options.persists(minorVersion: minorVersion)
    }
    if summary.hasUnknownExpectation { throw WireError(.unknownExpectation, status: 417) }
    // RFC 9110 §10.1.1 and §6.5.1: an HTTP/1.0 client knows neither interim answers nor chunked ones.
    expectsContinue = summary.expectsContinue && minorVersion >= 1
    acceptsTrailers = summary.acceptsTrailers && minorVersion >= 1
  }
}

/// What the fields of a request head say, collected line by line.
private struct RequestFieldSummary {
  var framing = MessageFraming()
  var host: ByteRange?
  var hasConnection = false
  var expectsContinue = false
  var hasUnknownExpectation = false
  var acceptsTrailers = false

  mutating func add(_ bytes: Span<UInt8>, _ field: Field) throws(WireError) {
    switch field.known {
    case .host:
      guard host == nil else { throw WireError(.repeatedHost) }
      guard Authority.isValid(bytes, field.value) else { throw WireError(.malformedHost) }
      host = field.value
    case .contentLength: try framing.addContentLength(bytes, field.value)
    case .transferEncoding: try framing.addTransferEncoding(bytes, field.value)
    case .connection: hasConnection = true
    case .te: acceptsTrailers = acceptsTrailers || hasToken(bytes, field.value, "trailers")
    case .expect: addExpectation(bytes, field.value)
    default: break
    }
  }

  /// RFC 9110 §10.1.1: a list, of which only 100-continue is known.
  private mutating func addExpectation(_ bytes: Span<UInt8>, _ value: ByteRange) {
    var cursor = FieldListCursor(value)
    while let element = cursor.next(in: bytes) {
      if isEqualIgnoringCase(bytes, element, ("100-continue" as StaticString).bytes) {
        expectsContinue = true
      } else if !element.isEmpty {
        hasUnknownExpectation = true
      }
    }
  }
}
