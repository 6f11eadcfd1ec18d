// What the conformance suite has to know of a provider, in one configuration of it.
package import TokenKit

/// A provider in one configuration, with samples of what its token endpoint says.
package struct ProviderUnderTest: Sendable {
  /// Shown with each case: `vinid (multipart)`.
  package var name: String
  /// Makes the provider.
  package var make: @Sendable (SettingsReader) -> any TokenProvider
  /// The credential's object of gateway.json with secrets as `{"value": …}`, without the keys that the gateway reads.
  package var settings: String
  /// Whether its grants send a refresh token.
  package var usesRefreshToken: Bool
  /// Secrets of `settings`, which must not show anywhere but in requests.
  package var secrets: [String]
  /// The body of a good reply with these tokens in it, escaped as its format asks for. The lifetime is in the future of
  /// `ProviderConformance.clock`.
  package var goodReply: @Sendable (ConformanceReply) -> String
  /// The body of a well-formed refusal with this text as its error code and in its message.
  package var refusal: @Sendable (String) -> String
  /// Refusals, and what each must come to.
  package var refusals: [ConformanceRefusal]
  /// Bodies of a 200 that no token may come out of: members of a wrong type, missing members.
  package var malformed: [String]
  /// Bodies of a good 200 but for a lifetime that cannot be: the token counts, its lifetime is unknown or bounded.
  package var oddLifetimes: [String]

  /// A provider with its samples.
  package init<Provider: TokenProvider>(
    _ provider: Provider.Type, name: String, settings: String, usesRefreshToken: Bool = true, secrets: [String] = [],
    goodReply: @escaping @Sendable (ConformanceReply) -> String, refusal: @escaping @Sendable (String) -> String,
    refusals: [ConformanceRefusal], malformed: [String], oddLifetimes: [String]
  ) {
    self.name = name
    self.make = { provider.init(settings: $0) }
    self.settings = settings
    self.usesRefreshToken = usesRefreshToken
    self.secrets = secrets
    self.goodReply = goodReply
    self.refusal = refusal
    self.refusals = refusals
    self.malformed = malformed
    self.oddLifetimes = oddLifetimes
  }
}

/// The parts of a good reply that the suite varies.
package struct ConformanceReply: Sendable {
  /// The access token.
  package var accessToken: String
  /// The refresh token; nil leaves the member out.
  package var refreshToken: String?
  /// Text for a member that no provider knows, if any: makes a reply large.
  package var filler: String?

  /// A reply with these tokens.
  package init(accessToken: String, refreshToken: String?, filler: String? = nil) {
    self.accessToken = accessToken
    self.refreshToken = refreshToken
    self.filler = filler
  }
}

/// An answer that refuses, and its meaning.
package struct ConformanceRefusal: Sendable {
  /// HTTP status.
  package var status: Int
  /// The whole body.
  package var body: String
  /// What it must come to.
  package var kind: GrantError.Kind
  /// The code it must come to.
  package var code: String

  /// An answer and its meaning.
  package init(_ status: Int, _ body: String, _ kind: GrantError.Kind, _ code: String) {
    self.status = status
    self.body = body
    self.kind = kind
    self.code = code
  }
}
