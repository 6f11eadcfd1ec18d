// The scripted server against the raw client and the load client: what the gateway's tests stand on.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite struct ScriptedServerTests {
  static let echo: @Sendable (IncomingRequest) -> Reaction = { request in
    .answer(.text("\(request.method) \(request.target) \(request.bodyText)"))
  }

  @Test func keepAliveAndPipelinedRequestsAreAnsweredInOrder() async throws {
    let server = try ScriptedServer(recording: .bytes, Self.echo)
    let sent = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
    let texts = try await OwnThread.run { [address = server.address] in
      let client = try RawClient(to: address)
      try client.send(sent)
      let first = try client.response()
      let second = try client.response()
      try client.send("GET /3 HTTP/1.0\r\n\r\n")
      let third = try client.response()
      #expect(third.fields["Connection"] == "close")
      #expect(client.isClosedByPeer())
      return [first, second, third].map(\.bodyText)
    }
    #expect(texts == ["GET /1 ", "POST /2 hi", "GET /3 "])
    let record = server.record
    #expect(record.connections == 1 && record.completed == 3 && record.violations.isEmpty)
    #expect(record.requests.map(\.ordinal) == [1, 2, 3])
    #expect(record.bytes[1] == Array((sent + "GET /3 HTTP/1.0\r\n\r\n").utf8))
  }

  @Test func aRequestByteByByteIsOneRequest() async throws {
    let server = try ScriptedServer(Self.echo)
    let text = try await OwnThread.run { [address = server.address] in
      let client = try RawClient(to: address)
      try client.drip("POST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
      return try client.response().bodyText
    }
    #expect(text == "POST /d ab")
  }

  @Test func aMalformedRequestIsRecorded() async throws {
    let server = try ScriptedServer(Self.echo)
    let status = try await OwnThread.run { [address = server.address] in
      let client = try RawClient(to: address)
      try client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
      return try client.response().status
    }
    #expect(status == 400)
    #expect(server.record.violations == ["Content-Length and Transfer-Encoding"])
  }

  @Test func bodiesComeWithLengthChunkedAndInPieces() async throws {
    let server = try ScriptedServer { request in
      switch request.path {
      case "/length": .answer(Answer(body: .pattern(200_000)))
      case "/chunked": .answer(Answer(body: .pattern(200_000, isChunked: true), trailers: [FieldLine("T", "end")]))
      case "/pieces": .answer(Answer(body: .chunks([[1], [], [2, 3]], pause: .milliseconds(20))))
      case "/until-close": .answer(Answer(body: .untilClose([9, 9])))
      case "/hints": .answer(Answer(204, interim: [(103, [FieldLine("Link", "x")])]))
      default: .answer(Answer(404))
      }
    }
    try await OwnThread.run { [address = server.address] in
      let client = try RawClient(to: address)
      func get(_ path: String, _ method: String = "GET") throws -> ReceivedResponse {
        try client.send("\(method) \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
        return try client.response(toHead: method == "HEAD")
      }
      #expect(try get("/length").body == BodyPattern.prefix(200_000))
      #expect(try get("/length", "HEAD").fields["Content-Length"] == "200000")
      let chunked = try get("/chunked")
      #expect(chunked.body == BodyPattern.prefix(200_000))
      #expect(chunked.trailers == [FieldLine("T", "end")])
      #expect(try get("/pieces").body == [1, 2, 3])
      #expect(try get("/hints").interim.map(\.status) == [103])
      #expect(try get("/until-close").body == [9, 9])
    }
  }

  @Test func expectationIsMetBeforeTheBody() async throws {
    let server = try ScriptedServer(Self.echo)
    let statuses = try await OwnThread.run { [address = server.address] in
      let client = try RawClient(to: address)
      try client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
      let interim = try client.head()
      #expect(try client.event() == .end(trailers: []))
      try client.send("hi")
      return [interim.status, try client.response().status]
    }
    #expect(statuses == [100, 200])
  }

  @Test func anAnswerCanComeBeforeTheBody() async throws {
    let server = try ScriptedServer(
      script: ServerScript(
        onHead: { $0.path == "/first" ? .answerFirst(.answer(Answer(401))) : .answerAndClose(Answer(401)) },
        onRequest: { _ in .answer(Answer(500)) }))
    try await OwnThread.run { [address = server.address] in
      let client = try RawClient(to: address)
      try client.send("POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
      #expect(try client.response().status == 401)
      try client.send("abcPOST /close HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
      let last = try client.response()
      #expect(last.status == 401 && last.fields["Connection"] == "close")
      #expect(client.isClosedByPeer())
    }
    #expect(server.record.completed == 1)
  }

  @Test func connectionsEndAsTheScriptSays() async throws {
    let server = try ScriptedServer { request in
      switch request.path {
      case "/close": .close
      case "/reset": .reset
      case "/cut": .answer(Answer(body: .pattern(100_000), cut: .init(afterBytes: 70_000)))
      case "/raw": .raw(Array("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc".utf8), closes: true)
      default: .hang
      }
    }
    try await OwnThread.run { [address = server.address] in
      #expect(throws: ClientError.closed) { try RawClient.request("GET", "/close", to: address) }
      #expect(throws: ClientError.system(SystemError("recv", errno: 104))) {
        try RawClient.request("GET", "/reset", to: address)
      }
      #expect(throws: ClientError.violation(MessageViolation("cut off in the body"))) {
        try RawClient.request("GET", "/cut", to: address)
      }
      let raw = try RawClient(to: address)
      try raw.send("GET /raw HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(String(decoding: try raw.bytesToEnd(), as: UTF8.self).hasSuffix("\r\n\r\nabc"))
      #expect(throws: ClientError.timedOut) {
        try RawClient.request("GET", "/hang", to: address, within: .milliseconds(50))
      }
    }
    try await Deadline.wait("the hanging request is given up") { server.record.abandoned == 1 }
    try await Deadline.wait("all connections are closed") { server.record.openConnections == 0 }
  }

  @Test func anAnswerCanBeGivenLater() async throws {
    let waiting = Shared(Mutex<[Responder]>([]))
    let server = try ScriptedServer { request in
      if let responder = request.responder { waiting.value.withLock { $0.append(responder) } }
      return .later
    }
    async let response = OwnThread.run { [address = server.address] in try RawClient.request("GET", "/", to: address) }
    try await Deadline.wait("the request is there") { waiting.value.withLock { $0.count == 1 } }
    waiting.value.withLock { $0[0] }.respond(.after(.milliseconds(1)) { .answer(Answer(202)) })
    #expect(try await response.status == 202)
  }

  @Test func tenMebibytesGoBothWays() async throws {
    let size = 10 << 20
    let server = try ScriptedServer(
      script: ServerScript(
        onHead: { _ in .digest },
        onRequest: { .answer(Answer(fields: [FieldLine("X-Sum", "\($0.fingerprint)")], body: .pattern(size))) }))
    var run = LoadRun(to: server.address, callers: 2, .requestsPerCaller(2)) { caller, ordinal in
      OutgoingRequest("POST", "/", body: .pattern(size, isChunked: (caller + ordinal) % 2 == 0))
    }
    run.keepsBodies = false
    let expected = BodyDigest.ofPattern(count: size)
    run.check = { response in
      if response.fields["X-Sum"] != "\(expected)" { return "the upload differs" }
      return response.fingerprint == expected ? nil : "the download differs"
    }
    let report = try await run.run()
    #expect(report.isAll(200) && report.count == 4, "\(report.failures)")
  }

  @Test func aStalledReaderHoldsTheWriterUp() async throws {
    let server = try ScriptedServer(
      script: ServerScript(
        onHead: { _ in .stall(afterBytes: 1000, .milliseconds(400)) },
        onRequest: { .answer(.text("\($0.bodyCount)")) }))
    try await OwnThread.run { [address = server.address] in
      let client = try RawClient(to: address)
      let size = 32 << 20
      try client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n")
      let body = [UInt8](repeating: 7, count: size)
      let first = try client.sendSome(body, within: .milliseconds(100))
      #expect(first < size)
      try client.send(Array(body[first...]))
      #expect(try client.response().bodyText == "\(size)")
    }
  }

  @Test func aThousandConnectionsAtOnce() async throws {
    let server = try ScriptedServer(recording: .counts) { _ in .after(.milliseconds(300)) { .answer(.text("late")) } }
    let report = try await LoadRun(to: server.address, callers: 1000, .requestsPerCaller(2), OutgoingRequest("/")).run()
    #expect(report.isAll(200) && report.count == 2000, "\(report.failures)")
    #expect(report.connections == 1000 && server.record.connections == 1000)
    #expect(server.record.violations.isEmpty)
  }

  @Test func aPortCanRefuseForAWhile() async throws {
    let server = try ScriptedServer(Self.echo)
    let refused = ClientError.system(SystemError("connect", errno: 111))
    let get: @Sendable () throws -> Int = { [address = server.address] in
      try RawClient.request("GET", "/", to: address).status
    }
    server.refuse()
    await #expect(throws: refused) { try await OwnThread.run(get) }
    try server.accept()
    #expect(try await OwnThread.run(get) == 200)
    server.refuse(for: .milliseconds(50))
    try await Deadline.wait("the port is open again") { (try? await OwnThread.run(get)) == 200 }
  }
}

@Suite struct LoadRunTests {
  @Test func newConnectionsForEachRequestAndStopByTime() async throws {
    let server = try ScriptedServer { _ in .answer(.text("x")) }
    var run = LoadRun(to: server.address, callers: 3, .time(.milliseconds(200)), OutgoingRequest("/"))
    run.keepsConnections = false
    let report = try await run.run()
    #expect(report.isAll(200), "\(report.failures)")
    #expect(report.connections == report.count && report.count > 3)
    #expect(report.entries.allSatisfy { $0.start < .milliseconds(250) })
  }

  @Test func failuresAreCountedByKind() async throws {
    let server = try ScriptedServer { request in
      switch request.path {
      case "/0": .close
      case "/1": .hang
      case "/2": .answer(Answer(body: .pattern(10), cut: .init(afterBytes: 5)))
      default: .answer(Answer(503))
      }
    }
    var run = LoadRun(to: server.address, callers: 5, .requestsPerCaller(1)) { caller, _ in
      OutgoingRequest("/\(caller)")
    }
    run.timeout = .seconds(2)
    run.check = { $0.status == 503 ? "unavailable" : nil }
    let report = try await run.run()
    #expect(
      report.failures == [
        "closed without an answer": 1, "timed out": 1, "cut off in the body": 1, "unavailable": 2,
      ])
    #expect(report.statuses[503] == 2 && report.count == 5 && !report.isAll(503))
  }

  @Test func aRefusedConnectionIsAFailure() async throws {
    let server = try ScriptedServer { _ in .answer(Answer()) }
    server.refuse()
    let report = try await LoadRun(to: server.address, callers: 1, .requestsPerCaller(1), OutgoingRequest("/")).run()
    #expect(report.failureCount == 1 && report.statuses.isEmpty)
  }

  @Test func aRunCanBeStopped() async throws {
    let server = try ScriptedServer { _ in .answer(Answer()) }
    let running = try LoadRun(to: server.address, callers: 2, .time(.seconds(600)), OutgoingRequest("/")).start()
    try await Deadline.wait("requests are under way") { running.progress.count > 10 }
    running.stop()
    #expect(try await running.report().isAll(200))
  }
}
