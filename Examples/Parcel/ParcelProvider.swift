// Parcel, an invented shipping API: `POST /token` with JSON gives a session for a key and the renewal code of the last one.
public import TokenKit

/// The `parcel` provider.
public struct ParcelProvider: TokenProvider {
  /// `"provider": "parcel"`.
  public static let id = "parcel"

  private enum Key {
    static let tokenURL = SettingsKey.tokenURL.examples("https://api.parcel.example/token")
    static let shop = SettingsKey.requiredLine("shop", "The shop's number.").examples("1042")
    static let apiKey = SettingsKey.secret("api_key", "The shop's key.")
  }

  /// The keys, and what they have to do with each other: for `gateway check`, the JSON Schema and the documentation.
  public static let settings = SettingsObject(
    [Key.tokenURL.entry, Key.shop.entry, Key.apiKey.entry],
    rules: [.seedIsNeeded, SettingsRule("\"api_key\" must be there.", .isSet("api_key"))])

  private let tokenURL: String
  private let shop: String
  private let apiKey: Secret

  /// Reads the keys. What is wrong with them is reported, and the provider is not used then.
  public init(settings: SettingsReader) {
    tokenURL = settings.read(Key.tokenURL)
    shop = settings.read(Key.shop)
    if !settings.isSet("api_key") { settings.reject("api_key", "is missing") }
    apiKey = settings.read(Key.apiKey) ?? Secret("")
  }

  /// Another URL or shop has other tokens; a renewal code is good for 30 days.
  public var traits: ProviderTraits {
    ProviderTraits(
      usesRefreshToken: true, refreshTokenLifetime: .seconds(30 * 86_400),
      accessTokenIdentity: [Self.id, tokenURL, shop], refreshTokenIdentity: [Self.id, shop], tokenURLs: [tokenURL])
  }

  /// `{"shop":"1042","renewal":"…"}`, with the key in a field of its own.
  public func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest {
    let renewal = try context.requiredRefreshToken()
    return GrantRequest(
      url: tokenURL, headers: [("Content-Type", Secret("application/json")), ("X-Api-Key", apiKey)],
      body: Secret("{\"shop\":\(JSONReply.quoted(shop)),\"renewal\":\(JSONReply.quoted(renewal))}"),
      spendsRefreshToken: true)
  }

  /// `{"session":{"token":"…","renewal":"…","seconds":1800}}`, or `{"fault":"…"}`. Members of another kind than expected
  /// must not lose the rest: a `JSONScalar` takes them all.
  private struct Reply: Decodable {
    struct Session: Decodable {
      var token: JSONScalar?
      var renewal: JSONScalar?
      var seconds: JSONScalar?
    }
    var session: Session?
    var fault: JSONScalar?
  }

  /// What follows from each fault that Parcel documents.
  private static let faults: [String: GrantError.Kind] = [
    "busy": .transient, "renewal_used": .needsLogin, "renewal_expired": .needsLogin, "wrong_key": .misconfigured,
    "no_such_shop": .misconfigured,
  ]

  /// First what the status alone decides, then the fault, then the token, with nothing in it that must not be on a request.
  public func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
    if let failure = GrantError(decidedByStatusOf: response) { throw failure }
    guard let reply = JSONReply.decode(Reply.self, from: ReplyBody.trimmed(response.body)) else {
      throw GrantError(bodySaysNothing: response)
    }
    if let fault = reply.fault?.text, let kind = Self.faults[fault] {
      throw GrantError(kind, fault, retryAfter: kind == .transient ? response.retryAfter : nil)
    }
    guard (200..<300).contains(response.status), reply.fault == nil else { throw GrantError(bodySaysNothing: response) }
    guard let token = reply.session?.token?.text, TokenRules.isBearerToken(token) else { throw .malformedReply }
    var successor: Secret?
    switch reply.session?.renewal {
    case nil, .string(""): break
    case .string(let renewal) where TokenRules.isRefreshToken(renewal): successor = Secret(renewal)
    default: throw .malformedReply
    }
    return Token(
      accessToken: Secret(token), refreshToken: successor,
      lifetime: ReplyLifetime.seconds(reply.session?.seconds).map { .relative($0) } ?? .unknown)
  }
}
