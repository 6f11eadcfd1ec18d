// Path prefixes of the configuration: which can be matched at all, and the form that is compared.

/// Prefixes of routes and base paths of upstreams.
enum PathPrefix {
  /// What is wrong with a prefix, worded to follow it; nil: nothing. A prefix that is not its own normal form could
  /// match no request: such requests are refused.
  /// - Parameter mayBeEncoded: whether percent-encoding may stand in it (upstream paths).
  static func problem(_ text: String, mayBeEncoded: Bool) -> String? {
    if !text.hasPrefix("/") { return "must begin with a slash" }
    let segments = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    if segments.dropLast().contains("") { return "must not have an empty segment (//)" }
    if segments.contains(".") || segments.contains("..") { return "must not have a . or .. segment" }
    for byte in text.utf8 {
      if byte <= 0x20 || byte >= 0x7f { return "must be printable ASCII" }
      switch byte {
      case UInt8(ascii: "?"), UInt8(ascii: "#"): return "must not have a query or fragment"
      case UInt8(ascii: ";"), UInt8(ascii: "\\"): return "must not have ; or \\ in it"
      case UInt8(ascii: "%") where !mayBeEncoded: return "must not be percent-encoded"
      case UInt8(ascii: "*") where text.utf8.count == 2 || text.hasSuffix("/*"):
        return "must not end in /*: a prefix takes everything below it anyway"
      default: break
      }
    }
    return nil
  }

  /// Without slashes at its end: `/a/b`, or `""` for all paths.
  static func normal(_ text: String) -> String {
    var path = Substring(text)
    while path.hasSuffix("/") { path.removeLast() }
    return String(path)
  }
}
