// The Prometheus text format, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/

/// What a metric is.
enum MetricType: String { case counter, gauge, histogram }

/// Writes lines. Families must not be mixed: all samples of one stand together.
struct MetricsText {
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  private(set) var bytes: [UInt8] = []

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  mutating func header(_ name: String, _ type: MetricType, _ help: String) {
    append("# HELP ")
    append(name)
    append(" ")
    for byte in help.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): append("\\\\")
      case 0x0a: append("\\n")
      default: bytes.append(byte)
      }
    }
    append("\n# TYPE ")
    append(name)
    append(" ")
    append(type.rawValue)
    append("\n")
  }

  mutating func sample(_ name: String, _ labels: MetricLabels = MetricLabels(), _ value: UInt64) {
    begin(name, "", labels, more: nil)
    append("\(value)\n")
  }

  /// A time or a duration, as seconds.
  mutating func sample(_ name: String, _ labels: MetricLabels = MetricLabels(), seconds nanoseconds: Int64) {
    begin(name, "", labels, more: nil)
    append(Self.seconds(nanoseconds))
    append("\n")
  }

  /// - Parameters:
  ///   - bounds: nanoseconds.
  ///   - counts: not cumulative, with one more for what is above all bounds.
  ///   - sum: nanoseconds.
  mutating func histogram(_ name: String, _ labels: MetricLabels, bounds: [Int64], counts: [UInt64], sum: UInt64) {
    var total: UInt64 = 0
    for (index, count) in counts.enumerated() {
      total &+= count
      begin(name, "_bucket", labels, more: index < bounds.count ? Self.seconds(bounds[index]) : "+Inf")
      append("\(total)\n")
    }
    begin(name, "_sum", labels, more: nil)
    append(Self.seconds(Int64(clamping: sum)))
    append("\n")
    begin(name, "_count", labels, more: nil)
    append("\(total)\n")
  }

  private mutating func begin(_ name: String, _ suffix: String, _ labels: MetricLabels, more bound: String?) {
    append(name)
    append(suffix)
    if !labels.bytes.isEmpty || bound != nil {
      append("{")
      bytes += labels.bytes
      if let bound {
        if !labels.bytes.isEmpty { append(",") }
        append("le=\"\(bound)\"")
      }
      append("}")
    }
    append(" ")
  }

  private mutating func append(_ text: String) { bytes += text.utf8 }

  /// Exact, without trailing zeros: `0.0025`, `5`, `1700000000.123`.
  static func seconds(_ nanoseconds: Int64) -> String {
    let magnitude = nanoseconds.magnitude
    var text = (nanoseconds < 0 ? "-" : "") + "\(magnitude / 1_000_000_000)"
    var rest = magnitude % 1_000_000_000
    if rest == 0 { return text }
    var digits = 9
    while rest % 10 == 0 {
      rest /= 10
      digits -= 1
    }
    let fraction = "\(rest)"
    text += "." + String(repeating: "0", count: digits - fraction.utf8.count) + fraction
    return text
  }
}

/// A sample's labels, rendered.
struct MetricLabels {
  fileprivate(set) var bytes: [UInt8] = []

  init() {}

  init(_ pairs: KeyValuePairs<String, String>) {
    for (name, value) in pairs { add(name, value) }
  }

  func adding(_ name: String, _ value: String) -> MetricLabels {
    var copy = self
    copy.add(name, value)
    return copy
  }

  private mutating func add(_ name: String, _ value: String) {
    if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
    bytes += name.utf8
    bytes += "=\"".utf8
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): bytes += "\\\\".utf8
      case UInt8(ascii: "\""): bytes += "\\\"".utf8
      case 0x0a: bytes += "\\n".utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
