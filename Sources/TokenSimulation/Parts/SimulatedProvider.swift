// The token API of simulated credentials: a body of a few bytes each way, so that no time goes into parsing.

internal import TokenKit

/// A provider whose requests carry the refresh token as their body, and whose answers are packed numbers.
struct SimulatedProvider: TokenProvider {
  static let id = "simulated"
  static let settings = SettingsObject([])
  let traits: ProviderTraits

  init(settings: SettingsReader) {
    traits = Self.traits(rules: TokenServerRules(), credential: 0)
  }

  init(rules: TokenServerRules, credential: Int) { traits = Self.traits(rules: rules, credential: credential) }

  private static func traits(rules: TokenServerRules, credential: Int) -> ProviderTraits {
    ProviderTraits(
      usesRefreshToken: rules.usesRefreshToken, killsOldTokenAtRotation: rules.killsOldAccessToken,
      accessTokenIdentity: ["url"], refreshTokenIdentity: ["app"],
      tokenURLs: ["c\(credential)"])
  }

  private static let none = Secret("")

  func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest {
    GrantRequest(
      url: traits.tokenURLs[0], headers: [], body: context.refreshToken ?? Self.none,
      spendsRefreshToken: traits.usesRefreshToken)
  }

  func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
    switch response.status {
    case 200: break
    case 400: throw GrantError(.needsLogin, "invalid_grant")
    case 401: throw GrantError(.misconfigured, "invalid_client")
    case 429: throw GrantError(.transient, "http_429")
    default: throw GrantError(.unanswered, "http_5xx")
    }
    guard let reply = PackedReply(response.body) else { throw GrantError(.unanswered, "malformed") }
    return Token(
      accessToken: Secret(reply.access.accessText), refreshToken: reply.refresh.map { Secret($0.refreshText) },
      lifetime: reply.end.map { .absolute(WallTime(milliseconds: $0)) } ?? .relative(.seconds(reply.lifetime)))
  }
}

/// A good answer as bytes.
struct PackedReply {
  var access: TokenName
  var refresh: TokenName?
  /// In seconds.
  var lifetime: Int64
  /// By the server's clock, in milliseconds since 1970, instead of the lifetime.
  var end: Int64?

  init(access: TokenName, refresh: TokenName?, lifetime: Int64, end: Int64?) {
    self.access = access
    self.refresh = refresh
    self.lifetime = lifetime
    self.end = end
  }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(48)
    for number in [
      Int64(access.credential), Int64(access.family), Int64(access.number), Int64(refresh?.number ?? -1), lifetime,
      end ?? -1,
    ] {
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: number >> Int64(8 * shift))) }
    }
    return bytes
  }

  init?(_ bytes: [UInt8]) {
    guard bytes.count == 48 else { return nil }
    func number(_ index: Int) -> Int64 {
      var value: UInt64 = 0
      for shift in 0..<8 { value |= UInt64(bytes[index * 8 + shift]) << UInt64(8 * shift) }
      return Int64(bitPattern: value)
    }
    let (credential, family) = (Int(number(0)), Int(number(1)))
    access = TokenName(credential: credential, family: family, number: Int(number(2)))
    let next = Int(number(3))
    refresh = next < 0 ? nil : TokenName(credential: credential, family: family, number: next)
    lifetime = number(4)
    end = number(5) < 0 ? nil : number(5)
  }
}
