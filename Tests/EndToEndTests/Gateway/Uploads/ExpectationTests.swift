// DESIGN 5, "hold": a body that can't be kept waits until the upstream has seen the token, on routes whose server kills
// the old token at rotation.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct ExpectationTests {
  private static let size = 1 << 20
  /// Takes much less than the second that a body waits.
  private static let atOnce = Duration.milliseconds(800) * Pace.slowness

  @Test(arguments: [false, true], [false, true])
  func a401FindsTheBodyUnsentAndTheUploadSucceeds(isChunked: Bool, closes: Bool) async throws {
    let origin = try UploadOrigin(recording: .bytes) { seen in
      if seen.isGood { return .take() }
      return closes ? .earlyAndClose(UploadOrigin.unauthorized) : .early(.answer(UploadOrigin.unauthorized))
    }
    let rig = try await origin.rig()
    rig.sandbox.revokeAccessTokens(.vinid)
    let (response, took) = try await rig.upload("/up/a", Self.size, isChunked: isChunked)
    #expect(response.status == 200 && response.bodyText == UploadOrigin.taken(Self.size, "/a"))
    #expect(response.interim.isEmpty, "the caller did not ask to be asked")
    #expect(took < Self.atOnce * 3, "\(took)")
    #expect(origin.seen.map(\.isGood) == [false, true])
    #expect(origin.seen.allSatisfy { $0.expects && $0.authorizations.count == 1 })
    let refused = origin.server.record.bytes[1] ?? []
    #expect(
      refused.suffix(4) == [13, 10, 13, 10] && refused.count < 2000, "behind the head came \(refused.count) bytes")
    #expect(origin.server.record.completed == 1)
    #expect(rig.tokenCalls() == 2)
    try await rig.finish()
  }

  @Test func onlyBodiesThatCannotBeKeptAreAskedAbout() async throws {
    let origin = try UploadOrigin { _ in .take(asking: nil) }
    let rig = try await origin.rig(limits: ["replay_body": "64KiB"])
    let kept = 64 * 1024
    #expect(try await rig.get("/up/get").status == 200)
    let (exact, exactTook) = try await rig.upload("/up/exact", kept)
    #expect(exact.bodyText == UploadOrigin.taken(kept, "/exact") && exactTook < Self.atOnce)
    let address = rig.gateway.address
    let whole = try await OwnThread.run {
      let client = try RawClient(to: address)
      try client.send(
        "POST /up/whole HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
      return try client.response()
    }
    #expect(whole.bodyText.hasPrefix("5 "))
    // A credential whose old token lives on.
    let (plain, plainTook) = try await rig.upload("/plain/big", Self.size)
    #expect(plain.status == 200 && plainTook < Self.atOnce)
    #expect(origin.seen.count == 4 && origin.seen.allSatisfy { !$0.expects }, "\(origin.seen.map(\.path))")
    // Its end shows that it could be kept, so that it does not wait for an answer that never comes.
    let (late, lateTook) = try await rig.upload("/up/late", 100, isChunked: true)
    #expect(late.bodyText == UploadOrigin.taken(100, "/late") && lateTook < Self.atOnce)
    try await rig.finish()
  }

  /// Too large for what is left of `replay_memory` is too large.
  @Test func withoutReplayMemoryASmallBodyIsAskedAboutToo() async throws {
    let origin = try UploadOrigin()
    let rig = try await origin.rig(limits: ["replay_memory": "1KiB"])
    rig.sandbox.revokeAccessTokens(.vinid)
    let (response, _) = try await rig.upload("/up/a", 20_000)
    #expect(response.bodyText == UploadOrigin.taken(20_000, "/a"))
    #expect(origin.seen.map(\.expects) == [true, true])
    try await rig.finish()
  }

  /// The caller waits itself: it is asked once, after the token was found good.
  @Test(arguments: [false, true]) func aCallerThatWaitsIsAskedOnceForItsBody(isChunked: Bool) async throws {
    let origin = try UploadOrigin()
    let rig = try await origin.rig()
    rig.sandbox.revokeAccessTokens(.vinid)
    let (address, size) = (rig.gateway.address, Self.size)
    let response = try await OwnThread.run {
      let client = try RawClient(to: address)
      let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(size)"
      try client.send("POST /up/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\(framing)\r\n\r\n")
      guard case .head(let head)? = try client.event(), head.status == 100, case .end? = try client.event() else {
        throw ClientError.check("not asked for the body")
      }
      let body = BodyPattern.prefix(size)
      try client.send(
        isChunked ? Array("\(String(size, radix: 16))\r\n".utf8) + body + Array("\r\n0\r\n\r\n".utf8) : body)
      return try client.response()
    }
    #expect(response.bodyText == UploadOrigin.taken(size, "/a") && response.interim.isEmpty)
    #expect(origin.seen.map(\.isGood) == [false, true] && origin.seen.allSatisfy { $0.expects })
    try await rig.finish()
  }

  /// No new token is to be had: the caller gets the upstream's own 401, without having been asked for its body.
  @Test(arguments: [false, true]) func withoutANewTokenTheUpstreamsOwn401IsPassedOn(isChunked: Bool) async throws {
    let origin = try UploadOrigin()
    let rig = try await origin.rig()
    rig.sandbox.revokeAccessTokens(.vinid)
    rig.sandbox.killRefreshTokens(.vinid)
    let (response, _) = try await rig.upload("/up/a", Self.size, isChunked: isChunked)
    #expect(response.status == 401 && response.bodyText == "{\"error\":\"invalid_token\"}")
    #expect(response.fields["Proxy-Status"] == nil && response.interim.isEmpty)
    #expect(origin.seen.count == 1 && origin.server.record.completed == 0)
    try await rig.finish()
  }

  /// The old token is dead and the new one is not here yet: nobody tries the old one with a body that can't be kept.
  @Test(arguments: [false, true]) func anUploadWaitsForTheRotationThatIsGoingOn(isQueued: Bool) async throws {
    let long = Shared(Mutex(true))
    let origin = try UploadOrigin { seen in
      seen.path == "/long" && long.value.withLock { $0 } ? .early(.hang) : .take(asking: nil)
    }
    var options = SandboxOptions.onFreePorts
    options.setLifetime(.seconds(8) * Pace.slowness)
    options.latencyAfter = .seconds(2)
    let limits: [String: OrderedJSON] = isQueued ? ["upstream_connections": 1] : [:]
    let rig = try await origin.rig(options, timeouts: ["connect": "60s", "park": "60s"], limits: limits)
    // With one connection, which is taken, the upload begins before the rotation and would leave in the middle of it.
    let address = rig.gateway.address
    let first = isQueued ? try RawClient(to: address) : nil
    try first?.send("GET /up/long HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if isQueued { try await Deadline.wait("the connection is taken") { origin.seen.count == 1 } }
    if !isQueued {
      try await Deadline.wait("the token is renewed", within: .seconds(60)) { rig.tokenCalls() == 2 }
    }
    async let upload = rig.upload("/up/a", Self.size)
    if isQueued {
      try await Deadline.wait("the token is renewed", within: .seconds(60)) { rig.tokenCalls() == 2 }
      first?.close()
    }
    let (response, _) = try await upload
    #expect(response.bodyText == UploadOrigin.taken(Self.size, "/a"))
    let heads = origin.seen.filter { $0.path == "/a" }
    #expect(heads.count == 1 && heads.allSatisfy(\.isGood), "it left with the old token")
    try await rig.finish()
  }
}
