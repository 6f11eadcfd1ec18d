// What stands in the access log, request by request.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(2))) struct AccessLogTests {
  private static func relay(
    _ more: [(String, OrderedJSON)] = [], configure: @escaping (inout GatewayConfiguration) -> Void = { _ in },
    answer: @escaping @Sendable (IncomingRequest) -> Reaction
  ) async throws -> Relay {
    try await Relay.start(
      configure: { configuration, _ in
        configuration.logAccess(more)
        configuration.more["workers"] = 1
        configure(&configuration)
      }, answer: answer)
  }

  @Test func aPlainRequest() async throws {
    let relay = try await Self.relay { _ in .after(.milliseconds(50)) { .answer(.text("hello")) } }
    try await relay.talk { client in
      for path in ["/first?a=b", "/second"] {
        try client.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test/1 \"x\"\r\n\r\n")
        _ = try client.response()
      }
    }
    let lines = try await relay.gateway.accessLines(2)
    for (line, path) in zip(lines, ["/first?a=b", "/second"]) {
      let isReused = line["reused"]?.bool == true
      #expect(
        line.keys.union(["upstream_connect"]) == [
          "time", "request_id", "listener", "peer", "method", "host", "path", "status", "bytes_in", "bytes_out",
          "duration", "route", "replayed", "upstream", "upstream_connect", "reused", "upstream_first_byte",
          "upstream_status", "user_agent",
        ])
      #expect(line.text("time")?.wholeMatch(of: #/20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ/#) != nil)
      #expect(line.text("listener") == "main" && line.text("peer") == "127.0.0.1" && line.text("route") == "all")
      #expect(line.text("method") == "GET" && line.text("host") == "localhost" && line.path == path)
      #expect(line.status == 200 && line.int("upstream_status") == 200 && line["replayed"]?.bool == false)
      #expect(line.int("bytes_in") == 0 && line.int("bytes_out") == 5)
      #expect(line.text("upstream") == "\(relay.origin.address)" && line.text("user_agent") == "test/1 \"x\"")
      let duration = line.number("duration") ?? 0
      let firstByte = line.number("upstream_first_byte") ?? 0
      #expect(duration >= 0.049 && duration < 10 && firstByte >= 0.049 && firstByte <= duration, "\(duration)")
      let connect = line.number("upstream_connect") ?? (isReused ? 0 : -1)
      #expect(connect >= 0 && connect < 5)
    }
    #expect(lines.map { $0["reused"]?.bool } == [false, true])
    let seen = relay.origin.record.requests.map { $0.fields["X-Request-ID"] }
    #expect(lines.map { $0.text("request_id") } == seen && Set(seen).count == 2, "the id that the upstream got")
  }

  @Test func aCallersRequestIDAndItsEscapes() async throws {
    let relay = try await Self.relay { _ in .answer(.text("hello")) }
    try await relay.talk { client in
      let id = Array("X-Request-ID: my\"id\\ \t".utf8) + [0xff, 0xc3, 0xa9]
      try client.send(
        Array("POST /a\"b\\c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n".utf8) + id
          + Array("\r\n\r\nabc".utf8))
      _ = try client.response()
    }
    let line = try await relay.gateway.accessLines(1)[0]
    #expect(line.text("request_id") == "my\"id\\ \t\\xffé" && line.path == "/a\"b\\c" && line.int("bytes_in") == 3)
  }

  @Test func errorsOfOurOwn() async throws {
    let nobody = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    let relay = try await Self.relay(configure: { configuration in
      configuration.routes = [
        GatewayConfiguration.route("dead", prefix: "/dead/", to: nobody, credential: nil),
        GatewayConfiguration.route(
          "small", prefix: "/small/", to: nobody, credential: nil, more: [("limits", ["request_body": "10B"])]),
      ]
      configuration.timeouts["request_head"] = "300ms"
    }) { _ in .hang }
    let gateway = relay.gateway
    let bodies = [
      try await gateway.request("GET", "/dead/x?access_token=made-up-1"),
      try await gateway.request("HEAD", "/dead/x"), try await gateway.request("GET", "/none?id_token=made-up-2&b=1"),
      try await gateway.request("POST", "/small/x", body: Array("more than ten".utf8)),
    ].map(\.body.count)
    try await relay.talk { client in
      try client.send("GET /x y HTTP/1.1\r\nHost: made-up-3\r\n\r\n")
      _ = try client.response()
    }
    try await relay.talk { client in
      try client.send("GET /never")
      _ = try client.response()
    }
    let lines = try await gateway.accessLines(6)
    #expect(lines.map(\.status) == [502, 502, 404, 413, 400, 408])
    #expect(
      lines.map(\.path) == [
        "/dead/x?access_token=REDACTED", "/dead/x", "/none?id_token=REDACTED&b=1", "/small/x", nil, nil,
      ])
    #expect(lines.map { $0.text("method") } == ["GET", "HEAD", "GET", "POST", nil, nil])
    #expect(lines.map { $0.text("route") } == ["dead", "dead", nil, nil, nil, nil])
    #expect(lines[0].text("proxy_status") == "connection_refused" && lines[0].text("reason") == "connection_refused")
    #expect(
      lines.dropFirst(2).map { $0.text("reason") } == [
        "no_route", "body_too_large", lines[4].text("reason"), "request_timeout",
      ])
    #expect(lines.prefix(4).map { $0.int("bytes_out") } == bodies && bodies[0] > 0 && bodies[1] == 0)
    #expect(lines.allSatisfy { $0["upstream"] == nil && $0["cut"] == nil && $0["upstream_status"] == nil })
    #expect(Set(lines.map { $0.text("request_id") }).count == 6)
    SecretMarks.expectNone(in: gateway.accessLogText)
  }

  @Test func aClientThatGoesAwayFirst() async throws {
    let relay = try await Self.relay { request in
      request.path == "/hang" ? .hang : .answer(Answer(body: .pattern(64 << 20)))
    }
    try await relay.talk { client in
      try client.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
      try Deadline.block("the origin has it") { relay.origin.record.completed == 1 }
    }
    _ = try await relay.gateway.accessLines(1)
    try await relay.talk { client in
      try client.send("GET /download HTTP/1.1\r\nHost: localhost\r\n\r\n")
      _ = try client.head()
      _ = try client.event()
      client.close(resetting: true)
    }
    let lines = try await relay.gateway.accessLines(2)
    #expect(lines.map(\.status) == [499, 499] && lines.map(\.path) == ["/hang", "/download"])
    #expect(
      lines[0].int("bytes_out") == 0 && lines[0]["upstream_status"] == nil && lines[0]["upstream_first_byte"] == nil)
    #expect(lines[0].text("upstream") == "\(relay.origin.address)")
    let sent = lines[1].int("bytes_out") ?? 0
    #expect(lines[1].int("upstream_status") == 200 && sent > 0 && sent < 64 << 20, "\(sent)")
    #expect(lines.allSatisfy { $0["reason"] == nil })
  }

  @Test func anAnswerThatIsCut() async throws {
    let relay = try await Self.relay { _ in
      .answer(Answer(body: .pattern(100_000), cut: Answer.Cut(afterBytes: 50_000)))
    }
    await #expect(throws: (any Error).self) { try await relay.gateway.request("GET", "/x") }
    let line = try await relay.gateway.accessLines(1)[0]
    #expect(line.status == 200 && line["cut"]?.bool == true && line.text("reason") == "connection_terminated")
    #expect(line.int("bytes_out") == 50_000 && line.int("upstream_status") == 200)
  }

  @Test(arguments: [false, true]) func largeBodies(isChunked: Bool) async throws {
    let size = 10 << 20
    let relay = try await Relay.start(
      recording: .counts,
      script: ServerScript(onHead: { _ in .digest }) { _ in .answer(Answer(body: .pattern(size, isChunked: isChunked)))
      }
    ) { configuration, _ in configuration.logAccess() }
    var run = LoadRun(
      to: relay.address, callers: 2, .requestsPerCaller(2),
      OutgoingRequest("POST", "/big", body: .pattern(size, isChunked: isChunked)))
    run.keepsBodies = false
    let report = try await run.run()
    #expect(report.isAll(200), "\(report.failures)")
    for line in try await relay.gateway.accessLines(4) {
      #expect(line.int("bytes_in") == size && line.int("bytes_out") == size && line.status == 200)
    }
  }

  @Test func aReplayed401AndNoSecretAnywhere() async throws {
    let rig = try await TokenRig { $0.logAccess() }
    #expect(try await rig.get("/vinid/echo").status == 200)
    rig.sandbox.revokeAccessTokens(.vinid)
    let response = try await rig.request(
      "POST", "/vinid/echo?refresh_token=made-up-1&x=1", fields: [FieldLine("Authorization", "Bearer made-up-2")],
      body: Array("made-up-3".utf8))
    #expect(response.status == 200)
    let lines = try await rig.gateway.accessLines(2)
    let generation = try #require(lines[0].int("generation"))
    for line in lines {
      #expect(line.status == 200 && line.text("route") == "vinid" && line.text("credential") == "vinid")
      #expect(line.text("upstream") == "\(rig.sandbox.addresses.vinid)" && line.int("upstream_status") == 200)
    }
    #expect(lines.map { $0["replayed"]?.bool } == [false, true])
    #expect(lines[1].int("generation") == generation + 1, "of the lease that was sent last")
    #expect(lines[1].path == "/vinid/echo?refresh_token=REDACTED&x=1")
    #expect((lines[1].number("duration") ?? 0) > (lines[1].number("upstream_first_byte") ?? 9))
    try await rig.finish()
    for secret in TokenRig.secrets + ["made-up"] { #expect(!rig.gateway.accessLogText.contains(secret)) }
  }

  @Test func aRejectionThatIsPassedOnIsTheUpstreams() async throws {
    let rig = try await TokenRig { $0.logAccess() }
    let response = try await rig.get("/vinid/status/401")
    let line = try await rig.gateway.accessLines(1)[0]
    #expect(line.status == response.status && line["reason"] == nil && line["proxy_status"] == nil)
    #expect(line.int("upstream_status") == response.status)
    try await rig.finish()
  }

  @Test func theCombinedFormatAndListedParameters() async throws {
    let relay = try await Self.relay([("format", "combined"), ("redact", ["Key"])]) { _ in .answer(.text("hello")) }
    let fields: FieldList = [
      FieldLine("Referer", "http://x.example/?key=made-up-1&a=b"), FieldLine("User-Agent", "curl\\8"),
    ]
    _ = try await relay.gateway.request("GET", "/p?KEY=made-up-2&access_token=1", fields: fields)
    try await relay.gateway.process.waitWhileRunning("a line") { !relay.gateway.accessLogText.isEmpty }
    let text = relay.gateway.accessLogText
    let pattern =
      #/127\.0\.0\.1 - - \[\d\d/\w+/\d{4}(:\d\d){3} \+0000\] "GET /p\?KEY=REDACTED&access_token=1 HTTP/1\.1" 200 5 "http://x\.example/\?key=REDACTED&a=b" "curl\\x5c8"\n/#
    #expect(text.wholeMatch(of: pattern) != nil, "\(text)")
    // The operational log stays JSON.
    #expect(try relay.gateway.log.split(separator: "\n").allSatisfy { $0.hasPrefix("{") })
  }

  @Test(arguments: ["stdout", "stderr"]) func theProcesssOwnOutputs(name: String) async throws {
    let relay = try await Relay.start(configure: { configuration, _ in configuration.logAccess(to: name) }) { _ in
      .answer(.text("hello"))
    }
    _ = try await relay.gateway.request("GET", "/here")
    let process = try relay.gateway.process
    try await process.waitWhileRunning("a line") {
      (name == "stdout" ? process.output : process.errors).contains("\"path\":\"/here\"")
    }
    #expect(AccessLines.parse(process.output + process.errors).count { $0.path == "/here" } == 1)
  }

  @Test func offMeansOff() async throws {
    let relay = try await Relay.start { _ in .answer(.text("hello")) }
    _ = try await relay.gateway.request("GET", "/here")
    try relay.gateway.process.send(SignalSource.reopen)
    try await relay.gateway.process.waitWhileRunning("the signal is noted") {
      try relay.gateway.log.contains("no access log file to open again")
    }
    try await relay.expectWorks()
    #expect(try await relay.gateway.stop() == .code(0))
    #expect(try !relay.gateway.log.contains("/here"))
  }

  @Test(arguments: ["check", "serve"]) func aPathThatCannotBeOpenedIsSaidAtOnce(command: String) async throws {
    let gateway = try GatewayUnderTest()
    var configuration = GatewayConfiguration.empty
    configuration.routes = [Relay.plainRoute(to: .ipv4(0x7f00_0001, port: 1))]
    configuration.logAccess(to: "nowhere/access.log")
    try gateway.write(configuration)
    let (exit, _, errors) = try await gateway.command([command, "--config", gateway.configurationPath])
    #expect(exit == .code(1))
    #expect(
      errors.contains("log.access: directory \(gateway.directory.path)/nowhere cannot be read: No such file"),
      "\(errors)")
    #expect(TemporaryDirectory.read(gateway.accessLogPath) == nil)
  }
}
