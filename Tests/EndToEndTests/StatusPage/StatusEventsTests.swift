// The status page's paths over sockets: who may use them, what the stream of events looks like, what slow and many readers
// come to.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(4))) struct StatusEventsTests {
  /// A gateway with so many routes and nothing else, of which nobody has to be.
  private static func start(routes: Int = 1, token: String? = nil) async throws -> GatewayUnderTest {
    try await .forStatusPage(routes: routes, token: token)
  }

  private static func ask(
    _ target: String, _ method: String = "GET", fields: String = "", of admin: SocketAddress
  ) async throws -> (response: ReceivedResponse, client: RawClient?) {
    let response = try await OwnThread.run {
      let client = try RawClient(to: admin)
      let host = fields.contains("Host:") ? "" : "Host: \(admin)\r\n"
      try client.send("\(method) \(target) HTTP/1.1\r\n\(host)\(fields)Connection: close\r\n\r\n")
      return try client.response(toHead: method == "HEAD")
    }
    return (response, nil)
  }

  /// A reader of events on its own connection, and the text that it has.
  private final class Reader {
    let client: RawClient
    let head: MessageHead
    private var text = ""

    init(_ admin: SocketAddress, fields: String = "", receiveBuffer: Int32? = nil) throws {
      client = try RawClient(to: admin, receiveBuffer: receiveBuffer)
      try client.send("GET /api/events HTTP/1.1\r\nHost: \(admin)\r\n\(fields)\r\n")
      head = try client.head()
    }

    /// The next event, without the empty line that ends it.
    func event() throws -> String {
      while true {
        if let end = text.firstRange(of: "\n\n") {
          let event = String(text[..<end.lowerBound])
          text = String(text[end.upperBound...])
          return event
        }
        guard case .data(let bytes)? = try client.event(within: .seconds(20)) else {
          throw ClientError.check("the stream has ended")
        }
        text += String(decoding: bytes, as: UTF8.self)
      }
    }

    func snapshot() throws -> JSONValue {
      let lines = try event().split(separator: "\n", omittingEmptySubsequences: false)
      guard lines.count == 2, lines[0] == "event: snapshot", lines[1].hasPrefix("data: "),
        let json = JSONValue.parse(Array(lines[1].dropFirst(6).utf8))
      else { throw ClientError.check("no event: \(lines)") }
      return json
    }
  }

  @Test func aSnapshotASecond() async throws {
    let rig = try await TokenRig()
    let admin = rig.gateway.admin
    for _ in 0..<5 { #expect(try await rig.get("/vinid/echo").status == 200) }
    let address = rig.gateway.address
    try await OwnThread.run {
      let reader = try Reader(admin)
      #expect(reader.head.status == 200 && reader.head.fields.all("Content-Type") == ["text/event-stream"])
      #expect(reader.head.fields.all("Cache-Control") == ["no-store"])
      #expect(try reader.event() == "retry: 2000")
      let first = try reader.snapshot()
      #expect(
        first["totals"]?["rate"] == nil && first["totals"]?["requests"]?.int == 5, "there is nothing to compare with")
      #expect(first["credentials"]?.elements?.first?["state"]?.text == "ready")
      let refresh = first["credentials"]?.elements?.first?["last_refresh"]
      #expect(refresh?["outcome"]?.text == "success" && refresh?["cause"]?.text == "missing")
      let lifetime = first["credentials"]?.elements?.first?["lifetime_ms"]?.number ?? 0
      #expect(lifetime > 1000)
      for _ in 0..<20 { #expect(try RawClient.request("GET", "/vinid/echo", to: address).status == 200) }
      var last = first
      try Deadline.block("the rate is told", within: .seconds(20)) {
        let next = try reader.snapshot()
        let step = (next["time"]?.number ?? 0) - (last["time"]?.number ?? 0)
        #expect(step > 500, "not faster than one a second")
        last = next
        return (next["totals"]?["rate"]?.number ?? 0) > 0
      }
      #expect(last["totals"]?["requests"]?.int == 25 && last["totals"]?["recent"]?.int == 20)
      #expect(last["totals"]?["failures"]?.int == 0 && (last["totals"]?["p99_ms"]?.number ?? 0) > 0)
      #expect(last["headline"]?["level"]?.text == "ok", "\(last)")
      let text = String(describing: last)
      for secret in TokenRig.secrets { #expect(!text.contains(secret)) }
    }
    let status = try await rig.admin("/api/status")
    #expect(status.status == 200 && status.json?["routes"]?.elements?.first?["requests"]?.int == 25)
    try await rig.finish()
  }

  @Test func aDeadRefreshTokenIsTold() async throws {
    let rig = try await TokenRig()
    rig.sandbox.killRefreshTokens(.vinid)
    let admin = rig.gateway.admin
    let mark: FieldList = [FieldLine("X-Gateway-Admin", "test")]
    let answer = try await OwnThread.run {
      try RawClient.request("POST", "/api/credentials/vinid/refresh", to: admin, fields: mark)
    }
    #expect(answer.status == 502)
    let json = try #require(try await rig.admin("/api/status").json)
    #expect(json["headline"]?["command"]?.text == "gateway login vinid")
    #expect(json["headline"]?["level"]?.text == "critical")
    #expect(json["headline"]?["text"]?.text?.contains("its token serves to its end") == true)
    let credential = json["credentials"]?.elements?.first
    #expect(credential?["state"]?.text == "needs_login" && credential?["command"]?.text == "gateway login vinid")
    #expect(credential?["last_refresh"]?["code"]?.text == "invalid_grant")
    #expect(credential?["last_refresh"]?["cause"]?.text == "admin")
    try await rig.finish()
  }

  @Test func othersPagesAreRefused() async throws {
    let gateway = try await Self.start()
    let admin = gateway.admin
    for path in ["/", "/api/status", "/api/events"] {
      let rebound = try await Self.ask(path, fields: "Host: evil.example\r\n", of: admin).response
      #expect(rebound.status == 421, "\(path)")
      let foreign = try await Self.ask(path, fields: "Origin: http://evil.example\r\n", of: admin).response
      #expect(foreign.status == 403, "\(path)")
      let posted = try await Self.ask(path, "POST", fields: "Content-Length: 0\r\n", of: admin).response
      #expect(posted.status == 405 && posted.fields["Allow"] == "GET, HEAD", "\(path)")
      let head = try await Self.ask(path, "HEAD", of: admin).response
      #expect(head.status == 200 && head.body.isEmpty, "\(path)")
    }
    let own = try await Self.ask("/", fields: "Origin: http://\(admin)\r\n", of: admin).response
    #expect(own.status == 200 && own.fields["Content-Type"] == "text/html; charset=utf-8")
    #expect(own.fields["X-Frame-Options"] == "DENY" && own.fields["Referrer-Policy"] == "no-referrer")
    #expect(own.fields["Content-Security-Policy"]?.hasPrefix("default-src 'none'; script-src 'sha256-") == true)
    #expect(own.bodyText.hasPrefix("<!doctype html>") && own.bodyText.hasSuffix("</html>\n"))
  }

  /// The page shows nothing without the token; what it asks for needs it.
  @Test func theTokenIsAskedFor() async throws {
    let gateway = try await Self.start(token: "made-up-admin-token")
    let admin = gateway.admin
    #expect(try await Self.ask("/", of: admin).response.status == 200)
    for path in ["/api/status", "/api/events"] {
      for field in ["", "Authorization: Bearer wrong\r\n", "Cookie: token=made-up-admin-token\r\n"] {
        let answer = try await Self.ask(path, fields: field, of: admin).response
        #expect(answer.status == 401 && answer.fields["WWW-Authenticate"] == "Bearer", "\(path) \(field)")
      }
      #expect(try await Self.ask("\(path)?token=made-up-admin-token", of: admin).response.status == 401)
    }
    try await OwnThread.run {
      let reader = try Reader(admin, fields: "Authorization: Bearer made-up-admin-token\r\n")
      #expect(reader.head.status == 200)
      _ = try reader.event()
      #expect(try reader.snapshot()["state"]?.text == "serving")
    }
    gateway.expectNoSecretsInOutputs()
  }

  /// What many readers come to is bounded; places are free again when they go. An old client knows no chunks.
  @Test func notMoreThanSixteenReaders() async throws {
    let gateway = try await Self.start()
    let admin = gateway.admin
    try await OwnThread.run {
      var readers = try (0..<16).map { _ in try Reader(admin) }
      #expect(readers.allSatisfy { $0.head.status == 200 })
      let refused = try RawClient.request("GET", "/api/events", to: admin)
      #expect(refused.status == 503 && refused.fields["Retry-After"] == "10")
      #expect(try RawClient.request("GET", "/api/status", to: admin).status == 200, "they can ask one at a time")
      for reader in readers {
        _ = try reader.event()
        #expect(try reader.snapshot()["state"]?.text == "serving")
      }
      for (index, reader) in readers.enumerated() { reader.client.close(resetting: index % 2 == 0) }
      readers = []
      try Deadline.block("places are free", within: .seconds(20)) {
        let client = try RawClient(to: admin)
        try client.send("HEAD /api/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return try client.response(toHead: true).status == 200
      }
      let old = try RawClient(to: admin)
      try old.send("GET /api/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
      let head = try old.head()
      #expect(head.fields.all("Transfer-Encoding").isEmpty && head.fields.all("Connection") == ["close"])
    }
    #expect(try await gateway.stop() == .code(0))
  }

  /// Who reads nothing is cut off, and costs nobody anything until then; its snapshots are not piled up.
  @Test func aReaderThatStops() async throws {
    let gateway = try await Self.start(routes: 1200)
    let admin = gateway.admin
    let process = try gateway.process
    try await OwnThread.run {
      // What the gateway opens for its first answers is there by now.
      #expect(try RawClient.request("GET", "/api/status", to: admin).status == 200)
      let before = process.openDescriptors + 1
      let stopped = try (0..<8).map { _ in try Reader(admin, receiveBuffer: 4096) }
      let reader = try Reader(admin)
      _ = try reader.event()
      // Ten seconds without taking anything end a connection.
      for _ in 0..<12 {
        let snapshot = try reader.snapshot()
        #expect(snapshot["routes"]?.elements?.count == 1200)
        let began = ContinuousClock.now
        #expect(try RawClient.request("GET", "/healthz", to: admin).status == 200)
        #expect(ContinuousClock.now - began < .seconds(5) * Pace.slowness)
      }
      reader.client.close()
      try Deadline.block("those who stopped are cut off", within: .seconds(40)) {
        process.openDescriptors <= before
      }
      withExtendedLifetime(stopped) {}
    }
  }
}

extension JSONValue {
  fileprivate var number: Double? { if case .number(let value) = self { value } else { nil } }
}
