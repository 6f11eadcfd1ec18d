// Credentials without a refresh token in the file: fine where somebody can log in.
import OAuth2Provider
import Testing
import TokenKit
import VinIDProvider

@testable import Gateway

struct LoginConfigurationTests {
  private static let form = #"write {"env": "NAME"} or {"file": "path"}"#
  private static let untilLogin =
    "credentials.a.refresh_token: is missing: until somebody runs gateway login there is no token; or \(form)"
  private static let authorize = #""authorization_url": "https://sso.example/a""#
  private static let redirect = #""redirect_uri": "http://127.0.0.1/cb""#
  private static let oauth2 = #""provider": "oauth2", "grant": "refresh_token", "client_id": "c""#
  private static let vinid = #""provider": "vinid", "client_id": "c", "redirect_uri": "http://127.0.0.1/cb""#

  private func read(_ credential: String, token: String = "https://sso.example/oauth2/token") throws -> Result<
    LoadedConfiguration, InvalidConfiguration
  > {
    let directory = try TemporaryDirectory()
    let text = """
      { "listeners": [ { "name": "main", "address": "127.0.0.1:8080" } ], "store": { "path": "\(directory.path)/g.db" },
        "credentials": { "a": { "token_url": "\(token)", \(credential) } },
        "routes": [ { "match": { "path_prefix": "/" }, "upstream": { "url": "https://one.example" }, "credential": "a" } ] }
      """
    return ConfigurationLoader.read(
      Array(text.utf8), directory: directory.path,
      registry: ProviderRegistry([VinIDProvider.self, OAuth2Provider.self]),
      environment: [:])
  }

  @Test(
    arguments: [
      // Where to log in is written down: that is the plan.
      (oauth2 + ", " + authorize + ", " + redirect, [], []),
      (vinid + ", " + authorize, [], []),
      // It is known by itself: somebody may have forgotten the refresh token.
      (vinid, [], [untilLogin]),
      (oauth2, ["credentials.a.refresh_token: is missing; \(form)"], []),
      (oauth2 + ", " + redirect, ["credentials.a.refresh_token: is missing; \(form)"], []),
    ] as [(String, [String], [String])])
  func aMissingRefreshToken(_ credential: String, _ errors: [String], _ warnings: [String]) throws {
    let result = try read(credential)
    #expect(result.errors == errors && result.warnings == warnings)
  }

  @Test func peopleLogInOverTLS() throws {
    let credential = Self.oauth2 + #", "authorization_url": "http://sso.example/a", "# + Self.redirect
    #expect(
      try read(credential).errors == [
        "credentials.a.authorization_url: people would log in at http://sso.example over an unencrypted network; use "
          + "https, or write \"allow_plaintext\": true"
      ])
    #expect(try read(credential + #", "allow_plaintext": true"#).errors.isEmpty)
    let local = Self.oauth2 + #", "authorization_url": "http://127.0.0.1:1/a", "# + Self.redirect
    #expect(try read(local).errors.isEmpty)
  }

  @Test func otherKeysAreKnown() throws {
    let credential =
      "\(Self.vinid), \(Self.authorize), \"issuer\": \"https://sso.example\", \"authorisation_url\": \"x\""
    #expect(
      try read(credential).errors == [
        "credentials.a.authorisation_url: unknown key; did you mean \"authorization_url\"?"
      ])
  }
}
