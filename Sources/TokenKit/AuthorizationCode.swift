// What a provider can say of logins by browser: the authorization code grant with PKCE (RFC 6749 §4.1, RFC 7636).

/// A token API at which a person can log in. Like the rest of a provider it makes requests and reads answers, no more.
public protocol AuthorizationCodeProvider: TokenProvider {
  /// Where the person is sent, or what its settings lack for that.
  var authorization: Result<AuthorizationEndpoint, AuthorizationUnavailable> { get }

  /// The request that exchanges a code (RFC 6749 §4.1.3, RFC 7636 §4.5). Sent once: a code is good for one exchange.
  /// - Parameter redirectURI: the one that the code was asked for with.
  func codeRequest(code: Secret, verifier: Secret, redirectURI: String) -> GrantRequest

  /// What the answer to that means.
  func loginToken(from response: GrantResponse) throws(GrantError) -> Token
}

extension AuthorizationCodeProvider {
  /// RFC 6749 §4.1.4: the same as for every other grant.
  public func loginToken(from response: GrantResponse) throws(GrantError) -> Token {
    try OAuth2Reply.token(from: response)
  }
}

/// Why nobody can log in; the words follow the credential's name.
public struct AuthorizationUnavailable: Error, Sendable, Equatable {
  /// For example `needs "authorization_url" for a login`.
  public var message: String

  /// A reason.
  public init(_ message: String) { self.message = message }
}

/// Where people log in, and as what.
public struct AuthorizationEndpoint: Sendable, Equatable {
  /// The authorization endpoint; may have a query.
  public var url: HTTPURL
  /// The client that asks.
  public var clientID: String
  /// Where the server sends the browser to; registered with it.
  public var redirectURI: String
  /// The scopes asked for; nil: the server's own choice.
  public var scope: String?
  /// The issuer that answers must name if they name one (RFC 9207); nil: one on the endpoint's host.
  public var issuer: String?

  /// An endpoint.
  public init(url: HTTPURL, clientID: String, redirectURI: String, scope: String?, issuer: String?) {
    self.url = url
    self.clientID = clientID
    self.redirectURI = redirectURI
    self.scope = scope
    self.issuer = issuer
  }

  /// The URL for the person's browser.
  /// - Parameters:
  ///   - state: comes back with the answer.
  ///   - challenge: of the verifier, by S256.
  public func url(state: String, challenge: String) -> String {
    var fields = [
      (name: "response_type", value: "code"), (name: "client_id", value: clientID),
      (name: "redirect_uri", value: redirectURI),
    ]
    if let scope { fields.append((name: "scope", value: scope)) }
    fields += [
      (name: "state", value: state), (name: "code_challenge", value: challenge),
      (name: "code_challenge_method", value: "S256"),
    ]
    let separator = !url.pathAndQuery.contains("?") ? "?" : url.pathAndQuery.hasSuffix("?") ? "" : "&"
    return url.text + separator + FormEncoding.encode(fields)
  }

  /// Whether an answer that names this issuer can be the endpoint's.
  public func accepts(issuer: String) -> Bool {
    if let expected = self.issuer { return issuer == expected }
    guard case .success(let named) = HTTPURL.parse(issuer) else { return false }
    return named.authority == url.authority && named.isTLS == url.isTLS
  }
}

extension SettingsKey where Value == HTTPURL? {
  /// `authorization_url`: where people log in.
  public static var authorizationURL: SettingsKey {
    .url("authorization_url", "Where people log in (gateway login).").examples("https://sso.example/oauth2/auth")
  }
}

extension SettingsKey where Value == String? {
  /// `issuer`, of the answers of a login.
  public static var issuer: SettingsKey {
    .text("issuer", "The issuer that a login's answer must name (RFC 9207).").otherwise("any on the host of the URL")
  }

  /// `redirect_uri` where only a login needs it.
  public static var redirectURI: SettingsKey {
    .special(
      SettingsEntry(
        "redirect_uri", .text(SettingsText(SettingsPatterns.line)), "The redirect URI that the client registered.",
        otherwise: "no login")
    ) { $0.redirectURI() }.examples("https://my.app/callback")
  }
}

extension SettingsRule {
  /// For providers with logins.
  public static var authorizationURLIsSealed: SettingsRule {
    SettingsRule(
      "An http:// \"authorization_url\" on another machine needs \"allow_plaintext\": true.",
      when: .all([
        .isSet("authorization_url"), .isSet("redirect_uri"), .not(.equals("allow_plaintext", .bool(true))),
      ]), .matches("authorization_url", SettingsText(SettingsPatterns.sealed)))
  }
}

extension SettingsReader {
  /// `authorization_url` and `issuer`, with the redirect URI where only a login needs one.
  public func authorizationSettings(redirectURI: String? = nil) -> AuthorizationSettings {
    let (url, issuer) = (read(.authorizationURL), read(.issuer))
    if url == nil, redirectURI == nil, issuer == nil { return .unset }
    return .set(url: url, redirectURI: redirectURI, issuer: issuer)
  }

  /// `redirect_uri` where only a login needs it; nil when it is not configured.
  public func redirectURI() -> String? {
    guard isSet("redirect_uri") else { return nil }
    return requiredText("redirect_uri")
  }
}

/// What a credential's configuration says of logins. Kept instead of the endpoint that follows from it: there may be very
/// many credentials, and people seldom log in.
public enum AuthorizationSettings: Sendable, Equatable {
  /// Nothing.
  case unset
  /// Some of it.
  indirect case set(url: HTTPURL?, redirectURI: String?, issuer: String?)

  /// Where people log in.
  /// - Parameters:
  ///   - redirectURI: the provider's own, where it has one besides logins.
  ///   - fallback: the endpoint if none is configured.
  public func endpoint(
    clientID: String, redirectURI: String? = nil, scope: String?, fallback: HTTPURL? = nil
  ) -> Result<AuthorizationEndpoint, AuthorizationUnavailable> {
    var (url, redirectURI, issuer) = (fallback, redirectURI, String?.none)
    if case .set(let setURL, let setRedirectURI, let setIssuer) = self {
      url = setURL ?? url
      redirectURI = redirectURI ?? setRedirectURI
      issuer = setIssuer
    }
    let missing = [
      url == nil ? "\"authorization_url\"" : nil, redirectURI == nil ? "\"redirect_uri\"" : nil,
    ].compactMap { $0 }
    guard let url, let redirectURI else {
      return .failure(AuthorizationUnavailable("needs \(missing.joined(separator: " and ")) for a login"))
    }
    return .success(
      AuthorizationEndpoint(url: url, clientID: clientID, redirectURI: redirectURI, scope: scope, issuer: issuer))
  }
}
