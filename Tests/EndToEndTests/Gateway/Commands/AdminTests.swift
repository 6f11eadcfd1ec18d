// The admin listener as such: who may use it, bodies of all kinds, and answers that come later.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct AdminTests {
  private static let refresh = "/api/credentials/main/refresh"
  private static let tokens = "/api/credentials/main/tokens"
  private static let json = ("Content-Type", "application/json")

  private func call(
    _ gateway: GatewayUnderTest, _ method: String, _ path: String, _ fields: [(String, String)] = [],
    body: String? = nil
  ) async throws -> ReceivedResponse {
    let (admin, list) = (gateway.admin, FieldList(fields))
    let response = try await OwnThread.run {
      try RawClient.request(
        method, path, to: admin, fields: list, body: body.map { Array($0.utf8) }, within: .seconds(60))
    }
    SecretMarks.expectNone(in: response.bodyText)
    return response
  }

  /// What another site's page can make a browser send: it does nothing.
  @Test func pagesOfOtherSitesAreRefused() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    let own = "http://\(gateway.admin)"
    for (method, path, fields, status) in [
      ("GET", "/api/credentials", [("Origin", "https://evil.example")], 403),
      ("GET", "/healthz", [("Origin", "null")], 403),
      ("GET", "/healthz", [("Origin", "http://127.0.0.1:1")], 403),
      ("GET", "/healthz", [("Origin", own.replacing("http", with: "https"))], 403),
      ("GET", "/healthz", [("Origin", own), ("Origin", "https://evil.example")], 403),
      ("GET", "/healthz", [("Origin", own)], 200),
      ("GET", "/healthz", [("Host", "evil.example")], 421),
      ("POST", Self.refresh, [], 403),
      ("POST", Self.refresh, [("Content-Type", "text/plain")], 403),
      ("POST", Self.refresh, [("Content-Type", "application/x-www-form-urlencoded")], 403),
      ("POST", Self.refresh, [("Content-Type", "text/plain"), Self.json], 403),
      ("POST", Self.refresh, [Self.json, ("Origin", "https://evil.example")], 403),
      ("PUT", Self.tokens, [("Content-Type", "text/plain;application/json")], 403),
      ("OPTIONS", Self.refresh, [("Origin", "https://evil.example")], 403),
      ("OPTIONS", Self.refresh, [("Origin", own)], 405),
      ("GET", Self.refresh, [], 405), ("DELETE", "/api/credentials", [Self.json], 405),
      ("POST", "/api/credentials/nobody/refresh", [Self.json], 404), ("GET", "/nothing", [], 404),
      ("GET", "/api/credentials/main", [], 200), ("GET", "/api/credentials/nobody", [], 404),
      ("HEAD", "/healthz", [], 200),
    ] as [(String, String, [(String, String)], Int)] {
      let response = try await call(gateway, method, path, fields)
      #expect(response.status == status, "\(method) \(path) \(fields): \(response.bodyText)")
      #expect(response.fields["Access-Control-Allow-Origin"] == nil)
    }
    #expect(try await server.tally().tokens.count == 1, "a refresh went out")
    for fields in [
      [Self.json], [("Content-Type", "Application/JSON; charset=utf-8")], [("X-Gateway-Admin", "1")],
      [Self.json, ("Origin", own)],
    ] {
      #expect(try await call(gateway, "POST", Self.refresh, fields).status == 200, "\(fields)")
    }
    #expect(try await server.tally().tokens.count == 5)
    #expect(try await gateway.stop() == .code(0))
  }

  @Test func theTokenOpensAllButTheProbes() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try GatewayUnderTest()
    var configuration = server.configuration()
    configuration.more["admin"] = [
      "address": .string("0.0.0.0:\(gateway.admin.port)"), "token": ["value": "made-up-admin-token"],
    ]
    try gateway.write(configuration)
    try await gateway.start()
    func status(_ path: String, _ values: String...) async throws -> Int {
      // Off loopback any name may lead here.
      try await call(gateway, "GET", path, [("Host", "gateway.internal")] + values.map { ("Authorization", $0) }).status
    }
    for path in ["/healthz", "/readyz"] { #expect(try await status(path) == 200) }
    for path in ["/api/credentials", "/nothing"] {
      #expect(try await status(path) == 401)
      for wrong in [
        "Bearer", "Bearer ", "Bearer made-up-admin-toke", "Bearer made-up-admin-tokenn", "Basic made-up-admin-token",
        "made-up-admin-token",
      ] {
        #expect(try await status(path, wrong) == 401, "\(wrong)")
      }
      #expect(try await status(path, "Bearer made-up-admin-token", "Bearer x") == 401)
    }
    #expect(try await status("/api/credentials", "Bearer made-up-admin-token") == 200)
    #expect(try await status("/api/credentials", "bearer made-up-admin-token") == 200)
    // The command line reads the same file.
    let fine = try await gateway.command(["status", "--config", gateway.configurationPath])
    #expect(fine.exit == .code(0), "\(fine.errors)")
    configuration.more["admin"]?["token"] = ["value": "made-up-other-token"]
    try gateway.write(configuration)
    for command in [["status"], ["refresh", "main"]] {
      let result = try await gateway.command(command + ["--config", gateway.configurationPath])
      #expect(result.exit == .code(2) && result.errors.contains("does not take admin.token"), "\(result.errors)")
    }
    #expect(try await gateway.stop() == .code(0))
    gateway.expectNoSecretsInOutputs()
  }

  @Test func aUnixSocketWillDo() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try GatewayUnderTest()
    var configuration = server.configuration()
    configuration.more["admin"] = ["address": .string("unix:\(gateway.directory.path("admin.sock"))")]
    try gateway.write(configuration)
    let file = ["--config", gateway.configurationPath]
    #expect(try await gateway.command(["status"] + file).errors.contains("none runs at unix:"))
    try await gateway.start(waitingFor: nil)
    try await gateway.process.waitWhileRunning("the admin listener answers") {
      try await gateway.command(["status"] + file).output.contains("ready")
    }
    let refresh = try await gateway.command(["refresh", "main"] + file)
    #expect(refresh.exit == .code(0) && refresh.output.contains("generation 2"), "\(refresh)")
    #expect(try await gateway.stop() == .code(0))
    // The socket's file is still there: nobody listens.
    let after = try await gateway.command(["status"] + file)
    #expect(after.exit == .code(0) && after.errors.contains("none runs at unix:"), "\(after)")
  }

  @Test func manyWhoAskAtOnceShareOneGrant() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    server.answerLate(by: .seconds(2))
    let generations = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<20 {
        group.addTask {
          let response = try await self.call(gateway, "POST", Self.refresh, [Self.json], body: "{}")
          #expect(response.status == 200 && response.json?["outcome"]?.text == "refreshed", "\(response.bodyText)")
          return response.json?["generation"]?.int ?? 0
        }
      }
      return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
    }
    #expect(generations == [2])
    // Some end their sending direction and then wait.
    let admin = gateway.admin
    let last = try await OwnThread.run {
      let client = try RawClient(to: admin)
      try client.send(
        "POST \(Self.refresh) HTTP/1.1\r\nHost: localhost\r\nX-Gateway-Admin: 1\r\nContent-Length: 0\r\n\r\n")
      client.shutdownWriting()
      let response = try client.response(within: .seconds(30))
      return (response.json?["generation"]?.int, client.isClosedByPeer())
    }
    #expect(last == (3, true))
    #expect(try await server.tally().tokens.count == 3)
    #expect(try await gateway.stop() == .code(0))
  }

  /// A token endpoint that does not answer: so does the admin listener, but not for ever, and others are not kept waiting.
  @Test func aFailedRefreshIsAnsweredWithItsReason() async throws {
    let server = try await RotatingServer.start(.toolkitOAuth2)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    try await server.readAndClose(count: 1)
    let failed = try await call(gateway, "POST", Self.refresh, [Self.json])
    #expect(failed.status == 502 && failed.json?["outcome"]?.text == "failed", "\(failed.bodyText)")
    #expect(failed.json?["reason"]?.text == "token_endpoint_unreachable")
    #expect(failed.json?["serving"]?.bool == true && failed.json?["generation"]?.int == 1)
    // It ends the back-off.
    let again = try await call(gateway, "POST", Self.refresh, [Self.json])
    #expect(again.status == 200 && again.json?["generation"]?.int == 2, "\(again.bodyText)")

    try await server.keepAnswersBack()
    async let slow = call(gateway, "POST", Self.refresh, [Self.json])
    try await server.waitForAnswerKeptBack(pair: 3)
    #expect(try await gateway.adminStatus("/healthz") == 200)
    try await server.release()
    #expect(try await slow.json?["generation"]?.int == 3)
    #expect(try await gateway.stop() == .code(0))
    gateway.expectNoSecretsInOutputs()
  }

  /// Whatever comes for a pair: taken whole, or refused without a change.
  @Test func pairsComeInBodiesOfAllKinds() async throws {
    let server = try await RotatingServer.start(.sandboxVinID)
    let gateway = try await GatewayUnderTest.start(server.configuration())
    func put(_ body: String) async throws -> ReceivedResponse {
      try await call(gateway, "PUT", Self.tokens, [Self.json], body: body)
    }
    for body in ["", "{", "[]", "{\"access_token\":\"a\"}", "{\"access_token\":\"a b\",\"refresh_token\":\"r\"}"] {
      let response = try await put(body)
      #expect(response.status == 400, "\(body): \(response.bodyText)")
    }
    let foreign = try await put("{\"access_token\":\"a\",\"refresh_token\":\"r\",\"identity\":\"other\"}")
    #expect(foreign.status == 409, "\(foreign.bodyText)")
    #expect(try await gateway.credential()?["generation"]?.int == 1)

    let pair = "{\"access_token\":\"made-up-a\",\"refresh_token\":\"made-up-r\",\"expires_in\":3600"
    let fill = String(repeating: " ", count: 65_536 - pair.utf8.count - 1)
    #expect(try await put(pair + fill + "}").json?["generation"]?.int == 2)
    #expect(try await put(pair + fill + " }").status == 413)
    let chunks = (pair + "}").map { "1\r\n\($0)\r\n" }.joined() + "0\r\n\r\n"
    let admin = gateway.admin
    let (interim, statuses) = try await OwnThread.run {
      let client = try RawClient(to: admin)
      let head = "PUT \(Self.tokens) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      try client.send(head + "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
      try client.drip(String(chunks.dropLast()))
      // The next ones wait for the answer before them.
      let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
      let post = "POST \(Self.refresh) HTTP/1.1\r\nHost: localhost\r\nX-Gateway-Admin: 1\r\nContent-Length: 2\r\n\r\n{}"
      try client.send("\r\n" + get + post + get)
      let first = try client.response(within: .seconds(30))
      let rest = try (0..<3).map { _ in try client.response(within: .seconds(30)).status }
      return (first.interim.map(\.status), [first.status] + rest)
    }
    // The pair is nobody's: the sandbox refuses its refresh.
    #expect(interim == [100] && statuses == [200, 200, 502, 200])
    #expect(try await gateway.credential()?["generation"]?.int == 3)
    #expect(try await gateway.stop() == .code(0))
    gateway.expectNoSecretsInOutputs()
  }
}
