// Keys that several providers read in the same way.

extension SettingsReader {
  /// `token_url`: where grants go, as text. Empty when it is missing or malformed, which is then reported.
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
