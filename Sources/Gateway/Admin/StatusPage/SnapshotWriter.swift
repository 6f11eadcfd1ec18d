// Writes JSON into bytes, without an intermediate tree: the status page's snapshots have thousands of members.

internal import HTTPWire

struct SnapshotWriter {
  private(set) var bytes: [UInt8] = []
  /// Something stands before, on the same level.
  private var isFollowing = false

  mutating func object(_ name: StaticString? = nil, _ write: (inout SnapshotWriter) -> Void) {
    open("{", name)
    write(&self)
    close("}")
  }

  /// For arrays whose elements come one at a time. `close` follows.
  mutating func open(_ bracket: StaticString, _ name: StaticString? = nil) {
    separate(name)
    append(bracket)
    isFollowing = false
  }

  mutating func close(_ bracket: StaticString) {
    append(bracket)
    isFollowing = true
  }

  mutating func member(_ name: StaticString, _ value: String) {
    separate(name)
    quote(value)
  }

  mutating func member(_ name: StaticString, _ value: Bool) {
    separate(name)
    append(value ? "true" : "false")
  }

  mutating func member(_ name: StaticString, _ value: Int64) {
    separate(name)
    bytes += String(value).utf8
  }

  mutating func member(_ name: StaticString, _ value: UInt64) {
    separate(name)
    bytes += String(value).utf8
  }

  /// With three digits behind the point at most; what is no number is left out.
  mutating func member(_ name: StaticString, rounded value: Double?) {
    guard let value, value.isFinite, value.magnitude < 1e12 else { return }
    separate(name)
    let thousandths = Int64((value * 1000).rounded())
    bytes += MetricsText.seconds(thousandths * 1_000_000).utf8
  }

  /// An element of an array.
  mutating func element(_ value: String) {
    separate(nil)
    quote(value)
  }

  private mutating func separate(_ name: StaticString?) {
    if isFollowing { bytes.append(UInt8(ascii: ",")) }
    isFollowing = true
    guard let name else { return }
    bytes.append(UInt8(ascii: "\""))
    append(name)
    append("\":")
  }

  private mutating func append(_ text: StaticString) {
    let span = text.bytes
    for index in span.indices { bytes.append(span[index]) }
  }

  /// One line, and nothing that would end a script's element if somebody put it into a page.
  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case 0..<0x20, UInt8(ascii: "<"), 0x7f:
        append("\\u00")
        let digits = String(byte, radix: 16)
        if digits.utf8.count == 1 { append("0") }
        bytes += digits.utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
