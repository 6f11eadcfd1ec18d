// vinid: exact requests, the page's sample, settings.
import GatewayTesting
import Testing
import TokenKit
import VinIDProvider

@Suite struct VinIDTests {
  static let settings = """
    "token_url": "https://oauth-qc.vinid.dev/oauth2/token", "client_id": "my app", "redirect_uri": "https://my.app/cb?a=1"
    """

  @Test func formRequest() throws {
    let provider = try read(VinIDProvider.self, "{\(Self.settings)}").provider
    let request = try provider.grantRequest(context("rt+/=&1"))
    #expect(request.url == "https://oauth-qc.vinid.dev/oauth2/token")
    #expect(request.spendsRefreshToken)
    #expect(
      request.lines == [
        "Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
        "grant_type=refresh_token&refresh_token=rt%2B%2F%3D%261&client_id=my+app"
          + "&redirect_uri=https%3A%2F%2Fmy.app%2Fcb%3Fa%3D1",
      ])
  }

  @Test("a secret is sent only when there is one, a scope likewise") func confidentialClient() throws {
    let provider = try read(
      VinIDProvider.self, #"{\#(Self.settings), "client_secret": {"value": "s&c"}, "scope": "openid offline"}"#
    ).provider
    let body = try provider.grantRequest(context()).body.reveal()
    #expect(
      body == "grant_type=refresh_token&refresh_token=rt-1&client_id=my+app&client_secret=s%26c"
        + "&redirect_uri=https%3A%2F%2Fmy.app%2Fcb%3Fa%3D1&scope=openid+offline")
  }

  @Test func multipartRequest() throws {
    let provider = try read(VinIDProvider.self, #"{\#(Self.settings), "encoding": "multipart"}"#).provider
    let request = try provider.grantRequest(context("rt+/=&1"))
    func part(_ name: String, _ value: String) -> String {
      "--gateway-form-0\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
    }
    #expect(
      request.lines == [
        "Content-Type: multipart/form-data; boundary=gateway-form-0", "Accept: application/json",
        part("grant_type", "refresh_token") + part("refresh_token", "rt+/=&1") + part("client_id", "my app")
          + part("redirect_uri", "https://my.app/cb?a=1") + "--gateway-form-0--\r\n",
      ])
  }

  @Test("RFC 2046 §5.1.1: the boundary does not occur in a part") func multipartBoundary() throws {
    let provider = try read(VinIDProvider.self, #"{\#(Self.settings), "encoding": "multipart"}"#).provider
    let token = "--gateway-form-0 gateway-form-1--x-gateway-form-2"
    let request = try provider.grantRequest(context(token))
    #expect(request.lines[0] == "Content-Type: multipart/form-data; boundary=gateway-form-3")
    let parts = request.body.reveal().split(separator: "--gateway-form-3", omittingEmptySubsequences: false)
    #expect(parts.count == 6 && parts[0] == "" && parts[5] == "--\r\n")
    #expect(parts[2] == "\r\nContent-Disposition: form-data; name=\"refresh_token\"\r\n\r\n\(token)\r\n")
  }

  @Test func sampleOfThePage() throws {
    let provider = try read(VinIDProvider.self, "{\(Self.settings)}").provider
    let token = try provider.outcome(Fixtures.vinidReply).get()
    #expect(token.accessToken == Secret("string") && token.refreshToken == Secret("string"))
    #expect(token.lifetime == .relative(.seconds(3600)))
    #expect(token.refreshTokenLifetime == nil)
    #expect(token.scope == "openid offline some_scope")
  }

  @Test("Hydra kills the old token at rotation; a refresh token lives 720 h") func traits() throws {
    let traits = try read(VinIDProvider.self, "{\(Self.settings)}").provider.traits
    #expect(traits.usesRefreshToken && traits.killsOldTokenAtRotation)
    #expect(traits.refreshTokenLifetime == .seconds(2_592_000))
    #expect(traits.requestFields.isEmpty)
  }

  @Test("scope and URL belong to the access token, not to the refresh token") func identity() throws {
    func traits(_ settings: String) throws -> ProviderTraits { try read(VinIDProvider.self, settings).provider.traits }
    let first = try traits("{\(Self.settings)}")
    let scoped = try traits(#"{\#(Self.settings), "scope": "openid"}"#)
    let moved = try traits(#"{"token_url": "https://x.example/t", "client_id": "my app", "redirect_uri": "a:b"}"#)
    let other = try traits(#"{"token_url": "https://x.example/t", "client_id": "other", "redirect_uri": "a:b"}"#)
    #expect(first.accessTokenIdentity != scoped.accessTokenIdentity)
    #expect(first.accessTokenIdentity != moved.accessTokenIdentity)
    #expect(first.refreshTokenIdentity == scoped.refreshTokenIdentity)
    #expect(first.refreshTokenIdentity == moved.refreshTokenIdentity)
    #expect(moved.refreshTokenIdentity != other.refreshTokenIdentity)
  }

  @Test func allThatIsWrongAtOnce() throws {
    let errors = try read(
      VinIDProvider.self,
      #"""
      {"token_url": "oauth.example", "redirect_uri": "a\u000db", "encoding": "multpart", "scope": "a  b",
       "client_secret": {"value": ""}, "clientid": "x"}
      """#
    ).errors
    #expect(
      errors == [
        #"c.token_url: "oauth.example" must start with https:// or http://"#, "c.client_id: is missing",
        "c.client_secret: must not be empty; leave it out for a client without one",
        "c.redirect_uri: must not have control characters in it",
        "c.scope: must be names parted by single spaces, in ASCII, without quotes and backslashes",
        #"c.encoding: "multpart" is not one of "form", "multipart", did you mean "multipart"?"#,
        #"c.clientid: unknown key; did you mean "client_id"?"#,
      ])
    #expect(
      try read(VinIDProvider.self, "{}").errors == [
        "c.token_url: is missing", "c.client_id: is missing", "c.redirect_uri: is missing",
      ])
  }
}
