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
