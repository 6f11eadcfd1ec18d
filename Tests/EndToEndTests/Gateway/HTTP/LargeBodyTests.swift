// 10 MiB in each direction, in every framing; and peers that stop reading.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct LargeBodyTests {
  static let size = 10 << 20
  static let digest = BodyDigest.ofPattern(count: size)

  /// `/download?…` answers with the pattern; `/upload` takes the body in and says what it was.
  /// - Parameter spliced: bodies that the kernel passes on at a time; the others are copied.
  private static func start(recording: Recording = .requests, spliced: Int = 64) async throws -> Relay {
    try await .start(
      recording: recording,
      script: ServerScript(
        onHead: { request in
          request.path == "/stalled" ? .stall(afterBytes: 65536, .seconds(4)) : .digest
        },
        onRequest: { request in
          guard request.path == "/download" else {
            return .answer(.text("\(request.bodyCount) \(request.fingerprint)"))
          }
          return .answer(
            Answer(
              body: request.head.query("close") != nil
                ? .untilClose(BodyPattern.prefix(size))
                : .pattern(
                  Int(request.head.query("size") ?? "") ?? size, isChunked: request.head.query("chunked") != nil),
              cut: request.head.query("cut").map { .init(afterBytes: size / 2, isReset: $0 == "reset") }))
        })
    ) { configuration, _ in configuration.limits = ["spliced_bodies": .int(spliced)] }
  }

  @Test(arguments: ["/download", "/download?chunked", "/download?close"], [64, 0])
  func tenMebibytesDownArriveByteForByte(_ target: String, spliced: Int) async throws {
    let relay = try await Self.start(spliced: spliced)
    let response = try await relay.talk { client in
      try client.send("GET \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
      return try client.response(keepsBody: false, within: .seconds(60))
    }
    #expect(response.status == 200 && response.fingerprint == Self.digest)
    #expect(response.fields.contains("Content-Length") == (target == "/download"))
    #expect(response.fields.contains("Transfer-Encoding") == (target != "/download"))
  }

  @Test(arguments: [false, true], [64, 0])
  func tenMebibytesUpArriveByteForByte(isChunked: Bool, spliced: Int) async throws {
    let relay = try await Self.start(spliced: spliced)
    let report = try await LoadRun(
      to: relay.address, callers: 1, .requestsPerCaller(2),
      OutgoingRequest("POST", "/upload", body: .pattern(Self.size, isChunked: isChunked))
    ).check { $0.bodyText == "\(Self.size) \(Self.digest)" ? nil : $0.bodyText }.run()
    #expect(report.count == 2 && report.isAll(200), "\(report.failures)")
    #expect(report.connections == 1)
    #expect(relay.origin.record.violations == [])
    #expect(relay.origin.record.requests.allSatisfy { $0.fields.contains("Transfer-Encoding") == isChunked })
  }

  @Test(arguments: ["end", "reset"]) func aLargeAnswerThatBreaksOffIsSeenAsCut(_ way: String) async throws {
    let relay = try await Self.start()
    do {
      let response = try await relay.talk { client in
        try client.send("GET /download?cut=\(way) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return try client.response(keepsBody: false, within: .seconds(60))
      }
      Issue.record("a whole answer: \(response.status)")
    } catch ClientError.violation(let violation) {
      #expect(violation.description.hasPrefix("cut off"), "\(violation)")
    } catch ClientError.system(let error) {
      #expect(error.description.contains("recv"), "\(error)")
    }
    try await relay.expectUpload()
  }

  /// Bytes behind a body of which the gateway saw nothing.
  @Test func bytesBehindALargeBodyNeverBecomeAnAnswer() async throws {
    let size = 1 << 20
    let answer =
      Array("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n".utf8) + BodyPattern.prefix(size)
      + Array("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison".utf8)
    let relay = try await Relay.start { _ in .raw(answer, closes: false) }
    let digest = BodyDigest.ofPattern(count: size)
    let report = try await LoadRun(to: relay.address, callers: 4, .requestsPerCaller(8), OutgoingRequest("/x"))
      .check { $0.fingerprint == digest ? nil : "not the body" }.run()
    #expect(report.count == 32 && report.isAll(200), "\(report.failures)")
  }

  @Test func bodiesGoBothWaysAtOnceOnSeveralConnections() async throws {
    let relay = try await Self.start()
    let size = Self.size
    let expected = "\(size) \(Self.digest)"
    let report = try await LoadRun(to: relay.address, callers: 4, .requestsPerCaller(2)) { caller, ordinal in
      caller % 2 == 0
        ? OutgoingRequest("PUT", "/upload", body: .pattern(size, isChunked: ordinal == 0))
        : OutgoingRequest(ordinal == 0 ? "/download?chunked" : "/download")
    }.check { response in
      response.fingerprint == Self.digest || response.bodyText == expected ? nil : "a wrong body"
    }.run()
    #expect(report.count == 8 && report.isAll(200), "\(report.failures)")
    #expect(relay.origin.record.violations == [])
  }

  /// The socket buffers of both connections hold a few MiB; a stalled reader must be told by 40 MiB.
  @Test(arguments: ["", "&chunked"]) func aStalledReaderMakesNoMemoryGrowAndGetsTheRest(_ framing: String) async throws
  {
    let relay = try await Self.start()
    let size = 40 << 20
    try await relay.expectUpload()
    let gateway = try relay.gateway.process
    let before = gateway.residentBytes
    let (during, digest) = try await relay.talk { client in
      try client.send("GET /download?size=\(size)\(framing) HTTP/1.1\r\nHost: localhost\r\n\r\n")
      let head = try client.head()
      guard head.status == 200 else { throw ClientError.check("\(head.status)") }
      var peak = 0
      // Nothing is read meanwhile: the whole time is what is tested.
      let end = ContinuousClock().now + .seconds(3)
      try Deadline.block("the stall", within: .seconds(10)) {
        peak = max(peak, gateway.residentBytes)
        return ContinuousClock().now > end
      }
      var digest = BodyDigest()
      while case .data(let data) = try client.event(within: .seconds(30)) { digest.add(data) }
      return (peak, digest)
    }
    #expect(digest == BodyDigest.ofPattern(count: size))
    #expect(during - before < 4 << 20, "grew by \((during - before) / 1024) KiB")
    print("stalled reader\(framing): resident set \(before / 1024) KiB before, \(during / 1024) KiB at most during")
  }

  @Test(arguments: [false, true])
  func anUpstreamThatDoesNotReadAnUploadMakesNoMemoryGrowAndGetsTheRest(isChunked: Bool) async throws {
    let relay = try await Self.start()
    let size = 40 << 20
    try await relay.expectUpload()
    let gateway = try relay.gateway.process
    let before = gateway.residentBytes
    let run = try LoadRun(
      to: relay.address, callers: 1, .requestsPerCaller(1),
      OutgoingRequest("POST", "/stalled", body: .pattern(size, isChunked: isChunked))
    ).check { $0.bodyText == "\(size) \(BodyDigest.ofPattern(count: size))" ? nil : $0.bodyText }.start()
    var peak = 0
    let clock = ContinuousClock()
    let end = clock.now + .seconds(3)
    try await Deadline.wait("the stall", within: .seconds(10)) {
      peak = max(peak, gateway.residentBytes)
      return clock.now > end
    }
    #expect(run.progress.count == 0)
    let report = try await run.report()
    #expect(report.isAll(200), "\(report.failures)")
    #expect(peak - before < 4 << 20, "grew by \((peak - before) / 1024) KiB")
    print("stalled upstream, chunked \(isChunked): \(before / 1024) KiB before, \(peak / 1024) KiB at most during")
  }
}

extension Relay {
  /// Warms the buffers up, so that what comes later is not their first use.
  fileprivate func expectUpload() async throws {
    let report = try await LoadRun(
      to: address, callers: 4, .requestsPerCaller(2),
      OutgoingRequest("POST", "/upload", body: .pattern(1 << 20))
    ).run()
    #expect(report.isAll(200), "\(report.failures)")
  }
}

extension LoadRun {
  /// The same with a check of every response.
  func check(_ check: @escaping @Sendable (ReceivedResponse) -> String?) -> LoadRun {
    var run = self
    run.check = check
    return run
  }
}
