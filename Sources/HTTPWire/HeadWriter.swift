// Writes heads into an output span whose room the caller has reserved with the capacities below.

/// A set of known field names, to be left out when fields are written.
package struct FieldNameSet: OptionSet, Sendable {
  package let rawValue: UInt64

  @inlinable
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The set of just `name`.
  @inlinable
  package init(_ name: FieldName) { self.init(rawValue: 1 &<< UInt64(name.rawValue)) }

  @inlinable
  package func contains(_ name: FieldName) -> Bool { (rawValue &>> UInt64(name.rawValue)) & 1 != 0 }

  /// In place of the generic one.
  @inlinable
  package func isDisjoint(with other: FieldNameSet) -> Bool { rawValue & other.rawValue == 0 }

  /// Adds one name. In place of `insert`, which is generic code in another module for its callers.
  @inlinable
  package mutating func add(_ name: FieldName) { self = FieldNameSet(rawValue: rawValue | 1 &<< UInt64(name.rawValue)) }

  /// Nothing. In place of `[]`, which is made by generic code at run time.
  @inlinable
  package static var none: FieldNameSet { FieldNameSet(rawValue: 0) }
}

package enum HeadWriter {
  /// Most bytes that `writeFields` writes for `fields`, whatever it leaves out.
  package static func capacity(of fields: [Field]) -> Int {
    var total = 0
    for field in fields { total += Int(field.name.count) + Int(field.value.count) + 4 }
    return total
  }

  /// Bytes of one field line.
  package static func capacity(name: Int, value: Int) -> Int { name + value + 4 }

  /// Bytes of a request line.
  package static func capacity(method: Int, target: Int) -> Int { method + target + 12 }

  /// Bytes of a status line.
  package static func capacity(reason: Int) -> Int { reason + 15 }

  /// `GET /path HTTP/1.1`, with its line end.
  package static func writeRequestLine(
    method: Span<UInt8>, target: Span<UInt8>, into out: inout OutputSpan<UInt8>
  ) {
    out.append(copying: method)
    out.append(Byte.space)
    out.append(copying: target)
    out.append(" HTTP/1.1\r\n" as StaticString)
  }

  /// The same with the target in two parts, since a rewritten path and its query need not lie side by side.
  package static func writeRequestLine(
    method: Span<UInt8>, path: Span<UInt8>, query: Span<UInt8>, into out: inout OutputSpan<UInt8>
  ) {
    out.append(copying: method)
    out.append(Byte.space)
    out.append(copying: path)
    out.append(copying: query)
    out.append(" HTTP/1.1\r\n" as StaticString)
  }

  /// `HTTP/1.1 200 OK`, with its line end. `status` has three digits.
  package static func writeStatusLine(
    _ status: UInt16, reason: Span<UInt8>, into out: inout OutputSpan<UInt8>
  ) {
    out.append("HTTP/1.1 " as StaticString)
    out.append(0x30 + UInt8(truncatingIfNeeded: status / 100 % 10))
    out.append(0x30 + UInt8(truncatingIfNeeded: status / 10 % 10))
    out.append(0x30 + UInt8(truncatingIfNeeded: status % 10))
    out.append(Byte.space)
    out.append(copying: reason)
    out.append("\r\n" as StaticString)
  }

  /// Writes the fields that are neither dropped nor in `skipped`, in their order, as `name: value` lines. Neighbours
  /// that already look like that in `bytes` are copied in one go.
  package static func writeFields(
    _ fields: [Field], of bytes: Span<UInt8>, skipping skipped: FieldNameSet = .none,
    into out: inout OutputSpan<UInt8>
  ) {
    var run = 0..<0
    for field in fields where !field.isDropped && !skipped.contains(field.known) {
      let name = field.name.range
      let value = field.value.range
      guard isCanonical(bytes, name: name, value: value) else {
        out.append(copying: bytes.extracting(run))
        run = 0..<0
        writeField(name: bytes.extracting(name), value: bytes.extracting(value), into: &out)
        continue
      }
      if run.upperBound == name.lowerBound {
        run = run.lowerBound..<value.upperBound + 2
      } else {
        out.append(copying: bytes.extracting(run))
        run = name.lowerBound..<value.upperBound + 2
      }
    }
    out.append(copying: bytes.extracting(run))
  }

  /// Whether the line stands in `bytes` exactly as it would be written. Of the two bytes between name and value one is
  /// the colon, so if the second is a space, the first is it.
  @inline(__always)
  private static func isCanonical(_ bytes: Span<UInt8>, name: Range<Int>, value: Range<Int>) -> Bool {
    let end = value.upperBound
    return value.lowerBound == name.upperBound + 2 && bytes[name.upperBound + 1] == Byte.space
      && end + 1 < bytes.count && bytes[end] == Byte.carriageReturn && bytes[end + 1] == Byte.lineFeed
  }

  /// One field line with a name of our own.
  package static func writeField(
    name: StaticString, value: Span<UInt8>, into out: inout OutputSpan<UInt8>
  ) {
    writeField(name: name.bytes, value: value, into: &out)
  }

  /// One field line.
  package static func writeField(
    name: Span<UInt8>, value: Span<UInt8>, into out: inout OutputSpan<UInt8>
  ) {
    out.append(copying: name)
    out.append(": " as StaticString)
    out.append(copying: value)
    out.append("\r\n" as StaticString)
  }

  /// `Content-Length: N`; at most 38 bytes.
  package static func writeContentLength(_ length: UInt64, into out: inout OutputSpan<UInt8>) {
    out.append("Content-Length: " as StaticString)
    out.appendDecimal(length)
    out.append("\r\n" as StaticString)
  }

  /// Room that `writeContentLength` needs at most.
  package static let contentLengthCapacity = 38
  /// The field that announces a chunked body.
  package static let chunkedField: StaticString = "Transfer-Encoding: chunked\r\n"
  /// The empty line.
  package static let headEnd: StaticString = "\r\n"
}
