// Callers that send or read too slowly, or not at all, and many that wait at once: deadlines, who is at fault, memory.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct SlowPeerTests {
  private static let size = 48 << 20

  /// `/download` is larger than all socket buffers together.
  private static func start(
    _ limits: [String: OrderedJSON] = [:], streamIdle: OrderedJSON = "2s"
  ) async throws -> Relay {
    try await Relay.start(
      script: ServerScript(
        onHead: { $0.path == "/stalled" ? .stall(afterBytes: 65536, .seconds(20)) : .digest },
        onRequest: { request in
          if request.path == "/hang" { return .hang }
          return .answer(
            request.path == "/download"
              ? Answer(body: .pattern(size)) : .text("\(request.bodyCount) \(request.fingerprint)"))
        })
    ) { configuration, _ in
      configuration.more["workers"] = 1
      configuration.limits = limits
      configuration.timeouts["stream_idle"] = streamIdle
      configuration.timeouts["connect"] = "60s"
    }
  }

  @Test("Without a minimum rate a caller that reads nothing is cut after `stream_idle`")
  func aStalledReaderWithoutAMinimumRate() async throws {
    let relay = try await Self.start(["min_rate": "0B"])
    let origin = relay.origin
    let time = try await relay.talk { client in
      try client.send("GET /download HTTP/1.1\r\nHost: localhost\r\n\r\n")
      let begin = ContinuousClock().now
      try Deadline.block("the download is aborted", within: .seconds(20)) { origin.record.abandoned == 1 }
      return ContinuousClock().now - begin
    }
    #expect(time >= .milliseconds(1900) && time < .seconds(10), "\(time)")
    try await relay.expectWorks()
  }

  @Test("Without a minimum rate who moves anything at all goes on")
  func slowPeersWithoutAMinimumRate() async throws {
    let relay = try await Self.start(["min_rate": "0B"])
    let (answer, digest) = try await relay.talk { client in
      // Twice `stream_idle`, a byte at a time.
      try client.send("POST /drip HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
      for _ in 0..<10 {
        try Deadline.pass(.milliseconds(450))
        try client.send("x")
      }
      let answer = try client.response()
      try client.send("GET /download HTTP/1.1\r\nHost: localhost\r\n\r\n")
      _ = try client.head()
      var digest = BodyDigest()
      var pauses = 0
      while case .data(let data) = try client.event(within: .seconds(20)) {
        digest.add(data)
        // A closed window opens again when a good part of the buffer is free.
        if digest.count >= (pauses + 1) << 20, pauses < 12 {
          try Deadline.pass(.milliseconds(400))
          pauses += 1
        }
      }
      return (answer, digest)
    }
    #expect(answer.status == 200 && answer.bodyText.hasPrefix("10 "))
    #expect(digest == BodyDigest.ofPattern(count: Self.size))
  }

  @Test("A caller whose body stops is at fault itself: 408; an upstream that takes no more of it: 504")
  func whoIsAtFault() async throws {
    let relay = try await Self.start()
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
      let (response, closes) = try await relay.send(
        "POST /x HTTP/1.1\r\nHost: localhost\r\n\(framing)\r\n\r\n4\r\nbody\r\n")
      #expect(response.status == 408 && closes, "\(framing): \(response.status)")
      #expect(response.problem?.reason == "request_timeout" && response.problem?.source == "downstream")
    }
    let response = try await relay.talk { client in
      try client.send("POST /stalled HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(Self.size)\r\n\r\n")
      _ = try client.sendSome(BodyPattern.prefix(Self.size), within: .milliseconds(500))
      return try client.response()
    }
    #expect(response.status == 504 && response.problem?.source == "upstream")
    // A caller that waits for a 100 has nothing to send before it.
    let waiting = try await relay.talk { client in
      try client.send("POST /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
      _ = try client.head()
      _ = try client.event()
      return try client.response()
    }
    #expect(waiting.status == 408, "it was told to go on, and did not")
    try await relay.expectWorks()
  }

  /// What waits is a body that can't be kept for a replay, or requests ahead of an answer.
  @Test("Callers that wait hold a few KiB each in the gateway, whatever they have sent", arguments: [false, true])
  func memoryOfWaitingCallers(isPipelining: Bool) async throws {
    let callers = 200
    let relay = try await Self.start(["replay_body": "1KiB", "upstream_connections": 1], streamIdle: "60s")
    let size = 300_000
    let target = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(size)\r\n\r\n"
    let body = BodyPattern.prefix(size)
    let expected = "\(size) \(BodyDigest.ofPattern(count: size))"
    try await relay.expectWorks()
    let process = try relay.gateway.process
    let origin = relay.origin
    let address = relay.address
    let growth = try await OwnThread.run {
      let blocking = try RawClient(to: address)
      try blocking.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
      try Deadline.block("the connection is in use") { origin.record.completed == 2 }
      let before = process.residentBytes
      let clients = try (0..<callers).map { _ in try RawClient(to: address) }
      let head = isPipelining ? "GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n\(target)" : target
      var sent: [Int] = []
      // What the sockets take is there to be read at once.
      process.send(ChildProcess.halt)
      for client in clients {
        try client.send(head)
        sent.append(try client.sendSome(body, within: .milliseconds(1)))
      }
      process.send(ChildProcess.resume)
      // Not grown for a while: it has read what it will read.
      var last = process.residentBytes
      var calm = ContinuousClock().now
      try Deadline.block("nothing is read any more", within: .seconds(20)) {
        let now = process.residentBytes
        if now > last + 65536 { (last, calm) = (now, ContinuousClock().now) }
        return ContinuousClock().now - calm > .milliseconds(500)
      }
      let growth = process.residentBytes - before
      blocking.close()
      for (client, count) in zip(clients, sent) {
        try client.send(Array(body[count...]), within: .seconds(60))
        if isPipelining { _ = try client.response(within: .seconds(60)) }
        let response = try client.response(within: .seconds(60))
        guard response.status == 200, response.bodyText == expected else {
          throw ClientError.check("\(response.status) \(response.bodyText)")
        }
      }
      return growth
    }
    print("\(callers) callers that wait, pipelining \(isPipelining): \(growth / 1024) KiB")
    #expect(growth < callers * 80 * 1024, "\(growth / 1024) KiB")
  }
}
