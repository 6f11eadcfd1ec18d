// How a token is put on a business call: which header fields, and which of them callers can't set themselves.

/// The header fields that carry a credential, from its configuration and its provider. Checked when made: a value here
/// can be rendered with any valid token.
public struct InjectionRules: Sendable, Hashable {
  /// The field that carries the token, `Authorization` unless configured.
  public var header: String { storage.header }
  /// What stands before the token, `Bearer` unless configured; empty for a bare token.
  public var scheme: String { storage.scheme }
  /// Further fields with fixed values (`CompanyCode`, `extra_headers`).
  public var extra: [Field] { storage.extra }

  /// Most credentials have equal rules, which they share.
  private final class Storage: Sendable {
    let header: String
    let scheme: String
    let extra: [Field]

    init(header: String, scheme: String, extra: [Field]) {
      self.header = header
      self.scheme = scheme
      self.extra = extra
    }
  }

  private let storage: Storage

  /// By what they say.
  public static func == (a: InjectionRules, b: InjectionRules) -> Bool {
    a.storage === b.storage || (a.header == b.header && a.scheme == b.scheme && a.extra == b.extra)
  }

  /// By what they say.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(header)
    hasher.combine(scheme)
    hasher.combine(extra)
  }

  /// One fixed field. Its value may be a secret.
  public struct Field: Sendable, Hashable {
    /// Field name as sent.
    public var name: String
    /// Field value.
    public var value: Secret
    /// A field.
    public init(name: String, value: Secret) {
      self.name = name
      self.value = value
    }
  }

  /// What can't be put into a header.
  public enum Malformed: Error, Sendable, Equatable {
    /// Not an RFC 9110 token, or a field that belongs to the message itself (framing, `Host`, hop-by-hop).
    case name(String)
    /// The scheme is not a token.
    case scheme(String)
    /// The value of this field has characters other than visible ASCII and single spaces inside.
    case value(field: String)
    /// Two fields have one name (case-insensitively, `_` equal to `-`).
    case duplicate(String)
  }

  /// Rules; throws when something of them can't stand in a header.
  public init(header: String = "Authorization", scheme: String = "Bearer", extra: [Field] = []) throws(Malformed) {
    for name in [header] + extra.map(\.name) where !HeaderText.isInjectableName(name) {
      throw Malformed.name(name)
    }
    guard scheme.isEmpty || HeaderText.isToken(scheme) else { throw Malformed.scheme(scheme) }
    var seen = [HeaderText.folded(header)]
    for field in extra {
      guard HeaderText.isValue(field.value.reveal()) else { throw Malformed.value(field: field.name) }
      let folded = HeaderText.folded(field.name)
      if seen.contains(folded) { throw Malformed.duplicate(field.name) }
      seen.append(folded)
    }
    storage = Storage(header: header, scheme: scheme, extra: extra)
  }

  /// `Authorization: Bearer` and nothing else.
  public static let bearer = InjectionRules()

  private init() { storage = Storage(header: "Authorization", scheme: "Bearer", extra: []) }

  /// The same rules with a provider's own fields; those that the configuration sets itself win.
  public func adding(_ fields: [(name: String, value: String)]) throws(Malformed) -> InjectionRules {
    let own = ([header] + extra.map(\.name)).map(HeaderText.folded)
    if fields.isEmpty { return self }
    let added = fields.filter { !own.contains(HeaderText.folded($0.name)) }
    return try InjectionRules(
      header: header, scheme: scheme,
      extra: extra + added.map { Field(name: $0.name, value: Secret($0.value)) })
  }

  /// Names that must be stripped from what callers send, as configured.
  public var names: [String] { [header] + extra.map(\.name) }
}

/// What may stand in a header field (RFC 9110 section 5).
public enum HeaderText {
  /// Names that nobody may inject: the message's own framing and routing, and hop-by-hop fields.
  public static let reserved = [
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
    "proxy-connection", "proxy-authenticate",
  ]

  /// An RFC 9110 token.
  public static func isToken(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"),
          UInt8(ascii: "%"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
          UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"),
          UInt8(ascii: "|"), UInt8(ascii: "~"):
          true
        default: false
        }
      }
  }

  /// A field name that a credential may set.
  public static func isInjectableName(_ text: String) -> Bool {
    isToken(text) && text.utf8.count <= 256 && !reserved.contains(folded(text))
  }

  /// Visible ASCII, with spaces only inside; at most 8 KiB.
  public static func isValue(_ text: String) -> Bool {
    let bytes = text.utf8
    guard let first = bytes.first, let last = bytes.last, first != 0x20, last != 0x20, bytes.count <= 8192 else {
      return false
    }
    return bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
  }

  /// An access token that may stand in a header: visible ASCII without spaces (a superset of RFC 6750's b64token; a
  /// provider may ask for less), at most 16 KiB.
  public static func isAccessToken(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 16_384 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
  }

  /// Lower case, with `-` for `_`: how servers behind CGI-like interfaces read names.
  public static func folded(_ name: String) -> String {
    String(
      decoding: name.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        case UInt8(ascii: "_"): UInt8(ascii: "-")
        default: byte
        }
      }, as: UTF8.self)
  }
}
