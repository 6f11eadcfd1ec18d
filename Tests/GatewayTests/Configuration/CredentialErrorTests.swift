// Each way to get a credential or a secret wrong, with the exact words.
import EventLoop
import Testing
import TokenKit

@testable import Gateway

struct CredentialErrorTests {
  private static let seed = "\"refresh_token\": { \"env\": \"SEED_A\" }"

  private static func added(_ members: String, _ errors: String...) -> Mistake {
    var mistake = Mistake(seed, "\(seed), \(members)")
    mistake.errors = errors
    return mistake
  }

  @Test(
    "Credentials",
    arguments: [
      Mistake(
        "\"a\": {\n", "\"a b\": {\n",
        "credentials[\"a b\"]: \"a b\" is not a name: use up to 64 letters, digits and the characters _ . -",
        "routes[0].credential: there is no credential \"a\"; did you mean \"b\"?"),
      Mistake(
        "\"a\": {\n      \"provider\": \"fake\"", "\"a\": {\n      \"provider\": \"fak\"",
        "credentials.a.provider: \"fak\" is not a provider; did you mean \"fake\"?"),
      Mistake(
        "\"a\": {\n      \"provider\": \"fake\"", "\"a\": {\n      \"provider\": \"google\"",
        "credentials.a.provider: \"google\" is not a provider; there are fake"),
      Mistake("\"a\": {\n      \"provider\": \"fake\",", "\"a\": {\n", "credentials.a.provider: is missing"),
      added("\"clientid\": \"x\"", "credentials.a.clientid: unknown key; did you mean \"client_id\"?"),
      added(
        "\"header\": \"Content-Length\"",
        "credentials.a.header: \"Content-Length\" belongs to the connection or to the gateway and can't be set"),
      added(
        "\"header\": \"Proxy-Authorization\"",
        "credentials.a.header: \"Proxy-Authorization\" belongs to the connection or to the gateway and can't be set"),
      added("\"header\": \"X Token\"", "credentials.a.header: \"X Token\" is not a header field's name"),
      added(
        "\"scheme\": \"Bear er\"",
        "credentials.a.scheme: \"Bear er\" is not a scheme such as \"Bearer\"; \"\" sends the bare token"),
      added("\"scheme\": \"\""),
      added(
        "\"extra_headers\": { \"X-A\": 7, \"x_b\": \"ok\", \"X-B\": \"ok\", \"X-C\": \"a\\r\\nb\", \"Host\": \"x\" }",
        "credentials.a.extra_headers.X-A: must be a string or a secret, not a number",
        "credentials.a.extra_headers.x_b: stands for a field that is set already",
        "credentials.a.extra_headers.X-C: has characters that a header field can't carry",
        "credentials.a.extra_headers.Host: \"Host\" belongs to the connection or to the gateway and can't be set"),
      added(
        "\"extra_headers\": { \"authorization\": \"x\" }",
        "credentials.a.extra_headers.authorization: stands for a field that is set already"),
      added(
        "\"company\": \"a\\nb\"",
        "credentials.a: the value for the field CompanyCode has characters that a header field can't carry"),
      added("\"refresh_at\": 1", "credentials.a.refresh_at: must be between 0.1 and 0.95"),
      added(
        "\"min_refresh_interval\": \"soon\"",
        "credentials.a.min_refresh_interval: \"soon\" is not a duration; write for example \"500ms\", \"10s\", \"5m\" or \"720h\""
      ),
      added("\"default_lifetime\": \"0s\"", "credentials.a.default_lifetime: must be between \"1s\" and \"366d\""),
      added(
        "\"rejection_status\": [200]",
        "credentials.a.rejection_status: must be an array of HTTP statuses between 400 and 599, such as [401]"),
      added(
        "\"rejection_status\": 401",
        "credentials.a.rejection_status: must be an array of HTTP statuses between 400 and 599, such as [401]"),
      added("\"proxy\": \"http://proxy:3128/x\"", "credentials.a.proxy: must be scheme, host and port alone"),
      added("\"ca_file\": \"/\"", "credentials.a.ca_file: file / is a directory"),
      added(
        "\"grant\": \"client_credentials\"", "credentials.a.refresh_token: is not used by this grant; take it away"),
      Mistake(
        "\"a\": {\n      \"provider\": \"fake\", \"token_url\": \"https://sso.example/token\"",
        "\"a\": {\n      \"provider\": \"fake\", \"token_url\": \"http://sso.example/token\"",
        "credentials.a.token_url: http://sso.example would carry secrets over the network unencrypted; use https, or "
          + "write \"allow_plaintext\": true"),
    ])
  func credentials(_ mistake: Mistake) throws {
    let directory = try TemporaryDirectory()
    let result = Good.read(try Good.changed([(mistake.old, mistake.new)]), directory: directory)
    #expect(result.errors == mistake.errors)
  }

