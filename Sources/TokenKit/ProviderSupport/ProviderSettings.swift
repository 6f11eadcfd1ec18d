// Keys that several providers read in the same way.

extension SettingsKey where Value == String {
  /// `token_url`: where grants go, as text. Empty when it is missing or malformed, which is then reported.
  public static var tokenURL: SettingsKey {
    .special(
      SettingsEntry(
        "token_url", .text(SettingsText(SettingsPatterns.url)),
        "Where grants go. http:// on another machine needs \"allow_plaintext\": true.", presence: .required,
        examples: [.string("https://sso.example/oauth2/token")])
    ) { $0.tokenURL() }
  }

  /// A text without control characters that must be there; an empty string stands for a reported error.
  public static func requiredLine(_ name: String, _ meaning: String) -> SettingsKey {
    .special(
      SettingsEntry(name, .text(SettingsText(SettingsPatterns.line)), meaning, presence: .required)
    ) { $0.requiredText(name) }
  }
}

extension SettingsKey where Value == Secret? {
  /// `client_secret`, nil when it is not configured. One that is there but empty is an error.
  public static var clientSecret: SettingsKey {
    .special(
      SettingsEntry(
        "client_secret", .secret(SettingsText(length: 1 ... .max)),
        "The client's secret; left out for a client without one.")
    ) { $0.clientSecret() }
  }
}

extension SettingsKey where Value == String? {
  /// `scope`, nil when it is not configured (then the server's own choice counts).
  public static var scope: SettingsKey {
    .special(
      SettingsEntry(
        "scope", .text(SettingsText(SettingsPatterns.scope)),
        "What the token is asked for: names parted by single spaces.", otherwise: "the server's choice",
        examples: [.string("read write")])
    ) { $0.scope() }
  }
}

extension SettingsRule {
  /// For providers that always use a refresh token.
  public static var seedIsNeeded: SettingsRule {
    SettingsRule("\"refresh_token\" must be there.", .isSet("refresh_token"))
  }
}

extension SettingsReader {
  /// See `SettingsKey.tokenURL`.
  public func tokenURL() -> String {
    guard isSet("token_url") else {
      reject("token_url", "is missing")
      return ""
    }
    guard let url = url("token_url")?.text else { return "" }
    // As written if that is the same: many credentials then share one text.
    return string("token_url").flatMap { $0 == url ? $0 : nil } ?? url
  }

  /// A text without control characters that must be there; an empty string stands for a reported error.
  public func requiredText(_ key: String) -> String {
    let text = requiredString(key)
    if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
      reject(key, "must not have control characters in it")
    }
    return text
  }

  /// `client_secret`, nil when it is not configured. One that is there but empty is an error.
  public func clientSecret() -> Secret? {
    guard let secret = secret("client_secret") else { return nil }
    if secret.isEmpty { reject("client_secret", "must not be empty; leave it out for a client without one") }
    return secret
  }

  /// `scope`, nil when it is not configured (then the server's own choice counts).
  public func scope() -> String? {
    guard let scope = string("scope") else { return nil }
    if !TokenRules.isScope(scope) {
      reject("scope", "must be names parted by single spaces, in ASCII, without quotes and backslashes")
    }
    return scope
  }
}
