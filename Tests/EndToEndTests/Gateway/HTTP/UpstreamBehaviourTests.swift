// What callers get from upstreams that misbehave, are slow, or say things in ways of their own.
import EventLoop
import GatewayTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct UpstreamBehaviourTests {
  private static let get = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"

  /// HTTP-RULES, "Upstream responses: 502, close, never reuse".
  private static let malformed: [String] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/3.0 200 OK\r\n\r\n",
    "nonsense\r\n\r\n",
    "HTTP/1.1 200 OK\r\nNo colon here\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
    "HTTP/1.1 200 OK\nA: b\n\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
  ]

  @Test func malformedHeadsAre502AndTheNextRequestIsServed() async throws {
    let relay = try await Relay.start { request in
      guard let number = Int(request.head.target.dropFirst(1)) else { return .answer(.text("fine")) }
      return .raw(Array(Self.malformed[number].utf8), closes: false)
    }
    for (number, head) in Self.malformed.enumerated() {
      let (response, _) = try await relay.send("GET /\(number) HTTP/1.1\r\nHost: localhost\r\n\r\n")
      #expect(response.status == 502 && response.problem?.source == "upstream", "\(head.debugDescription)")
      try await relay.expectWorks()
    }
  }

  /// A body that ends too early, in every framing: the caller must see that it is cut.
  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
  ])
  func aTruncatedBodyIsSeenAsTruncated(answer: String) async throws {
    let relay = try await Relay.start {
      $0.path == "/after" ? .answer(.text("fine")) : .raw(Array(answer.utf8), closes: true)
    }
    await #expect(throws: (any Error).self) { try await relay.send(Self.get) }
    try await relay.expectWorks()
  }

  @Test func bytesBehindTheMessageNeverReachTheNextCaller() async throws {
    let relay = try await Relay.start { request in
      request.path == "/after"
        ? .answer(.text("fine"))
        : .raw(
          Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".utf8),
          closes: false)
    }
    for _ in 0..<5 {
      let (response, _) = try await relay.send(Self.get)
      #expect(response.status == 200 && response.bodyText == "ok")
      let after = try await relay.gateway.request("GET", "/after")
      #expect(after.bodyText == "fine")
    }
  }

  @Test func informationalHeadsGoToCallersOf11Only() async throws {
    let relay = try await Relay.start { _ in
      .answer(Answer(200, body: .text("done"), interim: [(103, [FieldLine("Link", "</a>")])]))
    }
    let (new, _) = try await relay.send(Self.get)
    #expect(new.interim.map(\.status) == [103] && new.interim[0].fields.all("Link") == ["</a>"])
    #expect(new.status == 200 && new.bodyText == "done")
    let (old, closes) = try await relay.send("GET /x HTTP/1.0\r\nHost: localhost\r\n\r\n")
    #expect(old.interim.isEmpty && old.status == 200 && old.bodyText == "done" && closes)
  }

  @Test func trailersReachThoseWhoTakeThem() async throws {
    let relay = try await Relay.start { _ in
      .answer(
        Answer(
          200, body: .chunks([Array("body".utf8)]),
          trailers: [FieldLine("X-Sum", "1"), FieldLine("Authorization", "no")]))
    }
    let (plain, _) = try await relay.send(Self.get)
    #expect(plain.bodyText == "body" && plain.trailers.lines.isEmpty)
    let (taking, _) = try await relay.send(
      "GET /x HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
    #expect(
      taking.bodyText == "body" && taking.trailers.all("X-Sum") == ["1"] && !taking.trailers.contains("Authorization"))
  }

  @Test func answersWithoutABodyLeaveTheConnectionInStep() async throws {
    let relay = try await Relay.start { request in
      switch request.path {
      case "/204": .raw(Array("HTTP/1.1 204 No Content\r\n\r\n".utf8), closes: false)
      case "/304": .raw(Array("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".utf8), closes: false)
      default: .answer(.text("fine"))
      }
    }
    let statuses = try await relay.talk { client in
      var statuses: [Int] = []
      for target in ["/204", "/304", "/x"] {
        try client.send("GET \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        statuses.append(try client.response().status)
      }
      try client.send("HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
      let head = try client.response(toHead: true)
      #expect(head.fields.all("Content-Length") == ["4"])
      try client.send(Self.get)
      return statuses + [head.status, try client.response().status]
    }
    #expect(statuses == [200 + 4, 304, 200, 200, 200])
  }

  @Test func anIdleConnectionThatWentStaleIsNoErrorForAGet() async throws {
    let relay = try await Relay.start { _ in .answer(.text("fine")) }
    for _ in 0..<20 {
      try await relay.expectWorks("a request on a connection that the origin has closed")
      relay.origin.closeConnections(idleOnly: true)
    }
  }

  @Test func aRefusedConnectionIs502AndASlowHeadIs504() async throws {
    let closed = try FreePort.take()
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.routes.append(
        GatewayConfiguration.route("dead", prefix: "/dead", to: .ipv4(0x7f00_0001, port: closed), credential: nil))
      configuration.timeouts["response_head"] = "300ms"
    }) { _ in .hang }
    let (dead, _) = try await relay.send("GET /dead HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(dead.status == 502 && dead.problem?.reason == "connection_refused")
    #expect(dead.fields.all("Proxy-Status").first?.contains("error=connection_refused") == true)
    let (slow, _) = try await relay.send(Self.get)
    #expect(slow.status == 504 && slow.problem?.reason == "response_head_timeout")
  }
}
