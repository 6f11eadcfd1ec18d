// The keys of a credential that do not depend on its provider, and how the provider's own come to them.
internal import TokenKit

/// Keys of `credentials.NAME`.
enum CredentialKeys {
  static let all = "credentials"
  static let provider = "provider"
  static let refreshToken = SettingsKey.secret(
    "refresh_token", "The refresh token to start from (the seed); its successors live in the store.",
    SettingsText(length: 1 ... .max))
  static let header = SettingsKey.text(
    "header", "The field that carries the token.", ConfigurationPatterns.fieldName, default: "Authorization")
  static let scheme = SettingsKey.text(
    "scheme", "What stands before the token; \"\": the bare token.",
    SettingsText(SettingsPatterns.token, always: ["", "Bearer"]), default: "Bearer")
  static let extraHeaders = SettingsKey.map(
    "extra_headers", "Fields that go on requests besides the token: name, then text or secret.",
    .textOrSecret(SettingsText(SettingsPatterns.fieldText, length: 1...8192)), names: ConfigurationPatterns.fieldName)
  static let refreshAt = SettingsKey.number(
    "refresh_at", "Part of a token's lifetime after which it is refreshed, up to 5 % earlier.", in: 0.1...0.95,
    default: 0.8)
  static let minRefreshInterval = SettingsKey.duration(
    "min_refresh_interval", "Least time between refreshes that 401s force.", in: .zero ... .seconds(86_400),
    default: .seconds(10))
  static let maxPerMinute = SettingsKey.integer(
    "max_per_minute", "Token calls that the token host takes in a minute; of a host's credentials the smallest counts.",
    in: 1...1_000_000
  ).otherwise("any number")
  static let defaultLifetime = SettingsKey.duration(
    "default_lifetime", "A token's lifetime when the reply says none and none is known.",
    in: .seconds(1) ... .seconds(366 * 86_400), default: .seconds(3600))
  static let refreshTokenLifetime = SettingsKey.duration(
    "refresh_token_lifetime", "A refresh token's lifetime when the reply says none.",
    in: .seconds(1) ... .seconds(100 * 366 * 86_400)
  ).otherwise("the provider's (30d for vinid)")
  static let rejectionStatus = SettingsEntry(
    "rejection_status", .array(.integer(400...599), least: 0, unique: true),
    "HTTP statuses by which an upstream rejects the token.", fallback: .array([.number(401)]))
  static let caFile = CertificateFile.key(
    "PEM file with the authorities to trust for token calls, instead of the system's.")
  static let proxy = SettingsKey.url(
    "proxy", "HTTP proxy for token calls: scheme, host and port.", SettingsText(SettingsPatterns.origin)
  ).otherwise("none")
  static let allowPlaintext = SettingsKey.flag(
    "allow_plaintext",
    "Must be true for an http:// token URL on another machine: secrets cross the network unencrypted.")

  /// The keys of a credential of one provider.
  static func settings(of provider: any TokenProvider.Type) -> SettingsObject {
    let own = provider.settings
    let name = SettingsEntry(
      Self.provider, .choice([provider.id]), "The token API: decides which further keys there are.", presence: .required
    )
    return SettingsObject([name]).with(own).with(common)
  }

  private static let common = SettingsObject(
    [
      refreshToken.entry, header.entry, scheme.entry, extraHeaders.entry, refreshAt.entry, minRefreshInterval.entry,
      maxPerMinute.entry,
      defaultLifetime.entry, refreshTokenLifetime.entry, rejectionStatus, caFile.entry, proxy.entry,
      allowPlaintext.entry,
    ],
    rules: [
      SettingsRule(
        "An http:// \"token_url\" on another machine needs \"allow_plaintext\": true.",
        when: .all([.isThere("token_url"), .not(.equals("allow_plaintext", .bool(true)))]),
        .matches("token_url", SettingsText(SettingsPatterns.sealed)))
    ])

  /// `credentials`.
  static func map(_ registry: ProviderRegistry) -> SettingsKey<SettingsReader?> {
    .map(
      all, "Credentials by name. Two of them can't start from one refresh token.",
      .variants(key: provider, registry.types.map { ($0.id, settings(of: $0)) }),
      names: SettingsText("^[A-Za-z0-9_.-]{1,64}$"))
  }
}
