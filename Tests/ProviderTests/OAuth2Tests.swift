// oauth2: exact requests for each grant and way of authentication, settings, replies of its own.
import GatewayTesting
import OAuth2Provider
import Testing
import TokenKit

@Suite struct OAuth2Tests {
  static let base = #""token_url": "https://sso.example/t", "client_id": "svc""#
  static let secret = #""client_secret": {"value": "p:a s%+é"}"#
  static let types = ["Content-Type: application/x-www-form-urlencoded", "Accept: application/json"]

  func provider(_ settings: String) throws -> OAuth2Provider { try read(OAuth2Provider.self, "{\(settings)}").provider }

  @Test(
    "exact requests",
    arguments: [
      (
        #"\#(base), "grant": "refresh_token""#, types + ["grant_type=refresh_token&refresh_token=rt-1&client_id=svc"]
      ),
      (
        #"\#(base), "grant": "refresh_token", "client_auth": "post", \#(secret), "scope": "read write""#,
        types + [
          "grant_type=refresh_token&refresh_token=rt-1&scope=read+write&client_id=svc&client_secret=p%3Aa+s%25%2B%C3%A9"
        ]
      ),
      (
        // RFC 6749 §2.3.1: form-encoded, then joined, then base64; nothing of it in the body.
        #"\#(base), "grant": "client_credentials", \#(secret), "scope": "read""#,
        types + ["Authorization: Basic c3ZjOnAlM0FhK3MlMjUlMkIlQzMlQTk=", "grant_type=client_credentials&scope=read"]
      ),
      (
        #""token_url": "https://sso.example/t", "client_id": "a:b", "grant": "refresh_token", "client_auth": "basic","#
          + #""client_secret": {"value": "c"}"#,
        types + ["Authorization: Basic YSUzQWI6Yw==", "grant_type=refresh_token&refresh_token=rt-1"]
      ),
      (
        #"\#(base), "grant": "client_credentials", "client_auth": "none""#,
        types + ["grant_type=client_credentials&client_id=svc"]
      ),
    ])
  func request(settings: String, lines: [String]) throws {
    let request = try provider(settings).grantRequest(context())
    #expect(request.lines == lines)
    #expect(request.url == "https://sso.example/t")
    #expect(request.spendsRefreshToken == settings.contains("\"refresh_token\""))
  }

  @Test("client_credentials never sends a refresh token, and ignores one (RFC 6749 §4.4.3)") func noRefreshToken()
    throws
  {
    let provider = try provider(#"\#(Self.base), "grant": "client_credentials", \#(Self.secret)"#)
    #expect(try !provider.grantRequest(context("rt-1")).body.reveal().contains("rt-1"))
    #expect(try provider.grantRequest(context(nil)).spendsRefreshToken == false)
    let token = try provider.outcome(#"{"access_token":"t","refresh_token":"r","refresh_expires_in":9}"#).get()
    #expect(token.refreshToken == nil && token.refreshTokenLifetime == nil)
    #expect(!provider.traits.usesRefreshToken)
  }

  @Test(
    "contradictions between the client's keys",
    arguments: [
      (
        #""grant": "refresh_token", "client_auth": "basic""#,
        #"c.client_secret: is missing: client_auth "basic" sends one"#
      ),
      (
        #""grant": "refresh_token", "client_auth": "post""#,
        #"c.client_secret: is missing: client_auth "post" sends one"#
      ),
      (
        #""grant": "refresh_token", "client_auth": "none", \#(secret)"#,
        #"c.client_auth: "none" sends no client_secret; remove one of the two"#
      ),
      (
        #""grant": "client_credentials""#,
        "c.client_secret: is missing: the client_credentials grant is for clients that authenticate (RFC 6749 §4.4)"
      ),
      (#"\#(secret)"#, #"c.grant: is missing: "refresh_token" or "client_credentials""#),
      (
        #""grant": "password""#, #"c.grant: "password" is not one of "refresh_token", "client_credentials""#
      ),
      (
        #""grant": "refresh_token", "client_auth": "bsic", \#(secret)"#,
        #"c.client_auth: "bsic" is not one of "basic", "post", "none", did you mean "basic"?"#
      ),
      (
        #""grant": "refresh_token", "client_secret": {"value": ""}"#,
        "c.client_secret: must not be empty; leave it out for a client without one"
      ),
      // An unreadable secret is one problem, not two.
      (
        #""grant": "client_credentials", "client_secret": {"env": "X"}"#, #"c.client_secret: must be {"value": …} here"#
      ),
      (#""grant": "refresh_token", "scop": "a""#, #"c.scop: unknown key; did you mean "scope"?"#),
    ])
  func contradiction(settings: String, error: String) throws {
    #expect(try read(OAuth2Provider.self, "{\(Self.base), \(settings)}").errors == [error])
  }

  @Test("client_credentials without authentication only when it is written out") func publicClientCredentials() throws {
    let result = try read(
      OAuth2Provider.self, #"{\#(Self.base), "grant": "client_credentials", "client_auth": "none"}"#)
    #expect(result.errors.isEmpty)
    #expect(result.warnings.count == 1)
  }

  @Test("null is as good as nothing") func nullSecret() throws {
    let settings =
      #"\#(Self.base), "grant": "refresh_token", "client_secret": null, "client_auth": null, "scope": null"#
    #expect(try read(OAuth2Provider.self, "{\(settings)}").errors.isEmpty)
    #expect(try provider(settings).grantRequest(context()).lines.count == 3)
  }

  @Test("grant, URL, client and scope belong to the access token; the client alone to the refresh token")
  func identity() throws {
    let settings = [
      #"\#(Self.base), "grant": "refresh_token", \#(Self.secret)"#,
      #"\#(Self.base), "grant": "client_credentials", \#(Self.secret)"#,
      #"\#(Self.base), "grant": "refresh_token", "scope": "a", \#(Self.secret)"#,
      #""token_url": "https://other.example/t", "client_id": "svc", "grant": "refresh_token", \#(Self.secret)"#,
    ]
    let traits = try settings.map { try provider($0).traits }
    #expect(Set(traits.map(\.accessTokenIdentity)).count == 4)
    #expect(Set(traits.map(\.refreshTokenIdentity)) == [["oauth2", "svc"]])
    #expect(traits.allSatisfy { !$0.killsOldTokenAtRotation && $0.refreshTokenLifetime == nil })
  }
}
