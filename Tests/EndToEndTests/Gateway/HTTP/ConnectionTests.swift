// Downstream connections: pipelining, keep-alive, HTTP/1.0, Expect, deadlines, and callers that go away.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct ConnectionTests {
  private static let echo: @Sendable (IncomingRequest) -> Reaction = {
    .answer(.text("\($0.method) \($0.target) \($0.bodyText)"))
  }

  private static func get(_ target: String, _ lines: [String] = [], version: String = "HTTP/1.1") -> String {
    "GET \(target) \(version)\r\nHost: localhost\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
  }

  @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
    // Every third answer is late: those behind it must wait.
    let relay = try await Relay.start { request in
      let answer = Answer.text("\(request.target) \(request.bodyText)")
      return request.target.hasSuffix("3") ? .after(.milliseconds(30)) { .answer(answer) } : .answer(answer)
    }
    let texts = try await relay.talk { client in
      var requests = ""
      for number in 0..<60 {
        switch number % 3 {
        case 0: requests += Self.get("/\(number)")
        case 1: requests += "POST /\(number) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"
        default:
          requests +=
            "PUT /\(number) HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nch\r\n4\r\nunks\r\n0\r\n\r\n"
        }
      }
      try client.send(requests)
      return try (0..<60).map { _ in try client.response().bodyText }
    }
    #expect(texts == (0..<60).map { "/\($0) \(["", "body", "chunks"][$0 % 3])" })
    #expect(relay.origin.record.violations == [])
  }

  @Test func aRequestInSingleBytesIsOneRequest() async throws {
    let relay = try await Relay.start(answer: Self.echo)
    let texts = try await relay.talk { client in
      var texts: [String] = []
      for _ in 0..<3 {
        try client.drip(
          "\r\nPOST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\none\r\n3\r\ntwo\r\n0\r\nX-T: y\r\n\r\n"
        )
        texts.append(try client.response().bodyText)
        try client.drip("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")
        texts.append(try client.response().bodyText)
      }
      return texts
    }
    #expect(texts == Array(repeating: ["POST /x onetwo", "POST /x abc"], count: 3).flatMap { $0 })
    #expect(relay.origin.record.violations == [])
  }

  @Test(arguments: [
    ("HTTP/1.1", [], true), ("HTTP/1.1", ["Connection: close"], false), ("HTTP/1.1", ["Connection: foo, Close"], false),
    ("HTTP/1.0", [], false), ("HTTP/1.0", ["Connection: keep-alive"], true),
    ("HTTP/1.0", ["Connection: keep-alive, close"], false), ("HTTP/1.0", ["Proxy-Connection: keep-alive"], false),
  ]) func connectionsPersistAsTheCallerSays(_ version: String, _ lines: [String], _ persists: Bool) async throws {
    let relay = try await Relay.start(answer: Self.echo)
    let (response, closes) = try await relay.talk { client in
      try client.send(Self.get("/1", lines, version: version))
      let response = try client.response()
      if !persists { return (response, client.isClosedByPeer()) }
      try client.send(Self.get("/2", version: "HTTP/1.1"))
      return (try client.response(), false)
    }
    #expect(response.bodyText == (persists ? "GET /2 " : "GET /1 "))
    #expect(response.head.keepsAlive == persists && closes == !persists)
  }

  @Test func anHTTP10CallerNeverGetsChunks() async throws {
    let relay = try await Relay.start { request in
      .answer(Answer(body: .chunks([Array("one".utf8), Array(request.head.version.utf8)])))
    }
    let (response, closes) = try await relay.send(Self.get("/", ["Connection: keep-alive"], version: "HTTP/1.0"))
    #expect(response.bodyText == "oneHTTP/1.1" && closes)
    #expect(!response.fields.contains("Transfer-Encoding"))
    // HTTP/1.0 does not ask for a Host, but a listener that checks hosts does.
    let (hostless, _) = try await relay.send("GET / HTTP/1.0\r\n\r\n")
    #expect(hostless.status == 421)
  }

  @Test func aCallerThatWaitsForA100GetsOneAndNoneWaitsWithoutEnd() async throws {
    let relay = try await Relay.start(answer: Self.echo)
    let (interim, text) = try await relay.talk { client in
      try client.send("POST /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n")
      guard case .head(let head)? = try client.event(), case .end? = try client.event() else {
        throw ClientError.check("no interim answer")
      }
      try client.send("body")
      return (head.status, try client.response().bodyText)
    }
    #expect(interim == 100 && text == "POST /x body")
    // A caller may send its body unasked.
    let (eager, _) = try await relay.send(
      "POST /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
    #expect(eager.bodyText == "POST /x body" && eager.interim.count <= 1)
    let (old, _) = try await relay.send(
      "POST /x HTTP/1.0\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
    #expect(old.bodyText == "POST /x body" && old.interim.isEmpty)
    let (unknown, _) = try await relay.send(Self.get("/x", ["Expect: something-else"]))
    #expect(unknown.status == 417)
  }

  @Test func aDrippedHeadIsCutAtItsAbsoluteDeadline() async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in configuration.timeouts["request_head"] = "1s" }, answer: Self.echo)
    let (status, reason, closes, time) = try await relay.talk { client in
      let clock = ContinuousClock()
      let begin = clock.now
      try client.send("GET / HTTP/1.1\r\nHost: localhost\r\n")
      // A byte at each step keeps the line alive; only an absolute deadline ends it.
      var response: ReceivedResponse?
      while response == nil, clock.now - begin < .seconds(8) {
        try client.send("X: y\r\n")
        do { response = try client.response(within: .milliseconds(50)) } catch ClientError.timedOut {}
      }
      return (response?.status, response?.problem?.reason, client.isClosedByPeer(), clock.now - begin)
    }
    #expect(status == 408 && reason == "request_timeout" && closes)
    #expect(time >= .milliseconds(950) && time < .seconds(7), "\(time)")
    #expect(relay.origin.record.heads == 0)
  }

  @Test func aNewConnectionWithoutARequestAndAnIdleOneAreClosed() async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in configuration.timeouts["idle"] = "700ms" }, answer: Self.echo)
    let times = try await relay.talk { client in
      let clock = ContinuousClock()
      try client.send(Self.get("/x"))
      _ = try client.response()
      let begin = clock.now
      // Bytes would be an answer to nothing: the connection just ends.
      let bytes = try client.bytesToEnd()
      return (clock.now - begin, bytes.count)
    }
    #expect(times.0 >= .milliseconds(600) && times.0 < .seconds(5) && times.1 == 0, "\(times)")
    let fresh = try await relay.talk { try $0.bytesToEnd().count }
    #expect(fresh == 0)
  }

  /// What happens when: A caller goes away
  @Test(arguments: [false, true]) func aCallerThatGoesAwayAbortsTheUpstreamRequest(isResetting: Bool) async throws {
    let relay = try await Relay.start { $0.path == "/after" ? .answer(.text("after")) : .hang }
    let origin = relay.origin
    try await relay.talk { client in
      try client.send(Self.get("/hang"))
      try Deadline.block("the origin has the request") { origin.record.completed == 1 }
      client.close(resetting: isResetting)
    }
    try await Deadline.wait("it is aborted") { relay.origin.record.abandoned == 1 }
    try await relay.expectWorks()
  }

  @Test func aCallerThatGoesAwayAmidAnAnswerOrAnUploadAbortsIt() async throws {
    let relay = try await Relay.start(
      script: ServerScript(onHead: { _ in .digest }) { request in
        request.path == "/after" ? .answer(.text("after")) : .answer(Answer(body: .pattern(64 << 20)))
      })
    let origin = relay.origin
    try await relay.talk { client in
      try client.send(Self.get("/download"))
      _ = try client.head()
      client.close()
    }
    try await Deadline.wait("the download is aborted") { origin.record.abandoned == 1 }
    try await relay.talk { client in
      try client.send("POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
      try Deadline.block("the origin has the head") { origin.record.heads == 2 }
      client.close()
    }
    try await Deadline.wait("the upload is aborted") { origin.record.abandoned == 2 }
    #expect(origin.record.completed == 1, "half an upload is none")
    try await relay.expectWorks()
    #expect(origin.record.violations == [])
  }
}
