// HTTP-RULES.md on the upstream's connections between two requests: how long they rest, and what ends them.
import EventLoop
import GatewayTesting
import Testing

@Suite(.serialized, .timeLimit(.minutes(3))) struct UpstreamConnectionTests {
  private static func relay(_ upstreamIdle: String) async throws -> (origin: RawOrigin, gateway: GatewayUnderTest) {
    let origin = try await RawOrigin.start()
    var configuration = GatewayConfiguration.empty
    configuration.more["workers"] = 1
    configuration.timeouts["upstream_idle"] = .string(upstreamIdle)
    configuration.routes = [Relay.plainRoute(to: origin.address)]
    return (origin, try await .start(configuration))
  }

  private static func answer(_ fields: String = "", body: String = "hello") -> [UInt8] {
    Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)".utf8)
  }

  /// Fields of an answer, and how long the connection rests in the pool, in seconds.
  private static let rests: [(name: String, fields: String, seconds: Double)] = [
    ("none", "", 3), ("timeout2", "Keep-Alive: timeout=2\r\n", 1), ("list", "Keep-Alive: max=100, timeout=2\r\n", 1),
    ("case", "keep-alive: TIMEOUT=2, max=5\r\n", 1), ("timeout3", "Keep-Alive: timeout=3\r\n", 2),
    ("long", "Keep-Alive: timeout=100\r\n", 3), ("huge", "Keep-Alive: timeout=99999999999999999999\r\n", 3),
    ("max", "Keep-Alive: max=5\r\n", 3), ("word", "Keep-Alive: timeout=soon\r\n", 3),
    ("negative", "Keep-Alive: timeout=-2\r\n", 3), ("timeout1", "Keep-Alive: timeout=1\r\n", 0),
    ("timeout0", "Keep-Alive: timeout=0\r\n", 0), ("close", "Connection: close\r\nKeep-Alive: timeout=3\r\n", 0),
    ("first", "Keep-Alive: timeout=2\r\nKeep-Alive: timeout=100\r\n", 1),
  ]

  /// Pool idle time: 1 s less than the upstream's `Keep-Alive: timeout`, and never more than `upstream_idle`.
  @Test func theUpstreamsKeepAliveIsHeeded() async throws {
    let (origin, gateway) = try await Self.relay("3s")
    // All of them at once, so that each has a connection of its own.
    let responses = try await withThrowingTaskGroup(of: (String, Int).self) { group in
      for (name, fields, _) in Self.rests {
        let target = RawOrigin.target(row: name, [.wait(milliseconds: 500), .send(Self.answer(fields))])
        group.addTask { (name, try await gateway.request("GET", target).status) }
      }
      return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
    #expect(responses.values.allSatisfy { $0 == 200 } && responses.count == Self.rests.count, "\(responses)")
    var connections: [RawOrigin.Connection] = []
    try await Deadline.wait("all connections end", within: .seconds(20)) {
      connections = try await origin.connections()
      return connections.allSatisfy { $0.endedAfter != nil }
    }
    for (name, fields, seconds) in Self.rests {
      let own = connections.filter { $0.rows == [name] }
      #expect(own.count == 1, "\(name)")
      let time = own.first?.endedAfter ?? -1
      // Never after the upstream's own time-out, which is 1 s later.
      #expect(time > seconds - 0.2 && time < seconds + 0.9, "\(fields.debugDescription): \(time) s")
    }
  }

  /// What comes on a connection that nobody asks anything is an answer to nothing, and would be taken for the next one's.
  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
    "x", "\r\n",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
  ])
  func bytesOnAnIdleConnectionEndIt(_ bytes: String) async throws {
    let (origin, gateway) = try await Self.relay("30s")
    let target = RawOrigin.target(
      row: "first", [.send(Self.answer()), .wait(milliseconds: 300), .send(Array(bytes.utf8))])
    let first = try await gateway.request("GET", target)
    #expect(first.status == 200 && first.bodyText == "hello")
    try await Deadline.wait("the connection ends") { try await origin.connections().first?.endedAfter != nil }
    for method in ["POST", "GET"] {
      let next = try await gateway.request(method, RawOrigin.target(row: "next", [.send(Self.answer(body: "next"))]))
      #expect(next.status == 200 && next.bodyText == "next", "\(method)")
    }
    let rows = try await origin.connections().map(\.rows)
    #expect(rows == [["first"], ["next", "next"]])
  }

  @Test func aWellBehavedConnectionIsUsedAgain() async throws {
    let (origin, gateway) = try await Self.relay("30s")
    for framing in [
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
      "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ] {
      for steps in [[RawOrigin.Step.send(Array(framing.utf8))], [.drip(Array(framing.utf8))]] {
        let response = try await gateway.request("GET", RawOrigin.target(row: "row", steps))
        #expect(response.status == 200 && response.bodyText == "hello", "\(framing.debugDescription)")
      }
    }
    #expect(try await origin.connections().map(\.rows) == [Array(repeating: "row", count: 8)])
  }
}
