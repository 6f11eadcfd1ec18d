// The trailer section behind a chunked body (RFC 9110 §6.5, RFC 9112 §7.1.2).

/// The offsets of one trailer section; reused like `RequestHead`. Ranges count from the first byte given to `parse`.
package struct TrailerSection: Sendable {
  package var fields: [Field] = []
  /// Bytes of the section, the empty line included.
  package var count = 0

  package init() {}

  /// Parses the section at the start of `bytes`, which begins where `ChunkEvent.trailers` says; stateless like
  /// `RequestHead.parse`. Fields that mean nothing or harm behind the body are marked dropped.
  /// - Returns: the bytes of the section (also in `count`), or nil when the empty line is not there yet.
  /// - Throws: `malformedTrailer` (400), `headTooLarge` or `tooManyFields` (431).
  package mutating func parse(_ bytes: Span<UInt8>, limits: HeadLimits) throws(WireError) -> Int? {
    fields.removeAll(keepingCapacity: true)
    let bytes = bytes.extracting(0..<min(bytes.count, limits.bytes))
    var lines = FieldLineParser(position: 0, toleratesSpaceBeforeColon: false)
    var field = Field(name: .empty, value: .empty, known: .other)
    while true {
      switch try nextLine(&lines, bytes, into: &field) {
      case .incomplete:
        guard bytes.count < limits.bytes else { throw WireError(.headTooLarge, status: 431) }
        return nil
      case .end:
        count = lines.position
        return count
      case .field:
        guard fields.count < limits.fields else { throw WireError(.tooManyFields, status: 431) }
        field.isDropped = field.isDropped || Self.isForbidden(bytes, field)
        fields.append(field)
      }
    }
  }

  /// The section's rule says where the fault is, which helps a reader of the log more than the line's own.
  private func nextLine(
    _ lines: inout FieldLineParser, _ bytes: Span<UInt8>, into field: inout Field
  ) throws(WireError) -> FieldLine {
    do { return try lines.next(bytes, into: &field) } catch { throw WireError(.malformedTrailer) }
  }

  /// RFC 9110 §6.5.1: framing, routing, request modifiers, authentication, response control data, content format. Also
  /// what proxies act upon. Names are compared with `_` equal to `-`.
  private static func isForbidden(_ bytes: Span<UInt8>, _ field: Field) -> Bool {
    switch FieldName.classify(bytes, field.name, underscoreIsDash: true) {
    case .other, .server: break
    default: return true
    }
    func matches(_ name: StaticString) -> Bool { isSameFieldName(bytes, field.name, name.bytes) }
    switch field.name.count {
    case 3: return matches("age")
    case 4: return matches("vary")
    case 5: return matches("range")
    case 6: return matches("cookie") || matches("pragma")
    case 7: return matches("expires") || matches("warning")
    case 8: return matches("if-match") || matches("if-range") || matches("location")
    case 9: return matches("x-real-ip")
    case 10: return matches("set-cookie")
    case 13: return matches("if-none-match") || matches("content-range") || matches("cache-control")
    case 16: return matches("content-encoding") || matches("content-location")
    case 17: return matches("if-modified-since")
    case 19: return matches("if-unmodified-since") || matches("authentication-info")
    case 25: return matches("proxy-authentication-info")
    default: return false
    }
  }
}
