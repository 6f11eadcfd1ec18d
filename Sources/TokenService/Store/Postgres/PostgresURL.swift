// The URL of the shared store. libpq reads it; this only makes sure that it can be read in one way, so that no part of a
// password is taken for a host name and printed in an error.

package import TokenKit

/// `postgres://user:password@host:port/database?sslmode=verify-full`. Prints nothing of itself.
package struct PostgresURL: Sendable, Equatable {
  let text: Secret

  /// Why a text is no such URL; never holds a part of it.
  package struct Malformed: Error, Sendable, Equatable {
    /// What to do.
    package var message: String
  }

  /// Checks a URL's form.
  package init(_ text: Secret) throws(Malformed) {
    self.text = text
    let url = text.reveal()
    guard let scheme = ["postgres://", "postgresql://"].first(where: url.hasPrefix) else {
      throw Malformed(message: "must begin with postgres:// and read postgres://user:password@host:5432/database")
    }
    guard url.utf8.allSatisfy({ (0x21...0x7e).contains($0) }), !url.contains("#") else {
      throw Malformed(message: Self.encoding)
    }
    let rest = url.dropFirst(scheme.count)
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    let authority = rest[..<end].split(separator: "@", omittingEmptySubsequences: false)
    let tail = rest[end...]
    guard authority.count <= 2, !tail.contains("@"), tail.split(separator: "?").count <= 2, Self.isEncoded(rest) else {
      throw Malformed(message: Self.encoding)
    }
    if authority.count == 2, authority[0].split(separator: ":", omittingEmptySubsequences: false).count > 2 {
      throw Malformed(message: Self.encoding)
    }
  }

  /// Whether tokens may cross a network in clear, or to somebody who only claims to be the server: the host is another
  /// machine, and `sslmode` (libpq's default is `prefer`) checks nothing.
  package var trustsTheNetwork: Bool {
    let rest = text.reveal().split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false).last ?? ""
    let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let authority = (parts.first ?? "").prefix { $0 != "/" }
    let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
    var hosts = host.split(separator: ",").map { Self.host(of: String($0)) }
    var mode: Substring = "prefer"
    for parameter in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
      if parameter.hasPrefix("sslmode=") { mode = parameter.dropFirst(8) }
      for key in ["host=", "hostaddr="] where parameter.hasPrefix(key) {
        hosts = parameter.dropFirst(key.count).split(separator: ",").map(String.init)
      }
    }
    let isRemote = hosts.contains { host in
      let isLocal =
        host.hasPrefix("%2F") || host.hasPrefix("%2f") || host.hasPrefix("/") || host.hasPrefix("127.")
        || host == "localhost" || host == "[::1]" || host == "::1"
      return !isLocal
    }
    return isRemote && mode != "verify-full" && mode != "verify-ca"
  }

  /// Without the port.
  private static func host(of text: String) -> String {
    if text.hasPrefix("["), let end = text.firstIndex(of: "]") { return String(text[...end]) }
    return String(text.prefix { $0 != ":" })
  }

  private static let encoding =
    "is ambiguous: in user and password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25"

  /// Whether each `%` is followed by two hexadecimal digits other than 00.
  private static func isEncoded(_ text: Substring) -> Bool {
    let bytes = Array(text.utf8)
    for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "%") {
      guard index + 2 < bytes.count,
        let code = UInt8(String(decoding: bytes[index + 1...index + 2], as: UTF8.self), radix: 16), code != 0
      else { return false }
    }
    return true
  }
}
