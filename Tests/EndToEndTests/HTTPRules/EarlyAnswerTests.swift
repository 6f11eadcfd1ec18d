// HTTP-RULES.md: after an early answer of ours half-close, discard up to 256 KiB or 2 s, close; and the absolute deadline of
// a head on connections that have carried a request before.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct EarlyAnswerTests {
  /// The start of a request, answered while more of it comes, and that answer.
  private static let early: [(text: String, status: Int, reason: String)] = [
    ("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413, "body_too_large"),
    (
      "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n", 400,
      "malformed_chunk_end"
    ),
    ("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\n", 400, "malformed_content_length"),
    ("POST /unknown HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 404, "no_route"),
    ("GET / HTTP/1.1\r\nHost: localhost\n\n", 400, "bare_line_feed"),
  ]

  private static func start() async throws -> Relay {
    try await Relay.start(configure: { configuration, origin in
      configuration.limits["request_body"] = "64KiB"
      configuration.routes = [GatewayConfiguration.route("x", prefix: "/x", to: origin, credential: nil)]
    }) { _ in .answer(.text("origin")) }
  }

  private static func readsAnswer(_ client: RawClient, _ status: Int, _ reason: String) throws {
    let response = try client.response()
    guard response.status == status, response.problem?.reason == reason, !response.head.keepsAlive else {
      throw ClientError.check("\(response.status) \(response.bodyText)")
    }
    // The end of the answers, while the caller may still write.
    guard try client.event() == nil else { throw ClientError.check("something behind the answer") }
  }

  /// A caller that is in the middle of its body reads the answer, not a reset that overtakes it.
  @Test func theAnswerArrivesAlthoughTheCallerGoesOnSending() async throws {
    let relay = try await Self.start()
    try await relay.talk { _ in
      for (text, status, reason) in Self.early {
        for (count, size) in [(0, 0), (1, 1), (1, 250_000), (25, 10_000)] {
          let client = try RawClient(to: relay.address)
          try client.send(text)
          for _ in 0..<count {
            try client.send([UInt8](repeating: 0x62, count: size))
            if count > 1 { try Deadline.pass(.milliseconds(2)) }
          }
          try Self.readsAnswer(client, status, reason)
        }
      }
    }
    #expect(relay.origin.record.completed == 0 && relay.origin.record.violations == [])
    try await relay.expectWorksOnX()
  }

  /// The connection takes bytes for 2 s and no longer.
  @Test func whatComesIsDiscardedForTwoSeconds() async throws {
    let relay = try await Self.start()
    let times = try await relay.talk { _ in
      var clients: [RawClient] = []
      for (text, status, reason) in Self.early {
        let client = try RawClient(to: relay.address)
        try client.send(text)
        try Self.readsAnswer(client, status, reason)
        clients.append(client)
      }
      let begin = ContinuousClock.now
      var times: [Duration] = Array(repeating: .zero, count: clients.count)
      try Deadline.block("all are closed") {
        for (index, client) in clients.enumerated() where times[index] == .zero {
          do throws(ClientError) { try client.send([0x62]) } catch { times[index] = ContinuousClock.now - begin }
        }
        return times.allSatisfy { $0 != .zero }
      }
      return times
    }
    for (index, time) in times.enumerated() {
      #expect(time > .milliseconds(1500) && time < .seconds(6), "\(Self.early[index].text.debugDescription): \(time)")
    }
    try await relay.expectWorksOnX()
  }

  /// And no more than 256 KiB of them.
  @Test func noMoreThan256KiBAreDiscarded() async throws {
    let relay = try await Self.start()
    for (text, status, reason) in Self.early {
      // On a busy machine the two seconds may be over first; not each time.
      var times: [Duration] = []
      for _ in 0..<4 {
        let time = try await relay.talk { client in
          try client.send(text)
          try Self.readsAnswer(client, status, reason)
          let begin = ContinuousClock.now
          try client.send([UInt8](repeating: 0x62, count: 200_000))
          try Deadline.block("it is closed") {
            do throws(ClientError) {
              try client.send([UInt8](repeating: 0x62, count: 10_000))
              return false
            } catch { return true }
          }
          return ContinuousClock.now - begin
        }
        times.append(time)
        if time < .milliseconds(1500) { break }
      }
      #expect(times.contains { $0 < .milliseconds(1500) }, "\(text.debugDescription): \(times)")
    }
    try await relay.expectWorksOnX()
  }

  /// The deadline of a head is absolute, counts for each request anew, and an empty line before the head begins it.
  @Test(arguments: ["", "\r\n", "\r"])
  func aDrippedHeadOfALaterRequestIsCutToo(_ before: String) async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in configuration.timeouts["request_head"] = "1s" }
    ) { _ in .answer(.text("origin")) }
    let (status, time) = try await relay.talk { client in
      try client.send("GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
      _ = try client.response()
      try Deadline.pass(.milliseconds(500))
      let begin = ContinuousClock.now
      try client.send(before.isEmpty ? "GET /2 HTTP/1.1\r\nHost: localhost\r\n" : before)
      var response: ReceivedResponse?
      while response == nil, ContinuousClock.now - begin < .seconds(8) {
        // A lone CR may only be followed by LF: nothing more is sent, and that does not help either.
        if before != "\r", !before.isEmpty {
          try client.send("G")
        } else if before.isEmpty {
          try client.send("X: y\r\n")
        }
        do { response = try client.response(within: .milliseconds(50)) } catch ClientError.timedOut {}
      }
      guard client.isClosedByPeer() else { throw ClientError.check("it stays open") }
      return (response?.status, ContinuousClock.now - begin)
    }
    #expect(status == 408)
    #expect(time > .milliseconds(950) && time < .seconds(7), "\(time)")
    #expect(relay.origin.record.completed == 1)
  }
}

extension Relay {
  /// The same as `expectWorks` for a gateway that has only the route `/x`.
  fileprivate func expectWorksOnX() async throws {
    let response = try await gateway.request("GET", "/x")
    #expect(response.status == 200)
  }
}
