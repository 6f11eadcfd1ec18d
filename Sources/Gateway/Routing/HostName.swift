// Hosts as `Host` fields and the configuration write them, reduced to what is compared.

/// The comparable part of an authority: lower case, no port, no dot at the end; IPv6 in brackets.
package enum HostName {
  /// The host within an authority (`example.com:8080`, `[::1]:80`, `Example.COM.`), as a range of it. The bytes are
  /// not changed: compare without regard to case.
  package static func range(in authority: Span<UInt8>) -> Range<Int> {
    var end = authority.count
    if end > 0, authority[0] == UInt8(ascii: "[") {
      var index = 1
      while index < end {
        if authority[index] == UInt8(ascii: "]") { return 0..<index + 1 }
        index += 1
      }
      return 0..<end
    }
    var index = 0
    while index < end {
      if authority[index] == UInt8(ascii: ":") { end = index }
      index += 1
    }
    if end > 1, authority[end - 1] == UInt8(ascii: ".") { end -= 1 }
    return 0..<end
  }

  /// A host of the configuration as it is compared; nil for what is not a plain host (a port, a slash, white space).
  package static func normal(_ text: String) -> String? {
    var host = text.lowercased()
    if host.hasSuffix("."), host.utf8.count > 1 { host.removeLast() }
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
      guard host.contains(":") else { return nil }
    }
    if host.contains(":") {
      let valid = host.utf8.allSatisfy { isHexDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }
      return valid && host.utf8.count(where: { $0 == UInt8(ascii: ":") }) >= 2 ? "[\(host)]" : nil
    }
    let valid = host.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
        UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
        true
      default: false
      }
    }
    return valid && !host.isEmpty ? host : nil
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
    default: false
    }
  }

  /// ASCII upper case to lower case.
  @inline(__always)
  static func lower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
