// Keeps the values of some query parameters out of the access log. A careless server's reading of a name counts as well
// as a strict one's: what any of them could take for the parameter is left out.
internal import HTTPWire

struct AccessLogRedaction {
  /// What stands in the place of a value.
  static let replacement: StaticString = "=REDACTED"

  /// In lower case.
  private let names: [[UInt8]]

  init(_ names: [String]) { self.names = names.map { Array($0.lowercased().utf8) } }

  /// Writes a target or a URL; the values of its query only where they may be seen.
  func append(_ bytes: Span<UInt8>, text: inout AccessLogText, into out: inout OutputSpan<UInt8>) {
    if names.isEmpty { return text.append(bytes, into: &out) }
    var start = 0
    var index = 0
    var isInQuery = false
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if byte == UInt8(ascii: "?") { isInQuery = true }
      guard isInQuery, Self.isSeparator(byte), let end = endOfName(bytes, from: index) else { continue }
      text.append(bytes.extracting(start..<end), into: &out)
      text.append(Self.replacement, into: &out)
      index = end
      while index < bytes.count, !Self.isSeparator(bytes[index]) { index += 1 }
      start = index
    }
    text.append(bytes.extracting(start..<bytes.count), into: &out)
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "?") || byte == UInt8(ascii: "&") || byte == UInt8(ascii: ";") || byte == UInt8(ascii: "#")
  }

  /// Where the parameter's name ends, if it is one whose value nobody may see and it has one.
  private func endOfName(_ bytes: Span<UInt8>, from start: Int) -> Int? {
    for index in names.indices {
      let name = names[index]
      if let end = Self.end(of: name.span, in: bytes, from: start) { return end }
    }
    return nil
  }

  /// Letters in either case and percent triplets are the same name, and `name[]` or `name[0]` belongs to it.
  private static func end(of name: Span<UInt8>, in bytes: Span<UInt8>, from start: Int) -> Int? {
    var index = start
    var matched = 0
    while index < bytes.count, !isSeparator(bytes[index]) {
      let (byte, length) = decoded(bytes, at: index)
      if matched == name.count { return byte == UInt8(ascii: "=") || byte == UInt8(ascii: "[") ? index : nil }
      let lower = byte &- 0x41 < 26 ? byte | 0x20 : byte
      if lower != name[matched] { return nil }
      matched += 1
      index += length
    }
    return nil
  }

  private static func decoded(_ bytes: Span<UInt8>, at index: Int) -> (byte: UInt8, length: Int) {
    if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = digit(bytes[index + 1]),
      let low = digit(bytes[index + 2])
    {
      return (high << 4 | low, 3)
    }
    return (bytes[index] == UInt8(ascii: "+") ? UInt8(ascii: " ") : bytes[index], 1)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    let digit = byte &- 0x30
    if digit < 10 { return digit }
    let letter = (byte | 0x20) &- 0x61
    return letter < 6 ? letter + 10 : nil
  }
}
