// `gateway check` and `gateway serve` on files that are wrong, and what the command line says of itself.
import GatewayTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct CommandTests {
  /// Each line of what is wrong, by its JSON path and a part of its message.
  private static let wrong: [(path: String, part: String)] = [
    ("listners", "did you mean \"listeners\""),
    ("timeouts.park", "is not a duration"),
    ("credentials.vinid.refresh_token", "GATEWAY_TEST_UNSET is not set"),
    ("credentials.vinid.client_secret", "chmod"),
    ("routes[1]", "takes the same requests"),
    ("listeners[0]", "\"allow\""),
  ]

  private func gatewayWithAWrongFile() throws -> GatewayUnderTest {
    let gateway = try GatewayUnderTest()
    try gateway.directory.write("secret", "hush-hush-hush", mode: 0o644)
    let upstream = "\"upstream\": { \"url\": \"http://127.0.0.1:1\" }, \"credential\": \"vinid\""
    try gateway.write(
      """
      {
        "listners": [],
        "listeners": [ { "name": "main", "address": "0.0.0.0:0" } ],
        "timeouts": { "park": "10 seconds" },
        "store": { "kind": "sqlite", "path": "state/gateway.db" },
        "credentials": { "vinid": {
          "provider": "vinid", "token_url": "https://token.example/", "client_id": "a",
          "redirect_uri": "https://app.example/", "client_secret": { "file": "secret" },
          "refresh_token": { "env": "GATEWAY_TEST_UNSET" } } },
        "routes": [
          { "match": { "path_prefix": "/a" }, \(upstream) },
          { "match": { "path_prefix": "/a/" }, \(upstream) }
        ]
      }
      """)
    return gateway
  }

  /// What happens when: gateway.json is wrong
  @Test(arguments: ["check", "serve"])
  func everythingThatIsWrongIsSaidInOneGo(command: String) async throws {
    let gateway = try gatewayWithAWrongFile()
    let (exit, output, errors) = try await gateway.command([command, "--config", gateway.configurationPath])
    #expect(exit == .code(1))
    for (path, part) in Self.wrong {
      #expect(errors.split(separator: "\n").contains { $0.contains(path) && $0.contains(part) }, "\(path): \(errors)")
    }
    #expect(errors.contains("6 errors"), "\(errors)")
    #expect(!(output + errors).contains("hush"))
  }

  @Test func theCommandLineExplainsItself() async throws {
    let gateway = try GatewayUnderTest()
    let help = try await gateway.command(["--help"])
    #expect(help.exit == .code(0) && help.output.contains("serve") && help.output.contains("check"))
    let version = try await gateway.command(["--version"])
    #expect(version.exit == .code(0) && version.output.hasPrefix("gateway "))
    let missing = try await gateway.command(["check", "--config", gateway.directory.path("nothing.json")])
    #expect(missing.exit == .code(1) && missing.errors.contains("nothing.json"))
  }

  /// A listener that other machines reach needs a word on who may use the credentials behind it.
  @Test(
    arguments: [
      (nil, 1), ("\"allow\": [\"10.0.0.0/8\"]", 0), ("\"caller_token\": { \"env\": \"CALLERS\" }", 0),
      ("\"open\": true", 0), ("\"open\": false", 1), ("\"allow\": []", 1),
    ] as [(String?, Int32)])
  func aListenerForOtherMachinesSaysWhoMayCall(_ member: String?, _ code: Int32) async throws {
    let gateway = try GatewayUnderTest()
    try gateway.write(
      """
      {
        "listeners": [ { "name": "main", "address": "0.0.0.0:0"\(member.map { ", " + $0 } ?? "") } ],
        "store": { "kind": "sqlite", "path": "gateway.db" }, "credentials": {},
        "routes": [ { "match": { "path_prefix": "/" }, "upstream": { "url": "http://127.0.0.1:1" }, "credential": null } ]
      }
      """)
    let result = try await gateway.command(
      ["check", "--config", gateway.configurationPath], environment: ["CALLERS": "a-token-of-callers-0123456789"])
    #expect(result.exit == .code(code), "\(result.errors)")
    #expect(code == 0 || result.errors.contains("listeners[0]"), "\(result.errors)")
    #expect(!(result.output + result.errors).contains("a-token-of-callers"))
    if code == 0 { return }
    let serve = try await gateway.command(["serve", "--config", gateway.configurationPath])
    #expect(serve.exit == .code(1) && serve.errors == result.errors)
  }
}
