// What spans tell of requests that do not go straight: replays, waits, servers that fail, answers of our own.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(3))) struct SpanTests {
  private static func relay(
    _ collector: CollectorUnderTest, configure: @escaping (inout GatewayConfiguration, SocketAddress) -> Void,
    answer: @escaping @Sendable (IncomingRequest) -> Reaction
  ) async throws -> Relay {
    try await Relay.start(
      configure: { configuration, origin in
        configuration.more["otlp"] = collector.settings()
        configure(&configuration, origin)
      }, answer: answer)
  }

  /// What happened at three in the morning: the upstream refused the token, a new one was got, the request went again.
  @Test func aReplayShowsBothAttemptsTheWaitAndTheTokenCall() async throws {
    let collector = try await CollectorUnderTest.start()
    let rig = try await TokenRig { $0.more["otlp"] = collector.settings() }
    #expect(try await rig.get("/vinid/echo").status == 200)
    rig.sandbox.revokeAccessTokens(.vinid)
    let response = try await rig.request(
      "POST", "/vinid/echo?refresh_token=made-up-1", fields: [FieldLine("Authorization", "Bearer made-up-2")],
      body: Array("made-up-3".utf8))
    #expect(response.status == 200)
    // The first token's call, a request without more, the second token's call, and the replay.
    let log = try await collector.log(until: "all spans") { $0.spans.count >= 8 }
    #expect(log.spans.count == 8, "\(log.spans)")
    let server = try #require(log.spans(.server).first { $0["gateway.replayed"]?.bool == true })
    let children = log.spans.filter { $0.trace == server.trace && $0.id != server.id }.sorted { $0.start < $1.start }
    #expect(children.map(\.kind) == [.client, .internal, .client])
    #expect(children.allSatisfy { $0.parent == server.id && $0.start >= server.start && $0.end <= server.end })
    try #require(children.count == 3)
    let (first, wait, second) = (children[0], children[1], children[2])
    #expect(first["http.response.status_code"]?.int == 401 && first.isError && first["error.type"]?.text == "401")
    #expect(wait.name == "wait for token" && wait["gateway.wait_for"]?.text == "replacement" && !wait.isError)
    #expect(second["http.response.status_code"]?.int == 200 && !second.isError)
    #expect(first["http.request.resend_count"] == nil && second["http.request.resend_count"]?.int == 1)
    let generations = [first, second, server].map { $0["gateway.token_generation"]?.int ?? -1 }
    #expect(generations[1] == generations[0] + 1 && generations[2] == generations[1])
    #expect(first.end <= wait.end && wait.end <= second.start && !server.isError)
    #expect(([server] + children).allSatisfy { $0["gateway.credential"]?.text == "vinid" })

    let calls = log.spans.filter { $0.name == "token refresh vinid" }
    #expect(calls.count == 2 && calls.allSatisfy { $0.kind == .client && $0.parent.isEmpty && !$0.isError })
    #expect(calls.allSatisfy { $0["http.response.status_code"]?.int == 200 && $0.trace != server.trace })
    #expect(calls.allSatisfy { $0["server.port"]?.int == Int(rig.sandbox.addresses.token.port) })
    #expect(!log.text.contains("oauth2/token"), "no path of the token API")
    #expect(!log.text.contains("made-up") && !log.text.contains("?"))
    try await rig.finish()
  }

  @Test func aTokenCallThatFails() async throws {
    let collector = try await CollectorUnderTest.start()
    let rig = try await TokenRig(
      waitingFor: "/healthz", prepare: { sandbox in sandbox.change(.vinid) { $0.fail(.http500, count: 1000) } }
    ) {
      $0.more["otlp"] = collector.settings()
      $0.timeouts["park"] = "300ms"
    }
    #expect(try await rig.get("/vinid/echo").status >= 500)
    let log = try await collector.log(until: "a call and a request") { log in
      log.spans.contains { $0.name == "token refresh vinid" } && !log.spans(.server).isEmpty
    }
    let call = try #require(log.spans.first { $0.name == "token refresh vinid" })
    #expect(call.isError && call["error.type"]?.text == "http_500" && call["http.response.status_code"]?.int == 500)
    let server = try #require(log.spans(.server).first)
    #expect(server.isError && server["gateway.reason"] != nil)
    #expect(log.spans.filter { $0.trace == server.trace && $0.kind == .client }.isEmpty, "nothing was sent")
    let wait = try #require(log.spans.first { $0.trace == server.trace && $0.kind == .internal })
    #expect(wait["gateway.wait_for"]?.text == "token" && wait.isError && wait["error.type"] != nil)
    try await rig.finish()
  }

  @Test func serversThatFailAreEachAnAttempt() async throws {
    let collector = try await CollectorUnderTest.start()
    let dead = try FreePort.take()
    let relay = try await Self.relay(
      collector,
      configure: { configuration, origin in
        let urls: OrderedJSON = [.string("http://127.0.0.1:\(dead)/base"), .string("http://\(origin)/base")]
        var route = Relay.plainRoute(to: origin)
        route["upstream"] = ["urls": urls]
        configuration.routes = [route]
        configuration.more["workers"] = 1
      }
    ) { _ in .answer(.text("hello")) }
    for _ in 0..<2 { #expect(try await relay.gateway.request("GET", "/x").status == 200) }
    let log = try await collector.log(until: "three attempts and two requests") {
      $0.spans(.client).count >= 3 && $0.spans(.server).count == 2
    }
    let failed = try #require(log.spans(.client).first { $0["server.port"]?.int == Int(dead) })
    let server = try #require(log.spans(.server).first { $0.id == failed.parent })
    let next = try #require(log.spans(.client).first { $0.parent == server.id && $0.id != failed.id })
    #expect(failed.isError && failed["error.type"]?.text == "connection_refused" && failed.event("connected") == nil)
    #expect(failed["http.response.status_code"] == nil && failed["url.full"]?.text == "http://127.0.0.1:\(dead)/base/x")
    #expect(next["http.response.status_code"]?.int == 200 && next["http.request.resend_count"]?.int == 1)
    #expect(!server.isError && server["http.response.status_code"]?.int == 200)
    let contexts = relay.origin.record.requests.compactMap { SeenContext($0.fields)?.parent }
    #expect(contexts.contains(next.id))
  }

  @Test func answersOfOurOwn() async throws {
    let collector = try await CollectorUnderTest.start()
    let nobody = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    let relay = try await Self.relay(
      collector,
      configure: { configuration, _ in
        configuration.routes = [GatewayConfiguration.route("dead", prefix: "/dead/", to: nobody, credential: nil)]
      }
    ) { _ in .hang }
    let context = ("traceparent", "00-\(TraceContextTests.trace)-\(TraceContextTests.parent)-01")
    _ = try await relay.gateway.request("PURGE", "/none?made-up-1", fields: FieldList([context]))
    _ = try await relay.gateway.request("GET", "/dead/x")
    let log = try await collector.log(until: "the spans of both") { $0.spans(.server).count == 2 }
    let none = try #require(log.spans(.server).first { $0.trace == TraceContextTests.trace })
    #expect(none.parent == TraceContextTests.parent && none.name == "HTTP" && none["gateway.route"] == nil)
    #expect(none["http.request.method"]?.text == "_OTHER" && none["http.request.method_original"]?.text == "PURGE")
    #expect(none["http.response.status_code"]?.int == 404 && none["gateway.reason"]?.text == "no_route")
    #expect(!none.isError && none["error.type"] == nil && none["url.path"]?.text == "/none")
    let dead = try #require(log.spans(.server).first { $0.id != none.id })
    #expect(dead.isError && dead["error.type"]?.text == "connection_refused" && dead.name == "GET dead")
    #expect(dead["http.response.status_code"]?.int == 502)
    #expect(log.spans(.client).map { $0["error.type"]?.text } == ["connection_refused"])
  }

  @Test func answersThatAreCutAndCallersThatGo() async throws {
    let collector = try await CollectorUnderTest.start()
    let relay = try await Self.relay(collector, configure: { _, _ in }) { request in
      request.path == "/hang" ? .hang : .answer(Answer(body: .pattern(1000), cut: Answer.Cut(afterBytes: 500)))
    }
    await #expect(throws: (any Error).self) { try await relay.gateway.request("GET", "/cut") }
    try await relay.talk { client in
      try client.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
      try Deadline.block("the origin has it") { relay.origin.record.completed == 2 }
    }
    let log = try await collector.log(until: "four spans") { $0.spans.count == 4 }
    func of(_ path: String) -> [CollectedSpan] {
      let server = log.spans(.server).first { $0["url.path"]?.text == path }
      return log.spans.filter { $0.trace == server?.trace }.sorted {
        ($0.kind?.rawValue ?? 0) < ($1.kind?.rawValue ?? 0)
      }
    }
    let cut = of("/cut")
    #expect(cut.count == 2 && cut.allSatisfy { $0.isError && $0["error.type"]?.text == "connection_terminated" })
    #expect(cut.allSatisfy { $0["http.response.status_code"]?.int == 200 } && cut.first?["gateway.cut"]?.bool == true)
    let gone = of("/hang")
    #expect(gone.count == 2 && gone.allSatisfy { $0["gateway.client_gone"]?.bool == true && !$0.isError })
    #expect(gone.allSatisfy { $0["http.response.status_code"] == nil })
  }

  /// Whatever stands in a path, the body is well-formed, and very long paths are cut.
  @Test func pathsOfAnyBytes() async throws {
    let collector = try await CollectorUnderTest.start()
    let relay = try await Self.relay(collector, configure: { _, _ in }) { _ in .answer(.text("hello")) }
    let long = "/" + String(repeating: "l", count: 7000)
    for path in ["/a\"b", "/a%22b", long] {
      #expect(try await relay.gateway.request("GET", path).status == 200, "\(path)")
    }
    let log = try await collector.log(until: "six spans") { $0.spans.count == 6 }
    let paths = Set(log.spans(.server).map { $0["url.path"]?.text ?? "" })
    #expect(paths == ["/a\"b", "/a%22b", String(long.prefix(1024))])
  }
}
