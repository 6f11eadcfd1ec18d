// Who may call, and where it goes: hosts, addresses, the caller token, routes and paths.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct AccessTests {
  private static let ok: @Sendable (IncomingRequest) -> Reaction = { _ in .answer(.text("origin")) }

  @Test func aForeignHostOnALoopbackListenerGets421() async throws {
    let relay = try await Relay.start(
      configure: { configuration, origin in
        var other = GatewayConfiguration.route("named", prefix: "/", to: origin, credential: nil)
        other["match"] = ["host": "api.internal"]
        configuration.routes.append(other)
      }, answer: Self.ok)
    for host in ["evil.example", "evil.example:80", "127.0.0.2", "localhost.evil.example", "10.0.0.1", "[::2]"] {
      let (response, _) = try await relay.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect(response.status == 421 && response.problem?.reason == "misdirected_request", "\(host)")
    }
    #expect(relay.origin.record.heads == 0)
    for host in [
      "localhost", "LOCALHOST:1", "127.0.0.1", "\(relay.address)", "[::1]:9", "api.internal", "Api.Internal:80",
    ] {
      let (response, _) = try await relay.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect(response.status == 200 && response.bodyText == "origin", "\(host)")
    }
  }

  @Test func theCallerTokenIsAskedForOnceAndNeverForwarded() async throws {
    let token = "a-caller-token-of-the-test"
    let relay = try await Relay.start(
      configure: { configuration, _ in configuration.listener["caller_token"] = ["value": .string(token)] },
      answer: Self.ok)
    let wrong: [[String]] = [
      [], ["X-Gateway-Token: wrong"], ["X-Gateway-Token:"], ["X-Gateway-Token: \(token)x"],
      ["X-Gateway-Token: \(token.dropLast())"], ["X-Gateway-Token: \(token)", "X-Gateway-Token: \(token)"],
      ["X-Gateway-Token: \(token)", "x-gateway-token: wrong"], ["X_Gateway_Token: \(token)"],
      ["Authorization: Bearer \(token)"], ["X-Gateway-Token: \(token), \(token)"],
    ]
    var texts: [String] = []
    for lines in wrong {
      let (response, _) = try await relay.send(Self.get(lines))
      #expect(response.status == 401 && response.problem?.reason == "caller_token_required", "\(lines)")
      #expect(response.fields.contains("WWW-Authenticate"))
      texts.append(String(decoding: response.head.raw, as: UTF8.self) + response.bodyText)
    }
    #expect(relay.origin.record.heads == 0)
    for lines in [
      ["X-Gateway-Token: \(token)"], ["x-GATEWAY-token:\(token)"],
      ["Connection: x-gateway-token", "X-Gateway-Token: \(token)"],
    ] {
      let (response, _) = try await relay.send(Self.get(lines))
      #expect(response.status == 200, "\(lines)")
    }
    let seen = relay.origin.record.requests
    #expect(seen.count == 3 && seen.allSatisfy { !$0.lines.contains { $0.contains(token) } })
    texts.append(try relay.gateway.log)
    #expect(!texts.contains { $0.contains(token) })
  }

  private static func get(_ lines: [String]) -> String {
    "GET / HTTP/1.1\r\nHost: localhost\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
  }

  @Test(arguments: [(["10.0.0.0/8"], 403), (["127.0.0.0/8", "10.0.0.0/8"], 200), (["127.0.0.1"], 200), (["::1"], 403)])
  func onlyAllowedAddressesGetIn(_ blocks: [String], _ status: Int) async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in
        configuration.listener["allow"] = .array(blocks.map { .string($0) })
      }, answer: Self.ok)
    let (response, _) = try await relay.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(response.status == status)
    #expect(status == 200 || response.problem?.reason == "not_allowed")
    #expect(relay.origin.record.heads == (status == 200 ? 1 : 0))
  }

  /// `/vinid/` is stripped, `/cukcuk/` is stripped, `/kept` is not.
  private static func routed() async throws -> Relay {
    try await Relay.start(
      configure: { configuration, origin in
        var kept = GatewayConfiguration.route("kept", prefix: "/kept", to: origin, credential: nil)
        kept["strip_prefix"] = nil
        configuration.routes = [
          GatewayConfiguration.route("vinid", prefix: "/vinid/", to: origin, credential: nil),
          GatewayConfiguration.route("cukcuk", prefix: "/cukcuk/", to: origin, credential: nil), kept,
        ]
      }, answer: ok)
  }

  @Test(arguments: [
    "/vinid/../cukcuk/x", "/vinid/%2e%2e/cukcuk/x", "/vinid/%2E./cukcuk", "/vinid/%252e%252e/cukcuk",
    "/vinid/..%2fcukcuk", "/vinid/..%5ccukcuk/x", "/vinid/..;x=1/cukcuk", "/vinid/..", "/kept/..", "//vinid/x",
    "/vinid//x", "/vinid/%2fx", "/%2fvinid/x", "/vinid/a%00b", "/vinid/a%0d%0ab", "/vinid/x\\..\\..\\cukcuk",
    "/vinid%2f..%2fcukcuk/x", "/%2e/vinid/x", "/./vinid/x", "/vin%69d/x", "/vinid;a/x", "/kept/%c0%ae%c0%ae/x",
    "/vinid/a/%2e%2e%2f%2e%2e/cukcuk",
  ])
  func ambiguousPathsAre400(_ path: String) async throws {
    let relay = try await Self.routed()
    let (response, closes) = try await relay.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(response.status == 400 && response.problem?.reason != nil, "\(response.status) \(response.bodyText)")
    #expect(closes)
    #expect(relay.origin.record.heads == 0)
  }

  @Test(arguments: [
    ("/vinid/group%2Fproject", "/group%2Fproject"),
    ("/vinid/@scope%2fpkg?a=/../..&b=//", "/@scope%2fpkg?a=/../..&b=//"),
    ("/vinid/", "/"), ("/vinid/?q", "/?q"), ("/kept", "/kept"), ("/kept/a//b", "/kept/a//b"),
    ("/kept/a;v=1/b", "/kept/a;v=1/b"), ("/kept/a..b/...", "/kept/a..b/..."), ("/vinid/%7Euser", "/%7Euser"),
  ])
  func ordinaryPathsAreForwardedAsTheyAre(_ path: String, _ forwarded: String) async throws {
    let relay = try await Self.routed()
    let (response, _) = try await relay.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(response.status == 200, "\(response.bodyText)")
    #expect(relay.origin.record.requests.map(\.target) == [forwarded])
  }

  @Test(arguments: ["/", "/vinidx", "/other", "/keptx", "/Vinid/x"]) func noRouteIs404(_ path: String) async throws {
    let relay = try await Self.routed()
    let (response, closes) = try await relay.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(response.status == 404 && response.problem?.reason == "no_route")
    #expect(!closes)
    #expect(relay.origin.record.heads == 0)
  }
}
