// What a token must look like before it is used or stored. Every provider checks with these.

/// Syntax of tokens and of what else providers put into header fields.
public enum TokenRules {
  /// Most bytes of an access token: it has to fit a request's head (upstreams take 8 to 32 KiB of it).
  public static let maximumAccessToken = 16 * 1024
  /// Most bytes of a refresh token, which travels in bodies only.
  public static let maximumRefreshToken = 64 * 1024

  /// Whether `text` is a bearer token: RFC 6750 §2.1 `b64token`, which is letters, digits and `-._~+/`, then any
  /// number of `=`; 1 byte to 16 KiB.
  public static func isBearerToken(_ text: String) -> Bool {
    var padding = false
    var characters = 0
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "="):
        padding = true
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"):
        if padding { return false }
        characters += 1
      default:
        return false
      }
    }
    return characters > 0 && text.utf8.count <= maximumAccessToken
  }

  /// Whether `text` is an access token by RFC 6749 A.12 alone, for APIs that promise no syntax: printable ASCII, which
  /// is safe in a header field, not starting or ending in a space, which a field's value would lose; 1 byte to 16 KiB.
  public static func isOpaqueAccessToken(_ text: String) -> Bool {
    isFieldText(text) && text.utf8.count <= maximumAccessToken
  }

  /// Whether `text` is a refresh token: RFC 6749 A.17, printable ASCII with spaces; 1 byte to 64 KiB.
  public static func isRefreshToken(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= maximumRefreshToken && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
  }

  /// Whether `text` may be a header field's value of ours: printable ASCII, not empty, no space at either end.
  public static func isFieldText(_ text: String) -> Bool {
    guard let first = text.utf8.first, let last = text.utf8.last, first != 0x20, last != 0x20 else { return false }
    return text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
  }

  /// Whether `text` is a scope: RFC 6749 A.4, names of printable ASCII without `"` and `\`, parted by single spaces.
  public static func isScope(_ text: String) -> Bool {
    let names = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
    return names.allSatisfy { name in
      !name.isEmpty && name.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x22 && $0 != 0x5c }
    }
  }
}

extension GrantContext {
  /// The refresh token to send.
  /// - Throws: `needsLogin` (`no_refresh_token`) when there is none; `misconfigured` (`malformed_refresh_token`) when it
  ///   has bytes that no refresh token has, such as a line break at the end of a file, so that it is never sent.
  public func requiredRefreshToken() throws(GrantError) -> String {
    guard let refreshToken, !refreshToken.isEmpty else { throw GrantError(.needsLogin, "no_refresh_token") }
    let text = refreshToken.reveal()
    guard TokenRules.isRefreshToken(text) else { throw GrantError(.misconfigured, "malformed_refresh_token") }
    return text
  }
}
