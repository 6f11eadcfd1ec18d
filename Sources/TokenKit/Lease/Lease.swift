// The lease: a token in the form in which data loops use it. Made by a credential's machine, copied by every loop.

/// A token with its expiry and its rendered header lines. Immutable; data loops hold references and copy its bytes.
public final class Lease: Sendable {
  /// The pair's number. Compared for equality only; never 0.
  public let generation: UInt64
  /// When the token ends.
  public let expires: BootInstant
  /// Until when requests may take it: `expires` less 10 % of the lifetime, at most 5 s.
  public let usableUntil: BootInstant
  /// Complete HTTP/1.1 field lines, each with CRLF: `Authorization: Bearer …\r\nCompanyCode: …\r\n`.
  public let rendered: [UInt8]
  /// The same fields one by one, for other wire versions. Values are secrets: never print them.
  public let fields: [InjectionRules.Field]

  /// Renders a token; nil if it has characters that can't stand in a header.
  public init?(
    generation: UInt64, accessToken: Secret, rules: InjectionRules, expires: BootInstant, lifetime: Duration
  ) {
    let token = accessToken.reveal()
    guard HeaderText.isAccessToken(token) else { return nil }
    self.generation = generation
    self.expires = expires
    usableUntil = expires - Expiry.margin(of: lifetime)
    let value = rules.scheme.isEmpty ? token : "\(rules.scheme) \(token)"
    fields = [InjectionRules.Field(name: rules.header, value: Secret(value))] + rules.extra
    var bytes: [UInt8] = []
    for field in fields {
      bytes += Array(field.name.utf8)
      bytes += [UInt8(ascii: ":"), 0x20]
      bytes += Array(field.value.reveal().utf8)
      bytes += [0x0d, 0x0a]
    }
    rendered = bytes
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
