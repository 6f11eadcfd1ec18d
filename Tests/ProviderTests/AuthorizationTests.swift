// Logins: where people are sent, what exchanges the code, and which settings that takes.
import GatewayTesting
import OAuth2Provider
import Testing
import TokenKit
import VinIDProvider

@Suite struct AuthorizationTests {
  private static let vinid = """
    "token_url": "https://oauth-qc.vinid.dev/oauth2/token", "client_id": "my app", "redirect_uri": "https://my.app/cb?a=1"
    """
  private static let oauth2 = """
    "token_url": "https://sso.example/token", "grant": "refresh_token", "client_id": "svc"
    """

  private func endpoint(_ provider: some AuthorizationCodeProvider) throws -> AuthorizationEndpoint {
    try provider.authorization.get()
  }

  @Test("RFC 6749 §4.1.1, RFC 7636 §4.3: all parameters, encoded once; vinid's endpoint is beside its token endpoint")
  func vinidURL() throws {
    let provider = try read(VinIDProvider.self, #"{\#(Self.vinid), "scope": "openid offline"}"#).provider
    #expect(
      try endpoint(provider).url(state: "st", challenge: "ch")
        == "https://oauth-qc.vinid.dev/oauth2/auth?response_type=code&client_id=my+app"
        + "&redirect_uri=https%3A%2F%2Fmy.app%2Fcb%3Fa%3D1&scope=openid+offline&state=st&code_challenge=ch"
        + "&code_challenge_method=S256")
  }

  @Test(
    "RFC 6749 §3.1: an authorization endpoint may have a query, which is kept",
    arguments: [
      ("https://sso.example/authorize", "https://sso.example/authorize?response_type=code&"),
      ("https://sso.example/authorize?tenant=a", "https://sso.example/authorize?tenant=a&response_type=code&"),
      ("https://sso.example/authorize?", "https://sso.example/authorize?response_type=code&"),
      ("https://sso.example:8443", "https://sso.example:8443/?response_type=code&"),
    ]) func queries(_ url: String, _ start: String) throws
  {
    let provider = try read(
      OAuth2Provider.self, #"{\#(Self.oauth2), "authorization_url": "\#(url)", "redirect_uri": "http://127.0.0.1/"}"#
    ).provider
    #expect(try endpoint(provider).url(state: "st", challenge: "ch").hasPrefix(start))
  }

  @Test("RFC 6749 §4.1.3: a public client names itself in the body") func publicCodeRequest() throws {
    let provider = try read(OAuth2Provider.self, "{\(Self.oauth2)}").provider
    let request = provider.codeRequest(
      code: Secret("c+/="), verifier: Secret("ver"), redirectURI: "http://127.0.0.1:7/cb")
    #expect(request.url == "https://sso.example/token" && request.spendsRefreshToken)
    #expect(
      request.lines == [
        "Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
        "grant_type=authorization_code&code=c%2B%2F%3D&redirect_uri=http%3A%2F%2F127.0.0.1%3A7%2Fcb&code_verifier=ver"
          + "&client_id=svc",
      ])
  }

  @Test("a confidential client authenticates as in every other grant") func confidentialCodeRequests() throws {
    let secret = #""client_secret": {"value": "s"}"#
    let basic = try read(OAuth2Provider.self, "{\(Self.oauth2), \(secret)}").provider
    let request = basic.codeRequest(code: Secret("c"), verifier: Secret("v"), redirectURI: "r")
    #expect(request.lines.contains("Authorization: Basic c3ZjOnM="))
    #expect(request.body.reveal() == "grant_type=authorization_code&code=c&redirect_uri=r&code_verifier=v")
    let post = try read(OAuth2Provider.self, #"{\#(Self.oauth2), \#(secret), "client_auth": "post"}"#).provider
    #expect(
      post.codeRequest(code: Secret("c"), verifier: Secret("v"), redirectURI: "r").body.reveal()
        .hasSuffix("&client_id=svc&client_secret=s"))
  }

  @Test func vinidCodeRequests() throws {
    let form = try read(VinIDProvider.self, "{\(Self.vinid)}").provider
    #expect(
      form.codeRequest(code: Secret("c"), verifier: Secret("v"), redirectURI: "http://127.0.0.1:7/").body.reveal()
        == "grant_type=authorization_code&code=c&code_verifier=v&client_id=my+app"
        + "&redirect_uri=http%3A%2F%2F127.0.0.1%3A7%2F")
    let multipart = try read(VinIDProvider.self, #"{\#(Self.vinid), "encoding": "multipart"}"#).provider
    let request = multipart.codeRequest(code: Secret("c"), verifier: Secret("v"), redirectURI: "r")
    #expect(request.lines.first?.hasPrefix("Content-Type: multipart/form-data") == true)
    #expect(request.body.reveal().contains("name=\"code_verifier\"\r\n\r\nv\r\n"))
  }

  @Test("what is missing is named")
  func missing() throws {
    func message(_ settings: String) throws -> String? {
      let (provider, errors, _) = try read(OAuth2Provider.self, "{\(settings)}")
      #expect(errors.isEmpty, "a login is optional")
      if case .failure(let reason) = provider.authorization { return reason.message }
      return nil
    }
    #expect(try message(Self.oauth2) == "needs \"authorization_url\" and \"redirect_uri\" for a login")
    #expect(
      try message(Self.oauth2 + #", "authorization_url": "https://sso.example/a""#)
        == "needs \"redirect_uri\" for a login")
    #expect(
      try message(Self.oauth2 + #", "redirect_uri": "http://127.0.0.1/""#)
        == "needs \"authorization_url\" for a login")
    let elsewhere = Self.vinid.replacing("/oauth2/token", with: "/t")
    let provider = try read(VinIDProvider.self, "{\(elsewhere)}").provider
    #expect(throws: AuthorizationUnavailable("needs \"authorization_url\" for a login")) {
      try provider.authorization.get()
    }
  }

  @Test("nobody logs in for client_credentials") func clientCredentials() throws {
    let settings = """
      "token_url": "https://sso.example/token", "grant": "client_credentials", "client_id": "svc",
      "client_secret": {"value": "s"}
      """
    let provider = try read(OAuth2Provider.self, "{\(settings)}").provider
    guard case .failure(let reason) = provider.authorization else { return #expect(Bool(false)) }
    #expect(reason.message.contains("needs no login"))
    let errors = try read(OAuth2Provider.self, #"{\#(settings), "authorization_url": "https://sso.example/a"}"#).errors
    #expect(errors == ["c.authorization_url: is not used by this grant; take it away"])
  }

  @Test(
    "RFC 9207 §2.4: the issuer that an answer names is the one that was asked",
    arguments: [
      (nil, "https://sso.example", true), (nil, "https://sso.example/realms/r", true),
      (nil, "https://SSO.example/", true), (nil, "https://sso.example:8443", false),
      (nil, "http://sso.example", false), (nil, "https://evil.example", false), (nil, "sso.example", false),
      ("https://id.example", "https://id.example", true), ("https://id.example", "https://id.example/", false),
      ("https://id.example", "https://sso.example", false),
    ] as [(String?, String, Bool)])
  func issuers(_ configured: String?, _ named: String, _ isRight: Bool) throws {
    let issuer = configured.map { #", "issuer": "\#($0)""# } ?? ""
    let provider = try read(
      OAuth2Provider.self,
      #"{\#(Self.oauth2), "authorization_url": "https://sso.example/a", "redirect_uri": "http://127.0.0.1/"\#(issuer)}"#
    ).provider
    #expect(try endpoint(provider).accepts(issuer: named) == isRight)
  }
}
