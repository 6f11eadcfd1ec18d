// The answer of a token endpoint that speaks OAuth2 (RFC 6749 §5), read with what real servers do to it in mind.

/// A token endpoint's answer: JSON, or the form text that some servers write, whatever Content-Type says.
public struct OAuth2Reply: Sendable, Decodable {
  var accessToken: JSONScalar?
  var tokenType: JSONScalar?
  var expiresIn: JSONScalar?
  var refreshToken: JSONScalar?
  var refreshExpiresIn: JSONScalar?
  var refreshTokenExpiresIn: JSONScalar?
  var scope: JSONScalar?
  var error: JSONScalar?
  var errorDescription: JSONScalar?
  var errorHint: JSONScalar?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case accessToken = "access_token"
    case tokenType = "token_type"
    case expiresIn = "expires_in"
    case refreshToken = "refresh_token"
    case refreshExpiresIn = "refresh_expires_in"
    case refreshTokenExpiresIn = "refresh_token_expires_in"
    case scope
    case error
    case errorDescription = "error_description"
    case errorHint = "error_hint"
  }

  /// What an answer means.
  ///
  /// Accepted is a 2xx with an access token of RFC 6750 syntax, of type `bearer` in any case or of no stated type. A
  /// lifetime or a scope that makes no sense is unknown; it does not cost the pair, whose old half may be dead by now.
  /// - Throws: `unanswered` (`malformed_reply`) for a 2xx that is not such a reply; what `GrantError` says by status,
  ///   and `init(oauth2:…)` by error code, otherwise.
  public static func token(from response: GrantResponse) throws(GrantError) -> Token {
    if let failure = GrantError(decidedByStatusOf: response) { throw failure }
    guard let reply = read(response.body) else { throw GrantError(bodySaysNothing: response) }
    if let failure = reply.failure(of: response) { throw failure }
    guard (200..<300).contains(response.status) else { throw GrantError(bodySaysNothing: response) }
    return try reply.token()
  }

  /// The reply in a body, nil when it is neither a JSON object nor a form with a known member.
  static func read(_ body: [UInt8]) -> OAuth2Reply? {
    let text = ReplyBody.trimmed(body)
    guard text.first != UInt8(ascii: "{") else { return JSONReply.decode(OAuth2Reply.self, from: text) }
    guard let fields = FormEncoding.decode(text) else { return nil }
    var reply = OAuth2Reply()
    var known = false
    for (name, value) in fields {
      guard let key = CodingKeys(rawValue: name) else { continue }
      known = true
      reply.set(key, .string(value))
    }
    return known ? reply : nil
  }

  private init() {}

  private mutating func set(_ key: CodingKeys, _ value: JSONScalar) {
    switch key {
    case .accessToken: accessToken = value
    case .tokenType: tokenType = value
    case .expiresIn: expiresIn = value
    case .refreshToken: refreshToken = value
    case .refreshExpiresIn: refreshExpiresIn = value
    case .refreshTokenExpiresIn: refreshTokenExpiresIn = value
    case .scope: scope = value
    case .error: error = value
    case .errorDescription: errorDescription = value
    case .errorHint: errorHint = value
    }
  }

  private func token() throws(GrantError) -> Token {
    guard case .string(let access) = accessToken, TokenRules.isBearerToken(access) else { throw .malformedReply }
    switch tokenType {
    case nil, .string(""): break
    case .string(let type):
      guard type.lowercased() == "bearer" else { throw GrantError(.misconfigured, "unsupported_token_type") }
    default: throw .malformedReply
    }
    var successor: Secret?
    switch refreshToken {
    case nil, .string(""): break
    case .string(let text):
      guard TokenRules.isRefreshToken(text) else { throw .malformedReply }
      successor = Secret(text)
    default: throw .malformedReply
    }
    return Token(
      accessToken: Secret(access), refreshToken: successor,
      lifetime: ReplyLifetime.seconds(expiresIn).map { .relative($0) } ?? .unknown,
      // Keycloak's 0 means that it did not say.
      refreshTokenLifetime: ReplyLifetime.seconds(refreshExpiresIn) ?? ReplyLifetime.seconds(refreshTokenExpiresIn),
      scope: scope?.text.flatMap { $0.utf8.count <= 4096 && TokenRules.isScope($0) ? $0 : nil })
  }
}
