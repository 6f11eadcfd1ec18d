// The lease: a token as data loops get it. Made by a credential's machine, rendered by every loop that uses it.

/// A token with its expiry and the header lines that it makes. Immutable; data loops render it once and copy the bytes.
public final class Lease: Sendable {
  /// The pair's number. Compared for equality only; never 0.
  public let generation: UInt64
  /// When the token ends.
  public let expires: BootInstant
  /// How long it lives in all.
  public let lifetime: Duration
  /// Until when requests may take it: `expires` less 10 % of the lifetime, at most 5 s.
  public let usableUntil: BootInstant
  /// The token alone.
  public let accessToken: Secret
  private let rules: InjectionRules

  /// Checks a token; nil if it has characters that can't stand in a header.
  public init?(
    generation: UInt64, accessToken: Secret, rules: InjectionRules, expires: BootInstant, lifetime: Duration
  ) {
    guard HeaderText.isAccessToken(accessToken.reveal()) else { return nil }
    self.generation = generation
    self.expires = expires
    self.lifetime = lifetime
    usableUntil = expires - Expiry.margin(of: lifetime)
    self.accessToken = accessToken
    self.rules = rules
  }

  /// The header fields one by one, for other wire versions. Values are secrets: never print them.
  public var fields: [InjectionRules.Field] {
    let token = accessToken.reveal()
    let value = rules.scheme.isEmpty ? token : "\(rules.scheme) \(token)"
    return [InjectionRules.Field(name: rules.header, value: Secret(value))] + rules.extra
  }

  /// Complete HTTP/1.1 field lines, each with CRLF: `Authorization: Bearer …\r\nCompanyCode: …\r\n`. Made anew at each
  /// call: data loops keep them.
  public var rendered: [UInt8] {
    var bytes: [UInt8] = []
    for field in fields {
      bytes += field.name.utf8
      bytes += [UInt8(ascii: ":"), 0x20]
      bytes += field.value.reveal().utf8
      bytes += [0x0d, 0x0a]
    }
    return bytes
  }

  /// Whether a request may take it.
  public func isUsable(at now: BootInstant) -> Bool { now < usableUntil }
}

extension Lease: CustomStringConvertible, CustomReflectable {
  /// The generation and nothing else.
  public var description: String { "Lease(generation \(generation))" }
  /// Without the rendered bytes, so that `dump` can't show them.
  public var customMirror: Mirror { Mirror(self, children: ["generation": generation]) }
}
