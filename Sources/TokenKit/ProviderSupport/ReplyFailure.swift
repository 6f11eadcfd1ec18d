// What an HTTP status of a token endpoint means by itself, the same for every token API.

extension GrantError {
  /// A 2xx whose body is not the answer the API promises. The server may have rotated: unanswered.
  public static let malformedReply = GrantError(.unanswered, "malformed_reply")

  /// The outcome that a status alone decides, whatever the body says; nil for 2xx and 4xx, whose body has a say.
  ///
  /// - 429, and 425 (RFC 8470): transient.
  /// - 5xx, 408 and 1xx: unanswered, for a gateway in between may have lost the answer to a rotation.
  /// - 3xx and anything that is no status: misconfigured. Redirects of a token endpoint are never followed.
  public init?(decidedByStatusOf response: GrantResponse) {
    switch response.status {
    case 200..<300: return nil
    case 425, 429: self.init(.transient, "http_\(response.status)", retryAfter: response.retryAfter)
    case 408, 100..<200, 500..<600:
      self.init(.unanswered, "http_\(response.status)", retryAfter: response.retryAfter)
    case 400..<500: return nil
    default: self.init(.misconfigured, "http_\(response.status)")
    }
  }

  /// The outcome of a 2xx or 4xx whose body says nothing that is known: a 2xx is malformed, a 4xx (an HTML page of a
  /// proxy or firewall, say) means that the request does not get to where it should.
  public init(bodySaysNothing response: GrantResponse) {
    if (200..<300).contains(response.status) {
      self = .malformedReply
    } else {
      self.init(.misconfigured, "http_\(response.status)")
    }
  }
}

/// The bytes of a reply's body that matter.
public enum ReplyBody {
  /// The body without UTF-8 byte order mark and white space around it. Some APIs label JSON as text/html, or put a mark
  /// before it, so providers look at the first byte of this and never at Content-Type.
  public static func trimmed(_ body: [UInt8]) -> ArraySlice<UInt8> {
    var rest = body[...]
    while let first = rest.first {
      if isWhiteSpace(first) {
        rest = rest.dropFirst()
      } else if rest.starts(with: [0xef, 0xbb, 0xbf]) {
        rest = rest.dropFirst(3)
      } else {
        break
      }
    }
    while let last = rest.last, isWhiteSpace(last) { rest = rest.dropLast() }
    return rest
  }

  private static func isWhiteSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09
  }
}
