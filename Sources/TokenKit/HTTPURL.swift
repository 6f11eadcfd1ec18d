// An absolute http or https URL of the configuration, taken apart once.

/// `scheme://host[:port][/path][?query]`; no user information, no fragment.
public struct HTTPURL: Sendable, Hashable {
  /// Why a text is not such a URL, worded to follow the text in quotes.
  public struct Malformed: Error, Sendable, Equatable {
    /// For example `has no host`.
    public var message: String
  }

  /// https, as opposed to http.
  public var isTLS: Bool
  /// Lower-case name, IPv4 literal, or IPv6 literal without brackets.
  public var host: String
  /// The port written, else the scheme's own.
  public var port: UInt16
  /// Path and query as written; `/` when none was.
  public var pathAndQuery: String

  /// host, or host:port when the port is not the scheme's own; an IPv6 literal in brackets.
  public var authority: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return port == (isTLS ? 443 : 80) ? name : "\(name):\(port)"
  }

  /// The URL as text.
  public var text: String { "\(isTLS ? "https" : "http")://\(authority)\(pathAndQuery)" }

  /// Whether the host is this machine: `localhost`, 127.0.0.0/8 or ::1.
  public var isLoopback: Bool {
    if host == "localhost" || host.hasSuffix(".localhost") || host == "::1" { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }

  /// Takes a text apart.
  public static func parse(_ text: String) -> Result<HTTPURL, Malformed> {
    func fail(_ message: String) -> Result<HTTPURL, Malformed> { .failure(Malformed(message: message)) }
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x5c }) else {
      return fail("has characters that a URL may not have")
    }
    let isTLS: Bool
    let rest: Substring
    // On bytes, here and below: a configuration may have a hundred thousand of them.
    if begins(text, "https://") {
      isTLS = true
      rest = Substring(text.utf8.dropFirst(8))
    } else if begins(text, "http://") {
      isTLS = false
      rest = Substring(text.utf8.dropFirst(7))
    } else {
      return fail("must start with https:// or http://")
    }
    if rest.utf8.contains(UInt8(ascii: "#")) { return fail("must not have a fragment") }
    let authority = Substring(rest.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") })
    var pathAndQuery = String(rest[authority.endIndex...])
    if pathAndQuery.utf8.first != UInt8(ascii: "/") { pathAndQuery = "/" + pathAndQuery }
    if authority.utf8.contains(UInt8(ascii: "@")) { return fail("must not have a user name or password in it") }

    var host: Substring
    var portText: Substring?
    if authority.hasPrefix("[") {
      guard let close = authority.firstIndex(of: "]") else {
        return fail("has an IPv6 address without closing bracket")
      }
      host = authority[authority.index(after: authority.startIndex)..<close]
      let after = authority[authority.index(after: close)...]
      if after.hasPrefix(":") {
        portText = after.dropFirst()
      } else if !after.isEmpty {
        return fail("has something other than a port behind the IPv6 address")
      }
      guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
        return fail("has a malformed IPv6 address")
      }
    } else {
      host = Substring(authority.utf8.prefix { $0 != UInt8(ascii: ":") })
      let after = authority[host.endIndex...]
      if !after.isEmpty { portText = after.dropFirst() }
      guard host.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "-" || $0 == "." || $0 == "_" }) else {
        return fail("has a malformed host")
      }
    }
    if host.isEmpty { return fail("has no host") }
    var port: UInt16 = isTLS ? 443 : 80
    if let portText {
      guard let number = UInt16(portText), number > 0, portText.allSatisfy(\.isNumber) else {
        return fail("has a malformed port")
      }
      port = number
    }
    return .success(HTTPURL(isTLS: isTLS, host: host.lowercased(), port: port, pathAndQuery: pathAndQuery))
  }

  /// Whether a text begins with this scheme, in either case.
  private static func begins(_ text: String, _ scheme: String) -> Bool {
    text.utf8.prefix(scheme.utf8.count).elementsEqual(scheme.utf8) { ($0 | 0x20) == ($1 | 0x20) }
  }
}
