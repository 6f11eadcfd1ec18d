// What the gateway says of itself and of the caller to the upstream, and what it keeps to itself.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct ForwardingTests {
  private static let ok: @Sendable (IncomingRequest) -> Reaction = { _ in .answer(.text("origin")) }

  /// What the origin saw of a request with these lines.
  private static func seen(_ relay: Relay, _ lines: [String], method: String = "GET", target: String = "/x")
    async throws -> IncomingRequest
  {
    let (response, _) = try await relay.send(
      "\(method) \(target) HTTP/1.1\r\nHost: LocalHost:99\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n")
    #expect(response.status == 200, "\(lines): \(response.status) \(response.bodyText)")
    return try #require(relay.origin.record.requests.last)
  }

  @Test func connectionNamedAndHopByHopFieldsStay() async throws {
    let relay = try await Relay.start(answer: Self.ok)
    let request = try await Self.seen(
      relay,
      [
        "Connection: X-Private, x-OTHER", "connection: keep-alive", "X-Private: 1", "X-Other: 2", "X-Public: 3",
        "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "Upgrade: websocket",
        "Proxy-Authorization: Basic eA==", "X_Under: 4", "Accept: a", "Accept: b", "Cookie: c=d",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      ])
    for name in [
      "Connection", "X-Private", "X-Other", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "Proxy-Authorization",
      "X_Under",
    ] { #expect(!request.fields.contains(name), "\(name)") }
    #expect(request.fields["X-Public"] == "3" && request.fields.all("Accept") == ["a", "b"])
    #expect(request.fields["Cookie"] == "c=d" && request.fields["traceparent"]?.hasPrefix("00-0af7") == true)
    #expect(request.fields.all("Host") == ["\(relay.origin.address)"])
  }

  @Test func trailersAreAskedForWhenTheCallerTakesThem() async throws {
    let relay = try await Relay.start(answer: Self.ok)
    let request = try await Self.seen(relay, ["TE: trailers, deflate", "Connection: TE"])
    #expect(request.fields.all("TE") == ["trailers"] && request.fields.elements("Connection") == ["te"])
    let without = try await Self.seen(relay, ["TE: deflate", "Connection: TE"])
    #expect(!without.fields.contains("TE") && !without.fields.contains("Connection"))
  }

  /// Whatever an untrusted caller claims to have been told by others.
  private static let claims = [
    "X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 7.7.7.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil",
    "X-Forwarded-Port: 666", "X-Forwarded-Prefix: /evil", "Forwarded: for=6.6.6.6;host=evil",
    "X_Forwarded_For: 6.6.6.6",
  ]

  @Test func anUntrustedCallersForwardingFieldsAreReplaced() async throws {
    let relay = try await Relay.start(answer: Self.ok)
    let request = try await Self.seen(relay, Self.claims)
    #expect(request.fields.all("X-Forwarded-For") == ["127.0.0.1"])
    #expect(request.fields.all("X-Forwarded-Proto") == ["http"])
    #expect(request.fields.all("X-Forwarded-Host") == ["LocalHost:99"])
    #expect(
      !request.lines.contains { $0.contains("6.6.6") || $0.contains("666") || $0.contains("evil") }, "\(request.lines)")
  }

  @Test func aTrustedProxysForwardingFieldsAreKeptAndAppendedTo() async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in configuration.more["trusted_proxies"] = ["127.0.0.0/8"] }, answer: Self.ok)
    let request = try await Self.seen(relay, Self.claims)
    let chain = request.fields.elements("X-Forwarded-For")
    #expect(chain == ["6.6.6.6", "7.7.7.7", "127.0.0.1"], "\(chain)")
    #expect(request.fields.all("X-Forwarded-Proto") == ["https"] && request.fields.all("X-Forwarded-Host") == ["evil"])
    #expect(request.fields["X-Forwarded-Port"] == "666" && !request.fields.contains("X_Forwarded_For"))
  }

  @Test func aRequestIDIsKeptOrMade() async throws {
    let relay = try await Relay.start(answer: Self.ok)
    #expect(try await Self.seen(relay, ["X-Request-ID: mine-1"]).fields.all("X-Request-ID") == ["mine-1"])
    #expect(try await Self.seen(relay, ["X-Request-ID: a", "x-request-id: b"]).fields.all("X-Request-ID") == ["a"])
    var made: Set<String> = []
    for lines in [[], [], ["X-Request-ID:"], ["X-Request-ID: \(String(repeating: "x", count: 500))"]] {
      let all = try await Self.seen(relay, lines).fields.all("X-Request-ID")
      #expect(all.count == 1 && all[0].utf8.count >= 16 && all[0].utf8.count <= 128)
      made.formUnion(all)
    }
    #expect(made.count == 4)
  }

  @Test func viaIsAddedAndOurOwnIs508() async throws {
    let relay = try await Relay.start(answer: Self.ok)
    let request = try await Self.seen(relay, ["Via: 1.0 somebody"])
    let via = request.fields.all("Via")
    #expect(via.count == 2 && via.first == "1.0 somebody" && via.last?.hasPrefix("1.1 gateway-") == true, "\(via)")
    let own = try #require(via.last)
    for line in ["Via: \(own)", "via: 1.0 somebody, \(own), 1.1 other"] {
      let (loop, _) = try await relay.send("GET / HTTP/1.1\r\nHost: localhost\r\n\(line)\r\n\r\n")
      #expect(loop.status == 508 && loop.problem?.reason == "loop_detected", "\(line)")
    }
    // Another process has another name.
    let other = try await Relay.start(answer: Self.ok)
    #expect(try await Self.seen(other, ["Via: \(own)"]).fields.all("Via").count == 2)
    let off = try await Relay.start(
      configure: { configuration, _ in configuration.more["via"] = false }, answer: Self.ok)
    #expect(!(try await Self.seen(off, []).fields.contains("Via")))
  }

  @Test func aRealLoopEndsWith508() async throws {
    let gateway = try GatewayUnderTest()
    var configuration = GatewayConfiguration.empty
    configuration.routes = [Relay.plainRoute(to: gateway.address)]
    try gateway.write(configuration)
    try await gateway.start()
    let response = try await gateway.request("GET", "/round")
    #expect(response.status == 508, "\(response.bodyText)")
  }

  @Test func maxForwardsCountsForOptions() async throws {
    let relay = try await Relay.start(answer: Self.ok)
    let counted = try await Self.seen(relay, ["Max-Forwards: 5"], method: "OPTIONS")
    #expect(counted.fields.all("Max-Forwards") == ["4"])
    let before = relay.origin.record.heads
    let (here, _) = try await relay.send("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: 0\r\n\r\n")
    #expect(here.status == 200 && relay.origin.record.heads == before)
    #expect(here.fields["Proxy-Status"]?.contains("error=") != true, "a good answer is no error: \(here.fields)")
    let server = try await Self.seen(relay, [], method: "OPTIONS", target: "*")
    #expect(server.target == "*")
  }

  @Test func theHostIsTheUpstreamsUnlessItIsPreserved() async throws {
    let relay = try await Relay.start(
      configure: { configuration, origin in
        configuration.routes = [Relay.plainRoute(to: origin, more: [("preserve_host", true)])]
      }, answer: Self.ok)
    #expect(try await Self.seen(relay, []).fields.all("Host") == ["LocalHost:99"])
    let based = try await Relay.start(
      configure: { configuration, origin in
        var route = GatewayConfiguration.route("based", prefix: "/a/", to: origin, credential: nil)
        route["upstream"] = ["url": .string("http://\(origin)/base/")]
        configuration.routes = [route]
      }, answer: Self.ok)
    #expect(try await Self.seen(based, [], target: "/a/b?c=d").target == "/base/b?c=d")
    let absolute = try await Self.seen(relay, [], target: "http://localhost:99/abs?q")
    #expect(absolute.target == "/abs?q", "the origin gets the origin form")
  }
}
