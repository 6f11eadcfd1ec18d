// The upstream stops taking the token under load: one refresh, one replay each, bodies whole.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct RevocationTests {
  private static let size = 100 * 1024

  /// 200 callers at work; the token dies in the middle.
  private static func revokeUnderLoad(
    workers: Int = 2, pause: Duration, check: @escaping @Sendable (ReceivedResponse) -> String?,
    request: OutgoingRequest
  ) async throws {
    var options = SandboxOptions.onFreePorts
    options.latencyBefore = .milliseconds(200)
    let rig = try await TokenRig(options) { $0.more["workers"] = .int(workers) }
    let run = try rig.load(callers: 200, .time(.seconds(120)), pause: pause, check: check) { _, _ in request }
      .start()
    try await Deadline.wait("every caller is at work", within: .seconds(60)) { run.progress.count > 400 }
    #expect(rig.tokenCalls() == 1)
    rig.sandbox.revokeAccessTokens(.vinid)
    let before = run.progress.count
    try await Deadline.wait("every caller has gone on", within: .seconds(60)) { run.progress.count > before + 600 }
    run.stop()
    let report = try await run.report()
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(rig.tokenCalls() == 2, "one refresh, not \(rig.tokenCalls() - 1)")
    let upstream = rig.sandbox.upstreamCounters(.vinid)
    #expect(upstream.unauthorized > 0 && upstream.accepted == report.count, "\(upstream) of \(report.count)")
    try await rig.finish()
  }

  /// What happens when: An upstream rejects the token
  @Test(arguments: [1, 2]) func twoHundredCallersCauseOneRefreshAndGetTheirAnswers(workers: Int) async throws {
    try await Self.revokeUnderLoad(
      workers: workers, pause: .milliseconds(100), check: TokenRig.isEcho, request: OutgoingRequest("/vinid/echo"))
  }

  @Test(arguments: ["/vinid/upload", "/vinid/early-401/upload", "/vinid/early-401-close/upload"], [false, true])
  func bodiesArriveWholeInTheirReplay(path: String, isChunked: Bool) async throws {
    try await Self.revokeUnderLoad(
      pause: .seconds(1), check: TokenRig.isEcho(ofPattern: Self.size),
      request: OutgoingRequest("POST", path, body: .pattern(Self.size, isChunked: isChunked)))
  }

  /// The answer is the upstream's own, and it brings a new token for those who come next: also for one of the same
  /// size that comes at once. Where the old token dies at rotation, an upstream that judges the token before the body has
  /// not got the body then: see `ExpectationTests`.
  /// What happens when: An upstream rejects a request that is larger than `replay_body`
  @Test(
    arguments: ["/vinid/upload", "/oauth2/upload", "/oauth2/early-401/upload", "/oauth2/early-401-close/upload"],
    [false, true])
  func aBodyOverReplayBodyGetsTheUpstreamsOwn401AndTheNextRequestSucceeds(path: String, isChunked: Bool) async throws {
    var options = SandboxOptions.onFreePorts
    options.latencyBefore = .milliseconds(300)
    let api = path.hasPrefix("/vinid/") ? SandboxAPI.vinid : .oauth2
    let rig = try await TokenRig(options, base: { .only(api, $0) }, configure: { _ in })
    let size = 300 * 1024
    let body = BodyPattern.prefix(size)
    let wire: [UInt8] =
      isChunked
      ? stride(from: 0, to: size, by: 50 * 1024).flatMap { start -> [UInt8] in
        let piece = body[start..<min(size, start + 50 * 1024)]
        return Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10]
      } + Array("0\r\n\r\n".utf8) : body
    let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(size)"
    let head = "POST \(path) HTTP/1.1\r\nHost: \(rig.gateway.address)\r\n\(framing)\r\n\r\n"
    let address = rig.gateway.address
    let big: @Sendable () throws -> ReceivedResponse = {
      let client = try RawClient(to: address)
      // An answer ahead of the body may end the connection before all of it is written.
      do { try client.send(Array(head.utf8) + wire) } catch ClientError.system {}
      return try client.response(within: .seconds(20))
    }
    rig.sandbox.revokeAccessTokens(api)
    let refused = try await OwnThread.run(big)
    rig.keep(refused)
    #expect(refused.status == 401 && refused.bodyText == "{\"error\":\"invalid_token\"}")
    #expect(refused.fields.all("WWW-Authenticate") == ["Bearer realm=\"sandbox\", error=\"invalid_token\""])
    #expect(refused.fields["Proxy-Status"] == nil && refused.fields["Content-Type"] == "application/json")
    let next = try await OwnThread.run(big)
    rig.keep(next)
    #expect(TokenRig.isEcho(ofPattern: size)(next) == nil, "\(next.status) \(next.bodyText)")
    let small = try await rig.get("/\(api)/echo")
    #expect(TokenRig.isEcho(small) == nil)
    #expect(rig.tokenCalls(api) == 2)
    try await rig.finish()
  }
}
