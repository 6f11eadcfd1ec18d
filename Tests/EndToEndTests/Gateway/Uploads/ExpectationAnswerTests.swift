// What upstreams do with our `Expect: 100-continue` besides 100 and 401: nothing, 417, an end, a final answer ahead of the
// body, a late 100.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct ExpectationAnswerTests {
  private static let size = 1 << 20
  /// Takes much less than the second that a body waits.
  private static let atOnce = Duration.milliseconds(800) * Pace.slowness
  private static let waited = Duration.milliseconds(950)

  private static func expectTaken(
    _ result: (response: ReceivedResponse, took: Duration), _ path: String, waited: Bool? = false,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let (response, took) = result
    #expect(
      response.status == 200 && response.bodyText == UploadOrigin.taken(size, path), "\(response.status)",
      sourceLocation: sourceLocation)
    #expect(response.interim.isEmpty, sourceLocation: sourceLocation)
    guard let waited else { return }
    #expect(waited ? took >= Self.waited : took < Self.atOnce, "\(took)", sourceLocation: sourceLocation)
  }

  /// Each of the first three waits a second; then the upstream is known for it.
  @Test(arguments: [false, true]) func aSilentUpstreamGetsTheBodyAfterASecondAndIsNotAskedForLong(
    isChunked: Bool
  ) async throws {
    let origin = try UploadOrigin { _ in .take(asking: nil) }
    let rig = try await origin.rig()
    for number in 1...3 {
      Self.expectTaken(
        try await rig.upload("/up/\(number)", Self.size, isChunked: isChunked), "/\(number)", waited: true)
    }
    Self.expectTaken(try await rig.upload("/up/4", Self.size, isChunked: isChunked), "/4")
    #expect(origin.seen.map(\.expects) == [true, true, true, false])
    try await rig.finish()
  }

  /// It comes when the body is on its way: nobody is told, and the upstream counts as one that answers.
  @Test func aLate100ChangesNothing() async throws {
    let origin = try UploadOrigin { seen in .take(asking: .milliseconds(1500)) }
    let rig = try await origin.rig()
    let address = rig.gateway.address
    for number in 1...4 {
      // The body is still going on when the 100 comes.
      let response = try await OwnThread.run {
        let client = try RawClient(to: address)
        let body = BodyPattern.prefix(Self.size)
        try client.send("POST /up/\(number) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.count)\r\n\r\n")
        try client.send(Array(body[..<600_000]))
        try Deadline.pass(.milliseconds(2000))
        try client.send(Array(body[600_000...]))
        return try client.response()
      }
      Self.expectTaken((response, .zero), "/\(number)", waited: nil)
    }
    #expect(origin.seen.count == 4 && origin.seen.allSatisfy { $0.expects })
    try await rig.finish()
  }

  @Test(arguments: [false, true]) func after417TheRequestGoesOutWithoutExpectation(closes: Bool) async throws {
    let origin = try UploadOrigin { seen in
      if !seen.expects { return .take() }
      return closes ? .earlyAndClose(Answer(417)) : .early(.answer(Answer(417)))
    }
    let rig = try await origin.rig()
    Self.expectTaken(try await rig.upload("/up/1", Self.size), "/1")
    Self.expectTaken(try await rig.upload("/up/2", Self.size, isChunked: true), "/2")
    #expect(origin.seen.map(\.expects) == [true, false, false])
    // Who expects something itself is told what became of it.
    let (response, _) = try await rig.upload("/up/3", Self.size, fields: "Expect: 100-continue\r\n")
    #expect(response.status == 417)
    try await rig.finish()
  }

  @Test(arguments: [413, 403, 302], [false, true])
  func aRefusalOfTheBodyIsPassedOnAtOnce(status: Int, closes: Bool) async throws {
    let origin = try UploadOrigin(recording: .bytes) { seen in
      if seen.path == "/next" { return .take() }
      let answer = Answer.text("no\n", status: status)
      return closes ? .earlyAndClose(answer) : .early(.answer(answer))
    }
    let rig = try await origin.rig(limits: ["upstream_connections": 1])
    let (response, took) = try await rig.upload("/up/a", Self.size)
    #expect(response.status == status && response.bodyText == "no\n" && took < Self.atOnce, "\(took)")
    let bytes = origin.server.record.bytes[1] ?? []
    #expect(bytes.suffix(4) == [13, 10, 13, 10], "the body went to one that did not want it")
    // The connection whose request is not whole carries no other one.
    Self.expectTaken(try await rig.upload("/up/next", Self.size), "/next")
    #expect(origin.server.record.violations.isEmpty && origin.server.record.connections == 2)
    try await rig.finish()
  }

  /// A success ahead of the body asks for it, as one that comes while the body is on its way does.
  @Test func a200AheadOfTheBodyGetsTheBody() async throws {
    let origin = try UploadOrigin { _ in
      let pieces = ["one ", "two ", "three\n"].map { Array($0.utf8) }
      return .early(.answer(Answer(body: .chunks(pieces, pause: .seconds(1)))))
    }
    let rig = try await origin.rig()
    let (response, _) = try await rig.upload("/up/a", Self.size)
    #expect(response.status == 200 && response.bodyText == "one two three\n")
    #expect(origin.server.record.requests.map(\.bodyCount) == [Self.size])
    try await rig.finish()
  }

  /// DESIGN 4.4: a PUT goes out once more, over a new connection and, since a new one had ended, without the question. A
  /// POST may have been acted on.
  @Test(arguments: ["PUT", "POST"], [false, true])
  func anEndInsteadOfAnAnswer(method: String, resets: Bool) async throws {
    let origin = try UploadOrigin { $0.expects ? .early(resets ? .reset : .close) : .take() }
    let rig = try await origin.rig()
    let result = try await rig.upload("/up/1", Self.size, method: method)
    if method == "PUT" {
      Self.expectTaken(result, "/1")
    } else {
      #expect(result.response.status == 502 && result.response.problem != nil)
      Self.expectTaken(try await rig.upload("/up/2", Self.size, method: method), "/2")
    }
    #expect(origin.seen.map(\.expects) == [true, false])
    try await rig.finish()
  }

  /// The caller goes away, or sends too much, while the upstream has not said a word.
  @Test func theWaitEndsWithTheCaller() async throws {
    let origin = try UploadOrigin { $0.path == "/next" ? .take() : .take(asking: nil) }
    let rig = try await origin.rig(limits: ["request_body": "2MiB", "upstream_connections": 1])
    let address = rig.gateway.address
    try await OwnThread.run {
      let client = try RawClient(to: address)
      try client.send("POST /up/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nbegin")
      try Deadline.block("the head is there") { origin.seen.count == 1 }
      client.close()
    }
    let (large, _) = try await rig.upload("/up/b", 3 << 20, isChunked: true)
    #expect(large.status == 413)
    Self.expectTaken(try await rig.upload("/up/next", Self.size), "/next")
    try await rig.finish()
  }
}
