// Names: which of the known fields a name is, and comparing names as servers do.

extension FieldName {
  @inline(__always) private static var lowerCaseWord: UInt64 { 0x2020_2020_2020_2020 }

  /// Classifies a field name, ignoring case. `underscoreIsDash` also finds `Transfer_Encoding`, as CGI-like servers do.
  static func classify(_ bytes: Span<UInt8>, _ name: ByteRange, underscoreIsDash: Bool = false) -> FieldName {
    @inline(__always)
    func matches(_ text: StaticString) -> Bool {
      let expected = text.bytes
      let start = Int(name.start)
      if expected.count >= 8, !underscoreIsDash {
        let last = expected.count - 8
        return bytes.word(at: start) | Self.lowerCaseWord == expected.word(at: 0)
          && bytes.word(at: start + last) | Self.lowerCaseWord == expected.word(at: last)
          && (last <= 8 || bytes.word(at: start + 8) | Self.lowerCaseWord == expected.word(at: 8))
      }
      for index in 0..<expected.count {
        var byte = bytes[start + index] | 0x20
        // 0x7f is what `|` makes of an underscore.
        if underscoreIsDash, byte == 0x7f { byte = Byte.dash }
        if byte != expected[index] { return false }
      }
      return true
    }
    // Of the bytes that a token can have, only a letter's other case is mapped onto a letter, digit or dash by `| 0x20`.
    switch name.count {
    case 2: if matches("te") { return .te }
    case 3: if matches("via") { return .via }
    case 4:
      if matches("host") { return .host }
      if matches("date") { return .date }
    case 6:
      if matches("expect") { return .expect }
      if matches("server") { return .server }
    case 7:
      if matches("upgrade") { return .upgrade }
      if matches("trailer") { return .trailer }
    case 9: if matches("forwarded") { return .forwarded }
    case 10:
      if matches("connection") { return .connection }
      if matches("keep-alive") { return .keepAlive }
    case 11:
      if matches("retry-after") { return .retryAfter }
      if matches("traceparent") { return .traceparent }
    case 12:
      if matches("content-type") { return .contentType }
      if matches("x-request-id") { return .xRequestID }
      if matches("max-forwards") { return .maxForwards }
    case 13: if matches("authorization") { return .authorization }
    case 14:
      if matches("content-length") { return .contentLength }
      if matches("http2-settings") { return .http2Settings }
    case 15:
      if matches("x-forwarded-for") { return .xForwardedFor }
      if matches("x-gateway-token") { return .xGatewayToken }
    case 16:
      if matches("x-forwarded-host") { return .xForwardedHost }
      if matches("www-authenticate") { return .wwwAuthenticate }
      if matches("proxy-connection") { return .proxyConnection }
    case 17:
      if matches("transfer-encoding") { return .transferEncoding }
      if matches("x-forwarded-proto") { return .xForwardedProto }
    case 18: if matches("proxy-authenticate") { return .proxyAuthenticate }
    case 19: if matches("proxy-authorization") { return .proxyAuthorization }
    default: break
    }
    return .other
  }

  /// RFC 9110 §7.6.1 and what else describes one connection only; never forwarded, in either direction.
  package var isHopByHop: Bool {
    switch self {
    case .connection, .keepAlive, .proxyConnection, .te, .transferEncoding, .upgrade, .http2Settings,
      .proxyAuthenticate, .proxyAuthorization:
      true
    default: false
    }
  }

  /// Fields that decide where a message goes and where it ends.
  var isFramingOrRouting: Bool {
    self == .contentLength || self == .transferEncoding || self == .host
  }
}

/// Whether the field name `name` in `bytes` is `other` to any server: case ignored, `_` equal to `-`. For names that
/// the gateway strips because it puts its own on.
package func isSameFieldName(_ bytes: Span<UInt8>, _ name: ByteRange, _ other: Span<UInt8>) -> Bool {
  guard Int(name.count) == other.count else { return false }
  let start = Int(name.start)
  for index in 0..<other.count {
    var left = bytes[start + index].lowercased
    var right = other[index].lowercased
    if left == Byte.underscore { left = Byte.dash }
    if right == Byte.underscore { right = Byte.dash }
    if left != right { return false }
  }
  return true
}

/// Whether a name contains `_`. `Field.hasUnderscore` knows it already for parsed fields.
package func containsUnderscore(_ bytes: Span<UInt8>, _ name: ByteRange) -> Bool {
  for index in name.range where bytes[index] == Byte.underscore { return true }
  return false
}

/// Whether the bytes of `range` are `other` but for ASCII case.
package func isEqualIgnoringCase(_ bytes: Span<UInt8>, _ range: ByteRange, _ other: Span<UInt8>) -> Bool {
  guard Int(range.count) == other.count else { return false }
  let start = Int(range.start)
  let last = other.count - 8
  // Most peers write what we expect as we do.
  if last >= 0, last <= 8, bytes.word(at: start) == other.word(at: 0),
    bytes.word(at: start + last) == other.word(at: last)
  {
    return true
  }
  for index in 0..<other.count where bytes[start + index].lowercased != other[index].lowercased { return false }
  return true
}
