// What a request costs once everything is warm: no memory, four system calls. Counted inside the release build.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5)), .enabled(if: ReleaseBuild.isThere, ReleaseBuild.comment))
struct SteadyStateTests {
  private static let requests = 20_000

  private static func expectNothingWasted(
    _ work: CountedWork, requests: Int = requests, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    // None, but for a buffer more when more callers than ever before have bytes on their way in the same moment.
    #expect(Double(work.ownAllocations) / Double(requests) < 0.001, "\(work)", sourceLocation: sourceLocation)
    #expect(work.epollChanges == 0, "\(work)", sourceLocation: sourceLocation)
    let calls = Double(work.dataCalls) / Double(requests)
    #expect(calls > 3.97 && calls < 4.03, "\(calls) system calls for data: \(work)", sourceLocation: sourceLocation)
    #expect(work.otherDataCalls == 0, "\(work)", sourceLocation: sourceLocation)
  }

  /// Answers with what one piece brings: a body of about 90 bytes, or one in chunks.
  private static func origin() throws -> ScriptedServer {
    try ScriptedServer(recording: .counts) { request in
      guard request.fields.all("Authorization").count == 1 else { return .answer(.text("no token", status: 403)) }
      if request.path == "/chunked" {
        let chunks = ["5\r\nhello\r\n", "2000\r\n\(String(repeating: "c", count: 0x2000))\r\n", "0\r\n\r\n"].joined()
        return .raw(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)".utf8), closes: false)
      }
      return .answer(.text(String(repeating: "x", count: 90 + request.bodyCount % 7)))
    }
  }

  @Test(arguments: ["GET", "POST", "chunked"]) func aRequestTakesNoMemoryAndFourCalls(_ kind: String) async throws {
    let origin = try Self.origin()
    let rig = try await CountedGateway.start(to: ["url": .string(origin.url)])
    let (request, size) =
      switch kind {
      case "POST": (OutgoingRequest("POST", "/post", body: .bytes(Array(repeating: 0x70, count: 4096))), 91)
      case "chunked": (OutgoingRequest("/chunked"), 5 + 0x2000)
      default: (OutgoingRequest("/get", fields: [FieldLine("Accept", "*/*"), FieldLine("X-Some", "thing")]), 90)
      }
    let (work, failures) = try await rig.work(for: Self.requests, request) {
      $0.status == 200 && $0.body.count == size ? nil : "\($0.status) \($0.body.count)"
    }
    #expect(failures.isEmpty, "\(failures)")
    Self.expectNothingWasted(work)
  }

  /// Two spans for each request, of which the collector gets what it can take. They leave the data loop in batches, each
  /// of which costs it a message, and one that brings the memory back.
  @Test func aTracedRequestTakesNoMemoryOfItsOwn() async throws {
    let collector = try ScriptedServer(
      recording: .counts,
      script: ServerScript(onHead: { _ in .digest }) { _ in
        .answer(.text("{}"))
      })
    let origin = try ScriptedServer(recording: .counts) { request in
      let isTraced = request.fields.all("traceparent").count == 1
      return .answer(.text(String(repeating: "x", count: 90), status: isTraced ? 200 : 400))
    }
    let rig = try await CountedGateway.start(to: ["url": .string(origin.url)]) { configuration, _ in
      configuration.more["otlp"] = ["url": .string(collector.url)]
    }
    let parent = FieldLine("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    let (work, failures) = try await rig.work(for: Self.requests, OutgoingRequest("/get", fields: [parent])) {
      $0.status == 200 && $0.body.count == 90 ? nil : "\($0.status) \($0.body.count)"
    }
    #expect(failures.isEmpty, "\(failures)")
    #expect(collector.record.completed > 0)
    let batches = 2 * Self.requests / 512
    #expect(work.ownAllocations < 3 * UInt64(batches), "\(work)")
    #expect(work.otherDataCalls < 3 * UInt64(batches) && work.epollChanges == 0, "\(work)")
    let calls = Double(work.sends + work.receives) / Double(Self.requests)
    #expect(calls > 3.97 && calls < 4.03, "\(calls) system calls for data: \(work)")
  }

  /// Head and body are one record, or there would be a call more. OpenSSL 3.0 itself takes memory 7 times with TLS 1.3, 5
  /// times with 1.2: the read buffer twice and the write buffer once, which SSL_MODE_RELEASE_BUFFERS gives back after each
  /// use, and small pieces (`WPACKET_sub`) to make up record headers, two for each record written and, with 1.3, one more
  /// for each record either way.
  @Test(arguments: ["GET", "POST"]) func aRequestOverTLSTakesNoMemoryOfOurOwnAndFourCalls(_ method: String) async throws
  {
    let origin = try await TLSOrigin.start(script: "small_tls_origin.py")
    let rig = try await CountedGateway.start(to: origin.upstream)
    let requests = 10_000
    let body = method == "POST" ? Body.bytes(Array(repeating: 0x70, count: 4096)) : .none
    let (work, failures) = try await rig.work(for: requests, OutgoingRequest(method, "/x", body: body)) {
      $0.status == 200 && $0.body.count == 90 ? nil : "\($0.status) \($0.body.count)"
    }
    #expect(failures.isEmpty, "\(failures)")
    Self.expectNothingWasted(work, requests: requests)
    #expect(Double(work.tlsAllocations) / Double(requests) < 7.1, "\(work)")
  }

  /// Reloads leave nothing behind that a request would pay for; names and places that come and go do not either.
  @Test func aRequestAfterReloadsTakesNoMemoryEither() async throws {
    let origin = try Self.origin()
    let rig = try await CountedGateway.start(to: ["url": .string(origin.url)])
    for number in 1...50 {
      var configuration = rig.configuration
      configuration.routes[0]["name"] = .string("all-\(number)")
      configuration.routes.append(
        GatewayConfiguration.route("more-\(number)", prefix: "/more/", to: origin.address, credential: nil))
      configuration.timeouts["upstream_idle"] = .string("\(20 + number)s")
      try await rig.gateway.reload(configuration)
      #expect(try await rig.gateway.request("GET", "/get").status == 200)
    }
    let (work, failures) = try await rig.work(for: Self.requests, OutgoingRequest("/get")) {
      $0.status == 200 && $0.body.count == 90 ? nil : "\($0.status) \($0.body.count)"
    }
    #expect(failures.isEmpty, "\(failures)")
    Self.expectNothingWasted(work)
  }
}
