// Limits of `limits`: what is larger is refused with its own status, and nothing of it goes further.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct LimitTests {
  private static func start(_ limits: [String: OrderedJSON]) async throws -> Relay {
    try await Relay.start(configure: { configuration, _ in configuration.limits = limits }) {
      .answer(.text("\($0.bodyCount)"))
    }
  }

  @Test func aBodyOverTheLimitIs413InBothFramings() async throws {
    let relay = try await Self.start(["request_body": "100KiB"])
    for isChunked in [false, true] {
      for (size, status) in [(102_400, 200), (102_401, 413), (1_000_000, 413)] {
        let report = try await LoadRun(
          to: relay.address, callers: 1, .requestsPerCaller(2),
          OutgoingRequest("POST", "/x", body: .pattern(size, isChunked: isChunked))
        ).check { response in
          status == 200
            ? (response.bodyText == "\(size)" ? nil : response.bodyText)
            : (response.problem?.reason == "body_too_large" ? nil : response.bodyText)
        }.run()
        #expect(
          report.count == 2 && report.isAll(status),
          "\(size), chunked \(isChunked): \(report.statuses) \(report.failures)")
      }
    }
    #expect(relay.origin.record.requests.allSatisfy { $0.bodyCount == 102_400 }, "no cut body was taken for whole")
    #expect(relay.origin.record.violations == [])
    // Told before a byte of the body is sent.
    let (early, closes) = try await relay.send(
      "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
    #expect(early.status == 413 && closes)
    try await relay.expectWorks()
  }

  @Test func headsOverTheLimitAre431And414() async throws {
    let relay = try await Self.start(["request_head": "16KiB", "headers": 20])
    func head(target: Int = 1, field: Int = 1, count: Int = 1) -> String {
      "GET /\(String(repeating: "t", count: target)) HTTP/1.1\r\nHost: localhost\r\n"
        + String(repeating: "X: \(String(repeating: "f", count: field))\r\n", count: count) + "\r\n"
    }
    for (text, status, what) in [
      (head(field: 15_000), 200, "a large field"), (head(count: 19), 200, "20 fields"),
      (head(field: 17_000), 431, "too large a field"), (head(field: 1000, count: 17), 431, "too large a head"),
      (head(count: 20), 431, "21 fields"), (head(target: 8000), 200, "a long target"),
      (head(target: 9000), 414, "too long a target"), (head(target: 100_000), 414, "far too long a target"),
    ] {
      let (response, closes) = try await relay.send(text)
      #expect(response.status == status && closes == (status != 200), "\(what): \(response.status)")
      #expect(status == 200 || response.problem?.source == "downstream", "\(what)")
    }
    #expect(relay.origin.record.completed == 3)
  }

  @Test func connectionsOverTheLimitAre503AndTakenAgainLater() async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in configuration.limits = ["connections": 4] }
    ) { $0.path == "/hang" ? .hang : .answer(.text("origin")) }
    let origin = relay.origin
    let address = relay.address
    try await OwnThread.run {
      let busy = try (0..<4).map { _ in try RawClient(to: address) }
      for client in busy { try client.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n") }
      try Deadline.block("four are busy") { origin.record.completed == 4 }
      let more = try RawClient(to: address)
      let refused = try more.response()
      guard refused.status == 503, refused.problem?.reason == "limit_reached", refused.fields.contains("Retry-After"),
        more.isClosedByPeer()
      else { throw ClientError.check("\(refused)") }
      for client in busy { client.close() }
    }
    try await Deadline.wait("there is room again") { relay.origin.record.abandoned == 4 }
    try await relay.expectWorks()
  }

  @Test func idleConnectionsMakeRoomForNewOnes() async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in
        configuration.more["workers"] = 1
        configuration.limits = ["connections": 4]
      }
    ) { _ in .answer(.text("origin")) }
    let address = relay.address
    let statuses = try await OwnThread.run {
      // All are kept open.
      var clients: [RawClient] = []
      return try (0..<20).map { _ in
        let client = try RawClient(to: address)
        clients.append(client)
        try client.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return try client.response().status
      }
    }
    #expect(statuses == Array(repeating: 200, count: 20))
  }
}
