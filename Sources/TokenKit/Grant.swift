// One attempt to get a token, as data: what a provider sends, what came back, what it means.

/// What a provider is told when it makes a grant request.
public struct GrantContext: Sendable {
  /// The credential's current refresh token; nil for grants that have none.
  public var refreshToken: Secret?
  /// The wall clock at the attempt, for signatures and dates.
  public var now: WallTime

  /// All that an attempt may depend on.
  public init(refreshToken: Secret?, now: WallTime) {
    self.refreshToken = refreshToken
    self.now = now
  }
}

/// An HTTP request to a token endpoint. Always a POST: no token API known sends grants otherwise.
public struct GrantRequest: Sendable {
  /// The token endpoint.
  public var url: String
  /// Header fields besides Content-Length and Host. Values may be secrets; none may contain CR, LF or NUL.
  public var headers: [(name: String, value: Secret)]
  /// The body as sent.
  public var body: Secret
  /// Whether the body spends a refresh token (then the call is marked in the store first) or a code: such a call is never
  /// repeated silently.
  public var spendsRefreshToken: Bool

  /// A POST of `body` to `url`.
  public init(url: String, headers: [(name: String, value: Secret)], body: Secret, spendsRefreshToken: Bool) {
    self.url = url
    self.headers = headers
    self.body = body
    self.spendsRefreshToken = spendsRefreshToken
  }
}

/// A complete HTTP answer of a token endpoint.
public struct GrantResponse: Sendable {
  /// HTTP status.
  public var status: Int
  /// The whole body, at most 1 MiB (the transport refuses more).
  public var body: [UInt8]
  /// Content-Type as sent, if any. Some APIs send JSON as text/html: look at the body.
  public var contentType: String?
  /// The server's clock (`Date`), to correct absolute expiry dates.
  public var date: WallTime?
  /// `Retry-After`, in seconds or from a date.
  public var retryAfter: Duration?

  /// An answer with the parts that providers look at.
  public init(
    status: Int, body: [UInt8], contentType: String? = nil, date: WallTime? = nil, retryAfter: Duration? = nil
  ) {
    self.status = status
    self.body = body
    self.contentType = contentType
    self.date = date
    self.retryAfter = retryAfter
  }
}

/// Why an attempt brought no token, and what to do about it (section "Outcomes" of the token's life).
public struct GrantError: Error, Sendable, Equatable {
  /// What follows from a failed attempt.
  public enum Kind: String, Sendable, CaseIterable {
    /// The server answered and refused for now (429, "busy"): the refresh token was not used up.
    case transient
    /// Bytes may have left and no well-formed answer came (time-out, reset, 5xx, malformed 200, a lost race): the
    /// server may have rotated. The same refresh token is sent again, first after 1 s.
    case unanswered
    /// The refresh token is dead: a person must log in.
    case needsLogin = "needs_login"
    /// The configuration is wrong (client id, secret, URL): retried rarely, with an alarm.
    case misconfigured
  }

  /// What to do.
  public var kind: Kind
  /// A short token that can stand in logs, metrics and Proxy-Status: `invalid_grant`, `http_503`, `timeout`. ASCII
  /// letters, digits, `_`, `.` and `-`; never text from a body that is not a known error code.
  public var code: String
  /// How long the server asked to wait.
  public var retryAfter: Duration?

  /// An error; characters of `code` that may not stand in a log are replaced by `_`, and it is cut at 64 bytes.
  public init(_ kind: Kind, _ code: String, retryAfter: Duration? = nil) {
    self.kind = kind
    self.code = String(
      decoding: code.utf8.prefix(64).map { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
          byte
        default: UInt8(ascii: "_")
        }
      }, as: UTF8.self)
    self.retryAfter = retryAfter
  }
}
