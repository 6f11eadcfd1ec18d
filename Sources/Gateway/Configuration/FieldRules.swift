// Which header fields a credential may put on requests.

/// Rules of RFC 9110 for names and values that come from the configuration.
enum FieldRules {
  /// Fields that the gateway or the connection owns: a credential may not set them.
  private static let reserved: Set<String> = [
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
    "proxy-authenticate", "proxy-authorization", "content-length", "host", "expect", "via", "max-forwards",
    "x-gateway-token",
  ]

  /// What is wrong with a field's name, worded to follow it; nil: nothing.
  static func problem(ofName name: String) -> String? {
    if !isToken(name) { return "is not a header field's name" }
    if reserved.contains(comparable(name)) { return "belongs to the connection or to the gateway and can't be set" }
    return nil
  }

  /// RFC 9110 §5.6.2.
  static func isToken(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }

  /// Visible ASCII, with single spaces or tabs within: what every recipient reads alike. RFC 9110 §5.5 without obs-text.
  static func isValue(_ text: String) -> Bool {
    text.utf8.allSatisfy { (0x20...0x7e).contains($0) || $0 == 0x09 } && text.utf8.first != 0x20
      && text.utf8.first != 0x09 && text.utf8.last != 0x20 && text.utf8.last != 0x09
  }

  /// Names that are compared: lower case, and `_` equal to `-` as many servers have it.
  static func comparable(_ name: String) -> String {
    String(decoding: name.utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : HostName.lower($0) }, as: UTF8.self)
  }
}
