// Origins that break the rules or go away: the caller learns it, and nobody else suffers.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct UpstreamFaultTests {
  /// An origin that answers `/after` well and everything else with these bytes.
  private static func start(
    _ bytes: @escaping @Sendable (IncomingRequest) -> (String, closes: Bool),
    configure: (inout GatewayConfiguration, SocketAddress) -> Void = { _, _ in }
  ) async throws -> Relay {
    try await Relay.start(configure: configure) { request in
      if request.path == "/after" { return .answer(.text("after")) }
      let (text, closes) = bytes(request)
      return .raw(Array(text.utf8), closes: closes)
    }
  }

  private static let malformed: [String] = [
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "<html>not HTTP</html>\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\u{0}b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nB(d: x\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: \(String(repeating: "x", count: 40_000))\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\(String(repeating: "X: y\r\n", count: 150))Content-Length: 0\r\n\r\n",
  ]

  /// What happens when: An upstream sends what is not HTTP
  @Test func malformedHeadsAre502AndTheConnectionIsGivenUp() async throws {
    let malformed = Self.malformed
    let relay = try await Self.start { (malformed[Int($0.head.query("n") ?? "") ?? 0], false) }
    for (number, head) in malformed.enumerated() {
      let (response, closes) = try await relay.send(
        "POST /bad?n=\(number) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
      let name = head.prefix(90).debugDescription
      #expect(response.status == 502 && response.problem?.source == "upstream", "\(name): \(response.status)")
      #expect(!closes, "the caller is not at fault")
    }
    // None was taken again, and none was asked twice.
    let seen = relay.origin.record.requests
    #expect(Set(seen.map(\.connection)).count == malformed.count && seen.count == malformed.count)
    try await relay.expectWorks()
  }

  @Test func lenienceTowardsResponsesEndsAtTheGateway() async throws {
    let relay = try await Self.start { _ in
      ("HTTP/1.1 200\r\nX-Spaced : a\r\nContent-Length: 2\r\n\r\nok", false)
    }
    // The strict reader of the client throws if it is passed on as it is.
    let (response, _) = try await relay.send("GET /lenient HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(response.status == 200 && response.bodyText == "ok" && response.fields.all("X-Spaced") == ["a"])
  }

  /// Head and start of a body whose end never comes.
  private static let truncated: [(String, isReset: Bool)] = [
    ("Content-Length: 10\r\n\r\nhello", false), ("Content-Length: 10\r\n\r\nhello", true),
    ("Content-Length: 10\r\n\r\n", false), ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false),
    ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true), ("Transfer-Encoding: chunked\r\n\r\n5\r\nhel", false),
    ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", false),
    ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", false),
    ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n", false), ("Connection: close\r\n\r\nhello", true),
    ("Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX", false), ("Transfer-Encoding: chunked\r\n\r\n-5\r\nhello", false),
  ]

  /// What happens when: An upstream ends in the middle of its answer
  @Test(arguments: ["HTTP/1.1", "HTTP/1.0"]) func aTruncatedBodyIsSeenAsTruncated(_ version: String) async throws {
    let truncated = Self.truncated
    let relay = try await Relay.start { request in
      if request.path == "/after" { return .answer(.text("after")) }
      let (text, isReset) = truncated[Int(request.head.query("n") ?? "") ?? 0]
      let responder = request.responder
      // The reset comes once the start has left.
      if isReset {
        return .answer(
          Answer(
            fields: [FieldLine("X", "y")],
            body: text.contains("chunked")
              ? .chunks([Array("hello".utf8), Array("more".utf8)], pause: .milliseconds(100))
              : text.contains("close") ? .untilClose(Array("hello".utf8)) : .bytes(Array("hellohello".utf8)),
            cut: .init(afterBytes: text.contains("close") ? 3 : text.contains("chunked") ? 10 : 5, isReset: true)))
      }
      _ = responder
      return .raw(Array("HTTP/1.1 200 OK\r\n\(text)".utf8), closes: true)
    }
    for number in truncated.indices {
      let name = truncated[number]
      do {
        let (response, _) = try await relay.send(
          "POST /cut?n=\(number) \(version)\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        // A reset that overtakes the head leaves nothing to truncate.
        #expect(response.status == 502, "\(name): a clean end with \(response.status) \(response.bodyText)")
      } catch ClientError.violation(let violation) {
        #expect(violation.description.hasPrefix("cut off"), "\(name): \(violation)")
      } catch ClientError.system(let error) {
        #expect(error.description.contains("recv"), "\(name): \(error)")
      }
    }
    try await relay.expectWorks()
  }

  /// A whole answer with bytes behind it that look like the answer to the next request.
  private static let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nX: y\r\n\r\n",
  ])
  func bytesBehindTheMessageNeverBecomeAnAnswer(_ good: String) async throws {
    let relay = try await Self.start { _ in (good + Self.poison, false) }
    let report = try await LoadRun(to: relay.address, callers: 8, .requestsPerCaller(25), OutgoingRequest("/x"))
      .check { $0.bodyText == "poison" ? "poisoned" : nil }.run()
    #expect(report.count == 200 && report.failures.isEmpty, "\(report.failures)")
    let seen = relay.origin.record.requests
    #expect(Set(seen.map(\.connection)).count == seen.count, "a connection was taken again")
    try await relay.expectWorks()
  }

  @Test func bytesOnAnIdleConnectionEndItsUse() async throws {
    let relay = try await Relay.start { request in
      guard request.path == "/late" else { return .answer(.text("after")) }
      return .answer(Answer(body: .bytes(Array("good".utf8))))
    }
    let first = try await relay.gateway.request("GET", "/late")
    #expect(first.bodyText == "good")
    // The origin ends its idle connections: the next request must find another one.
    relay.origin.closeConnections(idleOnly: true)
    for method in ["GET", "POST", "HEAD", "PUT", "DELETE"] {
      let response = try await relay.gateway.request(method, "/after", body: method == "GET" ? nil : [])
      #expect(response.status == 200, "\(method)")
      relay.origin.closeConnections(idleOnly: true)
    }
  }

  /// Every second request on a connection finds it closed: no GET may fail, whatever the moment.
  /// What happens when: An upstream closes an idle connection just when it is used
  @Test(arguments: [Reaction.close, .reset]) func aStaleConnectionIsNoErrorForAGet(_ ending: Reaction) async throws {
    let relay = try await Relay.start { $0.ordinal > 1 ? ending : .answer(.text("fresh")) }
    let report = try await LoadRun(to: relay.address, callers: 4, .requestsPerCaller(100), OutgoingRequest("/x"))
      .check { $0.bodyText == "fresh" ? nil : "\($0.status) \($0.bodyText)" }.run()
    #expect(report.count == 400 && report.isAll(200), "\(report.failures)")
    #expect(relay.origin.record.requests.contains { $0.ordinal > 1 }, "connections were taken again")
  }

  /// With every connection in use, those that must have a new one wait until an old one makes room.
  @Test func aStaleConnectionIsNoErrorAtTheLimitOfConnections() async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in
        configuration.more["workers"] = 1
        configuration.limits["upstream_connections"] = 2
      }
    ) { $0.ordinal > 3 ? .close : .answer(.text("fresh")) }
    let report = try await LoadRun(to: relay.address, callers: 8, .requestsPerCaller(50), OutgoingRequest("/x"))
      .check { $0.bodyText == "fresh" ? nil : "\($0.status) \($0.bodyText)" }.run()
    #expect(report.count == 400 && report.isAll(200), "\(report.failures)")
  }

  /// The same race with a body: it is held, so PUT goes again and is whole; POST must not be repeated.
  @Test func onlyWhatMayBeRepeatedIsRepeated() async throws {
    let relay = try await Relay.start { $0.ordinal > 1 ? .close : .answer(.text("\($0.bodyCount)")) }
    let put = try await LoadRun(
      to: relay.address, callers: 1, .requestsPerCaller(20), OutgoingRequest("PUT", "/put", body: .pattern(100_000))
    ).check { $0.bodyText == "100000" ? nil : "\($0.status) \($0.bodyText)" }.run()
    #expect(put.count == 20 && put.isAll(200), "\(put.failures)")
    let before = relay.origin.record.requests.count { $0.method == "POST" }
    let post = try await LoadRun(
      to: relay.address, callers: 1, .requestsPerCaller(20), OutgoingRequest("POST", "/post", body: .pattern(100))
    ).run()
    let seen = relay.origin.record.requests.count { $0.method == "POST" } - before
    #expect(post.count == 20 && seen == 20, "\(seen) POSTs at the origin")
    #expect(post.statuses.keys.sorted() == [200, 502], "\(post.statuses)")
  }

  /// What happens when: An upstream is down
  @Test func aRefusedConnectionIs502() async throws {
    let relay = try await Relay.start { _ in .answer(.text("origin")) }
    relay.origin.refuse()
    for method in ["GET", "POST"] {
      let response = try await relay.gateway.request(method, "/x", body: method == "GET" ? nil : Array("x".utf8))
      #expect(response.status == 502 && response.problem?.reason == "connection_refused")
      #expect(response.fields["Proxy-Status"]?.contains("error=connection_refused") == true)
    }
    try relay.origin.accept()
    try await relay.expectWorks()
  }

  /// What happens when: An upstream closes or resets a connection without an answer
  @Test(arguments: [Reaction.close, .reset]) func anOriginThatClosesWithoutAnAnswerIs502(_ ending: Reaction)
    async throws
  {
    let relay = try await Relay.start { $0.path == "/after" ? .answer(.text("after")) : ending }
    for (method, times) in [("GET", 2), ("POST", 1)] {
      let before = relay.origin.record.completed
      let response = try await relay.gateway.request(method, "/x", body: method == "GET" ? nil : Array("x".utf8))
      #expect(response.status == 502 && response.problem?.reason == "connection_terminated", "\(response.bodyText)")
      #expect(relay.origin.record.completed - before == times, "\(method)")
    }
    try await relay.expectWorks()
  }

  @Test func anAnswerBeforeAResetStillArrives() async throws {
    let relay = try await Relay.start { request in
      request.path == "/after"
        ? .answer(.text("after"))
        : .answer(Answer(body: .bytes(Array("whole".utf8)), cut: .init(afterBytes: 5, isReset: true)))
    }
    // The body may be overtaken by the reset on loopback; a wrong or a clean shorter answer may not be.
    for _ in 0..<20 {
      do {
        let (response, _) = try await relay.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(response.status == 502 || response.status == 200 && response.bodyText == "whole")
      } catch ClientError.violation(let violation) {
        #expect(violation.description.hasPrefix("cut off"))
      } catch ClientError.system(let error) {
        #expect(error.description.contains("recv"))
      }
    }
    try await relay.expectWorks()
  }

  /// What happens when: An upstream does not answer
  @Test func anOriginThatDoesNotAnswerIs504AfterItsTime() async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in configuration.timeouts["response_head"] = "700ms" }
    ) { $0.path == "/after" ? .answer(.text("after")) : .hang }
    let clock = ContinuousClock()
    let begin = clock.now
    let response = try await relay.gateway.request("GET", "/x")
    let time = clock.now - begin
    #expect(response.status == 504 && response.problem?.reason == "response_head_timeout", "\(response.bodyText)")
    #expect(response.fields["Proxy-Status"]?.contains("error=http_response_timeout") == true)
    #expect(time >= .milliseconds(690) && time < .seconds(5), "\(time)")
    try await Deadline.wait("the request is given up") { relay.origin.record.openConnections == 0 }
    #expect(relay.origin.record.completed == 1, "nobody was asked twice")
    try await relay.expectWorks()
  }

  @Test(arguments: [false, true]) func anAnswerAheadOfTheBodyArrives(isClosing: Bool) async throws {
    let refusal = Answer.text("no, thanks", status: 403)
    let relay = try await Relay.start(
      script: ServerScript(
        onHead: { request in
          request.path == "/after" ? .keep : isClosing ? .answerAndClose(refusal) : .answerFirst(.answer(refusal))
        }, onRequest: { _ in .answer(.text("after")) }))
    for isChunked in [false, true] {
      let response = try await relay.talk { client in
        let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 1000000"
        try client.send("POST /x HTTP/1.1\r\nHost: localhost\r\n\(framing)\r\n\r\n")
        return try client.response()
      }
      #expect(response.status == 403 && response.bodyText == "no, thanks")
      #expect(!response.head.keepsAlive, "what is left of the body can't be told from the next request")
    }
    // Callers that send all the same.
    let report = try await LoadRun(
      to: relay.address, callers: 2, .requestsPerCaller(5), OutgoingRequest("POST", "/x", body: .pattern(200_000))
    ).check { $0.bodyText == "no, thanks" ? nil : $0.bodyText }.run()
    #expect(report.count == 10 && report.isAll(403), "\(report.failures)")
    try await relay.expectWorks()
  }
}