  @Test(
    "Secrets",
    arguments: [
      ("{ \"env\": \"NOBODY\" }", "environment variable NOBODY is not set"),
      ("{ \"env\": \"EMPTY\" }", "environment variable EMPTY is empty"),
      (
        "\"a text\"",
        "must be {\"env\": \"NAME\"}, {\"file\": \"path\"}, {\"credential\": \"NAME\"} or {\"value\": \"…\"}, not a string"
      ),
      (
        "{}",
        "must be one of {\"env\": \"NAME\"}, {\"file\": \"path\"}, {\"credential\": \"NAME\"} or {\"value\": \"…\"}"
      ),
      (
        "{ \"env\": \"SEED_A\", \"value\": \"x\" }",
        "must be one of {\"env\": \"NAME\"}, {\"file\": \"path\"}, {\"credential\": \"NAME\"} or {\"value\": \"…\"}"
      ),
      ("{ \"value\": \"\" }", "is empty"),
      ("{ \"file\": \"nowhere\" }", "file DIR/nowhere cannot be read: No such file or directory"),
      ("{ \"file\": \".\" }", "file DIR/. is a directory"),
      ("{ \"file\": \"/dev/null\" }", "file /dev/null is not a regular file"),
      ("{ \"file\": \"empty\" }", "file DIR/empty is empty"),
      (
        "{ \"file\": \"world\" }",
        "file DIR/world can be used by every user of the machine (mode 0604); run: chmod 600 'DIR/world'"
      ),
      ("{ \"file\": \"group\" }", "file DIR/group can be used by its group (mode 0660); run: chmod 600 'DIR/group'"),
      ("null", "is missing; write {\"env\": \"NAME\"} or {\"file\": \"path\"}"),
    ])
  func secrets(_ reference: String, _ message: String) throws {
    let directory = try TemporaryDirectory()
    _ = try directory.write("empty", "\n")
    _ = try directory.write("world", "secret", mode: 0o604)
    _ = try directory.write("group", "secret", mode: 0o660)
    let text = try Good.changed([("{ \"env\": \"SEED_A\" }", reference)])
    let expected = "credentials.a.refresh_token: " + message.replacing("DIR", with: directory.path)
    #expect(Good.read(text, directory: directory).errors == [expected])
  }

  @Test("An unknown key of a secret") func unknownKeyOfASecret() throws {
    let text = try Good.changed([("{ \"env\": \"SEED_A\" }", "{ \"envv\": \"SEED_A\" }")])
    #expect(
      Good.read(text, directory: try TemporaryDirectory()).errors
        == ["credentials.a.refresh_token.envv: unknown key; did you mean \"env\"?"])
  }

  @Test(
    "Who may read a secret's file",
    arguments: [
      (0o600, 1000, nil), (0o400, 0, nil), (0o440, 0, nil), (0o640, 0, nil), (0o700, 1000, nil),
      (0o440, 1000, "file f can be used by its group (mode 0440); run: chmod 600 'f'"),
      (0o660, 0, "file f can be used by its group (mode 0660); run: chmod 600 'f'"),
      (0o644, 0, "file f can be used by every user of the machine (mode 0644); run: chmod 640 'f'"),
      (0o644, 1000, "file f can be used by every user of the machine (mode 0644); run: chmod 600 'f'"),
      (0o602, 0, "file f can be used by every user of the machine (mode 0602); run: chmod 600 'f'"),
    ] as [(UInt32, UInt32, String?)])
  func permissions(_ mode: UInt32, _ owner: UInt32, _ refusal: String?) {
    #expect(SecretResolver.refusal(of: SystemFile.Status(mode: mode, owner: owner), path: "f") == refusal)
  }

  @Test func theCommandToRunIsQuoted() {
    let status = SystemFile.Status(mode: 0o644, owner: 1000)
    #expect(SecretResolver.refusal(of: status, path: "it's")?.hasSuffix(#"chmod 600 'it'\''s'"#) == true)
  }

  @Test func twoCredentialsCannotShareASeed() throws {
    let directory = try TemporaryDirectory()
    _ = try directory.write("seed", "seed-a\n")
    let text = try Good.changed([("{ \"env\": \"SEED_B\" }", "{ \"file\": \"seed\" }")])
    #expect(
      Good.read(text, directory: directory).errors == [
        "credentials.b.refresh_token: is the refresh token of credential \"a\" too; two credentials can't share one: "
          + "use one credential in several routes, or log in twice"
      ])
  }
}
