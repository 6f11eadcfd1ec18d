// The pool of upstream connections: how many there may be, how many are kept, and the queue in front of them.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct PoolLimitTests {
  private static func start(_ limits: [String: OrderedJSON]) async throws -> Relay {
    try await Relay.start { configuration, _ in
      configuration.more["workers"] = 1
      configuration.limits = limits
      configuration.timeouts["connect"] = "60s"
    } answer: { request in
      request.path == "/together" ? .after(.milliseconds(200)) { .answer(.text("origin")) } : .answer(.text("origin"))
    }
  }

  private static func load(
    _ relay: Relay, callers: Int, requests: Int, _ request: OutgoingRequest
  ) async throws -> LoadReport {
    try await LoadRun(to: relay.address, callers: callers, .requestsPerCaller(requests), request)
      .check { $0.status == 200 && $0.bodyText == "origin" ? nil : "\($0.status) \($0.bodyText)" }.run()
  }

  @Test("No more connections than `upstream_connections`, whoever asks: the others wait and are all served")
  func atMost() async throws {
    let relay = try await Self.start(["upstream_connections": 5])
    for request in [OutgoingRequest("/x"), OutgoingRequest("POST", "/x", body: .pattern(20_000))] {
      let report = try await Self.load(relay, callers: 50, requests: 10, request)
      #expect(report.count == 500 && report.isAll(200), "\(report.failures)")
    }
    #expect(relay.origin.record.connections == 5)
    #expect(relay.origin.record.violations == [])
  }

  @Test("Who waits for a connection is served in the order of asking")
  func inOrder() async throws {
    let relay = try await Self.start(["upstream_connections": 1])
    let address = relay.address
    let origin = relay.origin
    try await OwnThread.run {
      let first = try RawClient(to: address)
      try first.send("GET /together HTTP/1.1\r\nHost: localhost\r\n\r\n")
      try Deadline.block("the only connection is in use") { origin.record.completed == 1 }
      // Each on a connection of its own, and read by the gateway in this order: it has one loop.
      var clients: [RawClient] = []
      for number in 0..<20 {
        let client = try RawClient(to: address)
        try client.send("GET /\(number) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        clients.append(client)
      }
      for client in [first] + clients { _ = try client.response() }
    }
    let paths = relay.origin.record.requests.dropFirst().map(\.path)
    #expect(paths == (0..<20).map { "/\($0)" })
    #expect(relay.origin.record.connections == 1)
  }

  @Test("After a burst, no more connections are kept than `upstream_idle_connections`", arguments: [0, 3])
  func idleAtMost(_ limit: Int) async throws {
    let relay = try await Self.start(["upstream_idle_connections": .int(limit)])
    let burst = try await Self.load(relay, callers: 20, requests: 1, OutgoingRequest("/together"))
    #expect(burst.count == 20 && burst.isAll(200), "\(burst.failures)")
    #expect(relay.origin.record.connections == 20, "all at once")
    try await Deadline.wait("the others are closed") { relay.origin.record.openConnections == limit }
    // Those that are kept are used.
    let more = try await Self.load(relay, callers: 1, requests: 10, OutgoingRequest("/x"))
    #expect(more.count == 10 && more.isAll(200), "\(more.failures)")
    #expect(relay.origin.record.connections == (limit == 0 ? 30 : 20))
    try await Deadline.wait("none is kept besides") { relay.origin.record.openConnections == limit }
  }

  @Test("By default all are kept, and closed after `upstream_idle`")
  func idleByDefault() async throws {
    let relay = try await Relay.start { configuration, _ in
      configuration.more["workers"] = 1
      configuration.timeouts["upstream_idle"] = "2s"
    } answer: { _ in
      .after(.milliseconds(200)) { .answer(.text("origin")) }
    }
    let report = try await Self.load(relay, callers: 20, requests: 2, OutgoingRequest("/together"))
    #expect(report.count == 40 && report.isAll(200), "\(report.failures)")
    #expect(relay.origin.record.connections == 20 && relay.origin.record.openConnections == 20)
    try await Deadline.wait("all are closed") { relay.origin.record.openConnections == 0 }
    try await relay.expectWorks()
  }
}
