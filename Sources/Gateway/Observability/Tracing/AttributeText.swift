// Attributes of OTLP as JSON, for what is written rarely: texts are made of strings.

internal import HTTPWire

/// Each attribute goes behind a comma, but for the first one where there is none before.
struct AttributeText {
  private static let limit = 1024

  private(set) var bytes: [UInt8] = []
  var isFirst = false

  mutating func literal(_ text: String) { bytes += text.utf8 }

  /// The value is cut if it is very long.
  mutating func text(_ key: String, _ value: String) {
    begin(key)
    literal("{\"stringValue\":\"")
    let value = Array(value.utf8)
    bytes += [UInt8](capacity: Self.limit + AccessLogText.overhead) { out in
      var text = AccessLogText(.json, limit: Self.limit)
      text.append(value.span, into: &out)
    }
    literal("\"}}")
  }

  mutating func number(_ key: String, _ value: UInt64) {
    begin(key)
    literal("{\"intValue\":\"\(value)\"}}")
  }

  private mutating func begin(_ key: String) {
    if !isFirst { literal(",") }
    isFirst = false
    literal("{\"key\":\"\(key)\",\"value\":")
  }
}

extension OutputSpan<UInt8> {
  /// Appends nanoseconds since 1970 in decimal. All divisions are by constants, which is multiplied: there are several
  /// such times in a span, of 19 digits each.
  mutating func appendTime(_ nanoseconds: Int64) {
    let time = UInt64(max(0, nanoseconds))
    let seconds = time / 1_000_000_000
    if seconds == 0 { return appendDecimal(time) }
    if seconds < 1_000_000_000 {
      appendDecimal(seconds)
    } else {
      appendDecimal(seconds / 1_000_000_000)
      appendNine(UInt32(truncatingIfNeeded: seconds % 1_000_000_000))
    }
    appendNine(UInt32(truncatingIfNeeded: time % 1_000_000_000))
  }

  /// Nine digits.
  private mutating func appendNine(_ value: UInt32) {
    append(0x30 + UInt8(truncatingIfNeeded: value / 100_000_000))
    appendFour(value / 10_000 % 10_000)
    appendFour(value % 10_000)
  }

  private mutating func appendFour(_ value: UInt32) {
    append(0x30 + UInt8(truncatingIfNeeded: value / 1000))
    append(0x30 + UInt8(truncatingIfNeeded: value / 100 % 10))
    append(0x30 + UInt8(truncatingIfNeeded: value / 10 % 10))
    append(0x30 + UInt8(truncatingIfNeeded: value % 10))
  }
}
