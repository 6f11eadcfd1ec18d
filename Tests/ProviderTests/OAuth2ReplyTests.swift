// What token endpoints that speak OAuth2 answer, and what is read out of it.
import GatewayTesting
import OAuth2Provider
import Testing
import TokenKit

@Suite struct OAuth2ReplyTests {
  func outcome(_ body: String, status: Int = 200, retryAfter: Duration? = nil) throws -> Result<Token, GrantError> {
    let settings = #"{"token_url": "https://sso.example/t", "client_id": "svc", "grant": "refresh_token"}"#
    return try read(OAuth2Provider.self, settings).provider.outcome(body, status: status, retryAfter: retryAfter)
  }

  @Test(
    "expires_in: seconds, number or string, whole or not",
    arguments: [
      ("3600", 3_600_000), ("\"3600\"", 3_600_000), ("\" 3600\"", 3_600_000), ("\"+60\"", 60_000),
      ("3599.5", 3_599_500),
      ("\"59.25\"", 59_250), ("3.6e3", 3_600_000), ("1", 1000), ("0.2", 1000), ("90000", 90_000_000),
      ("316224000", 316_224_000_000),
    ])
  func expiresIn(value: String, milliseconds: Int64) throws {
    let token = try outcome(#"{"access_token":"t","expires_in":\#(value),"refresh_expires_in":\#(value)}"#).get()
    #expect(token.lifetime == .relative(.milliseconds(milliseconds)))
    #expect(token.refreshTokenLifetime == .milliseconds(milliseconds))
  }

  @Test("zero, negative, absurd or no number: unknown, and the pair counts", arguments: OAuth2Samples.oddLifetimes)
  func oddLifetime(body: String) throws {
    let token = try outcome(body).get()
    if body.contains(":0.001}") || body.contains(":1e-300}") || body.contains(":60}") {
      #expect(token.lifetime == .relative(.seconds(body.contains(":60}") ? 60 : 1)) || token.lifetime == .unknown)
    } else {
      #expect(token.lifetime == .unknown && token.refreshTokenLifetime == nil)
    }
  }

  @Test("a refresh token's own life: Keycloak's name first, its 0 says nothing") func refreshTokenLifetime() throws {
    func life(_ members: String) throws -> Duration? {
      try outcome(#"{"access_token":"t",\#(members)}"#).get().refreshTokenLifetime
    }
    #expect(try life(#""refresh_expires_in":1800"#) == .seconds(1800))
    #expect(try life(#""refresh_expires_in":0"#) == nil)
    #expect(try life(#""refresh_token_expires_in":"5184000""#) == .seconds(5_184_000))
    #expect(try life(#""refresh_expires_in":0,"refresh_token_expires_in":60"#) == .seconds(60))
  }

  @Test("token_type in any case, or none", arguments: ["\"Bearer\"", "\"bearer\"", "\"BEARER\"", "null", "\"\""])
  func tokenType(value: String) throws {
    #expect(try outcome(#"{"access_token":"t","token_type":\#(value)}"#).get().accessToken == Secret("t"))
  }

  @Test(
    "a scope is kept if it is one, and costs nothing if not",
    arguments: [
      (#""read write""#, "read write"), ("null", nil), (#""""#, nil), (#"["read","write"]"#, nil), (#""a\nb""#, nil),
      (#""a\"b""#, nil), ("7", nil), (#""é""#, nil),
    ] as [(String, String?)])
  func scope(value: String, expected: String?) throws {
    #expect(try outcome(#"{"access_token":"t","scope":\#(value)}"#).get().scope == expected)
  }

  @Test("a good reply as form text, which some servers write") func formReply() throws {
    let token = try outcome("access_token=a%2Fb&expires_in=60&token_type=bearer&refresh_token=r+1&x=%C3%A9\n").get()
    #expect(token.accessToken == Secret("a/b") && token.refreshToken == Secret("r 1"))
    #expect(token.lifetime == .relative(.seconds(60)))
  }

  @Test("no error: null, empty, 0 and false", arguments: ["null", "\"\"", "0", "false"])
  func noError(value: String) throws {
    #expect(try outcome(#"{"access_token":"t","error":\#(value)}"#).get().accessToken == Secret("t"))
  }

  @Test("Retry-After goes with what is tried again, and with nothing else") func retryAfter() throws {
    let concurrent = #"{"error":"invalid_request","error_hint":"concurrent"}"#
    #expect(
      try outcome(concurrent, status: 400, retryAfter: .seconds(2))
        == .failure(GrantError(.unanswered, "concurrent_refresh", retryAfter: .seconds(2))))
    #expect(
      try outcome(#"{"error":"slow_down"}"#, status: 400, retryAfter: .seconds(2))
        == .failure(GrantError(.transient, "slow_down", retryAfter: .seconds(2))))
    #expect(
      try outcome(#"{"error":"invalid_grant"}"#, status: 400, retryAfter: .seconds(2))
        == .failure(GrantError(.needsLogin, "invalid_grant")))
  }
}
