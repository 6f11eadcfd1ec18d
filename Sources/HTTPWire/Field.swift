// A header or trailer field as offsets over the bytes that it was parsed from. Nothing here owns bytes:
// a field table and its bytes travel together (see `RequestHead`, `ResponseHead`).

/// A run of bytes, counted from the start of the message head that it belongs to.
package struct ByteRange: Sendable, Equatable {
  package var start: UInt32
  package var count: UInt32

  @inlinable
  package init(start: Int, count: Int) {
    self.start = UInt32(truncatingIfNeeded: start)
    self.count = UInt32(truncatingIfNeeded: count)
  }

  @inlinable package static var empty: ByteRange { ByteRange(start: 0, count: 0) }
  @inlinable package var isEmpty: Bool { count == 0 }
  @inlinable package var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
}

/// The field names that the gateway acts upon; all others are `other` and pass through.
package enum FieldName: UInt8, Sendable {
  case other
  case host, contentLength, transferEncoding, connection, keepAlive, proxyConnection, te, trailer, upgrade
  case http2Settings, proxyAuthenticate, proxyAuthorization, authorization, expect, via
  case xForwardedFor, xForwardedProto, xForwardedHost, forwarded, xRequestID, maxForwards
  case wwwAuthenticate, date, server, retryAfter, xGatewayToken, contentType, traceparent
}

/// One field line.
package struct Field: Sendable {
  package var name: ByteRange
  /// Without the optional white space around it.
  package var value: ByteRange
  package var known: FieldName
  /// Set by the hop-by-hop rules and by stripping: a dropped field is not forwarded.
  package var isDropped: Bool
  /// Whether the name contains `_`, which many servers cannot tell from `-`.
  package var hasUnderscore: Bool

  package init(
    name: ByteRange, value: ByteRange, known: FieldName, isDropped: Bool = false, hasUnderscore: Bool = false
  ) {
    self.name = name
    self.value = value
    self.known = known
    self.isDropped = isDropped
    self.hasUnderscore = hasUnderscore
  }
}
