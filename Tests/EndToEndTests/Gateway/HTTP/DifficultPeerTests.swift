// What peers can do to a connection: flood it, answer it with nonsense, read it slowly.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct DifficultPeerTests {
  /// Requests ahead of the answers, from a caller that takes none of them: neither they nor the answers pile up.
  @Test(arguments: ["/served", "/unknown"])
  func aFloodOfRequestsAheadOfTheirAnswersIsNotKept(path: String) async throws {
    let relay = try await Relay.start(configure: { configuration, origin in
      configuration.routes = [GatewayConfiguration.route("served", prefix: "/served", to: origin, credential: nil)]
    }) { _ in .answer(.text(String(repeating: "x", count: 8000))) }
    let before = try relay.gateway.process.residentBytes
    let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n"
    let flood = Array(String(repeating: request, count: 1_000_000).utf8)
    _ = try await relay.talk { client in try client.sendSome(flood, within: .seconds(3)) }
    let grown = try relay.gateway.process.residentBytes - before
    // A sanitizer's own memory counts as the gateway's.
    #expect(grown < Pace.slowness * 24 << 20, "\(grown >> 20) MiB more")
    let response = try await relay.gateway.request("GET", "/served")
    #expect(response.status == 200)
  }

  /// The same requests, read by a caller that takes its time: every answer comes, in order.
  @Test func aLongRowOfRequestsIsAnsweredWhole() async throws {
    let relay = try await Relay.start { .answer(.text($0.path)) }
    let count = 20_000
    try await relay.talk { client in
      let requests = (0..<count).map { "GET /\($0) HTTP/1.1\r\nHost: localhost\r\n\r\n" }.joined()
      _ = try client.sendSome(Array(requests.utf8), within: .seconds(10))
      for number in 0..<count {
        let response = try client.response(within: .seconds(20))
        guard response.bodyText == "/\(number)" else { throw ClientError.check("\(number): \(response.bodyText)") }
      }
    }
    #expect(relay.origin.record.completed == count)
  }

  /// DESIGN 4.4: only a connection that died before any byte of an answer is tried again.
  @Test(arguments: ["NONSENSE\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le"])
  func anAnswerThatBeganIsNotAskedForAgain(answer: String) async throws {
    let relay = try await Relay.start { _ in .raw(Array(answer.utf8), closes: true) }
    let response = try await relay.gateway.request("GET", "/x")
    #expect(response.status == 502)
    #expect(relay.origin.record.completed == 1)
  }

  /// Far more callers than connections, and some that leave while they wait.
  @Test func everybodyInTheQueueForAConnectionIsServed() async throws {
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.limits["upstream_connections"] = 4
      configuration.more["workers"] = 1
    }) { _ in .after(.milliseconds(1)) { .answer(.text("fine\n")) } }
    let patient = LoadRun(
      to: relay.address, callers: 300, .requestsPerCaller(10), OutgoingRequest("/patient"))
    async let served = patient.run()
    try await relay.talk { _ in
      for _ in 0..<200 {
        let client = try RawClient(to: relay.address)
        try client.send("POST /leaves HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n")
        client.close(resetting: true)
      }
    }
    let report = try await served
    #expect(report.count == 3000 && report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(relay.origin.record.openConnections <= 4)
  }

  /// HTTP-RULES: a limit reached is 503 with Retry-After, not a time-out of the upstream.
  @Test func whoGetsNoConnectionBecauseOfTheLimitIsToldSo() async throws {
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.limits["upstream_connections"] = 1
      configuration.more["workers"] = 1
      configuration.timeouts["connect"] = "300ms"
    }) { $0.path == "/long" ? .hang : .answer(.text("fine\n")) }
    try await relay.talk { client in
      try client.send("GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
      try Deadline.block("the connection is taken") { relay.origin.record.completed == 1 }
      let response = try RawClient.request("GET", "/x", to: relay.address)
      guard response.status == 503, response.problem?.reason == "limit_reached", response.fields.contains("Retry-After")
      else { throw ClientError.check("\(response.status) \(response.bodyText)") }
    }
    try await relay.expectWorks()
  }

  /// Whatever a request waits for, the end of the drain is the end of it.
  @Test func theEndOfTheDrainCutsRequestsInEveryState() async throws {
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.limits["upstream_connections"] = 2
      configuration.more["workers"] = 1
      configuration.timeouts["drain"] = "1s"
      configuration.timeouts["connect"] = "30s"
    }) { $0.path == "/begun" ? .answer(Answer(body: .chunks([[1], [2]], pause: .seconds(60)))) : .hang }
    let address = relay.address
    let areSent = Latch()
    async let everybody: Void = OwnThread.run {
      let texts = [
        "GET /hangs HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /begun HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /queued HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /queued HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nbody", "GET /half-a-head HTTP/1.1\r\n",
      ]
      var clients: [RawClient] = []
      for (index, text) in texts.enumerated() {
        let client = try RawClient(to: address)
        try client.send(text)
        clients.append(client)
        try Deadline.block("\(text)") { relay.origin.record.heads == min(index + 1, 2) }
      }
      areSent.open()
      for (index, client) in clients.enumerated() where !client.isClosedByPeer() {
        throw ClientError.check("\(texts[index]) is still open")
      }
    }
    try await Deadline.wait("all requests are sent") { areSent.isPassed }
    let start = ContinuousClock().now
    #expect(try await relay.gateway.stop() == .code(0))
    #expect(ContinuousClock().now - start < .seconds(8))
    try await everybody
  }

  /// Requests and FIN in one go, where that is allowed: all of them are answered.
  @Test func aCallerThatMayHalfCloseGetsAllItsAnswers() async throws {
    let relay = try await Relay.start(configure: { configuration, _ in configuration.listener["half_close"] = true }) {
      .answer(.text($0.path))
    }
    try await relay.talk { client in
      try client.send((0..<50).map { "GET /\($0) HTTP/1.1\r\nHost: localhost\r\n\r\n" }.joined())
      client.shutdownWriting()
      for number in 0..<50 {
        let response = try client.response()
        guard response.bodyText == "/\(number)" else { throw ClientError.check("\(number): \(response.bodyText)") }
      }
    }
    #expect(relay.origin.record.completed == 50)
  }

  /// A caller that does not read for a while is judged by its rate, not by `stream_idle`.
  @Test func streamIdleDoesNotCutAnAnswerThatWaitsForItsCaller() async throws {
    let size = 48 << 20
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.timeouts["stream_idle"] = "1s"
    }) { _ in .answer(Answer(body: .pattern(size))) }
    let response = try await relay.talk { client in
      try client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
      try Deadline.pass(.seconds(4))
      return try client.response(keepsBody: false, within: .seconds(30))
    }
    #expect(response.fingerprint == .ofPattern(count: size))
  }
}

extension Deadline {
  /// Lets time go by that belongs to what is tested: a peer's silence.
  static func pass(_ time: Duration) throws {
    let end = ContinuousClock().now + time
    try block("time goes by", within: time + .seconds(5)) { ContinuousClock().now >= end }
  }
}
