// Requests that two servers could read in two ways: refused, and nothing but whole requests reaches the origin. The
// origin's strict reader, which shares no code with the gateway, is the judge.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct SmugglingTests {
  /// A request that must never come out at the origin by itself.
  private static let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
  private static let body = "0\r\n\r\n" + hidden

  /// Field lines of a POST whose body is `body`, and the status to be answered.
  private static let framings: [(String, Int)] = [
    ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
    ("Content-Length: 5\r\nContent-Length: 5", 400),
    ("Content-Length: 5\r\nContent-Length: 6", 400),
    ("Content-Length: 5, 5", 400), ("Content-Length: 5,6", 400), ("Content-Length: +5", 400),
    ("Content-Length: -5", 400), ("Content-Length: 0x5", 400), ("Content-Length: 5 5", 400), ("Content-Length:", 400),
    ("Content-Length: 18446744073709551621", 400), ("Content-Length: 5.0", 400), ("Content-Length: 5;", 400),
    ("Content-Length : 5", 400), ("Content-Length\t: 5", 400), (" Content-Length: 5", 400),
    ("Content-Length: \u{b}5", 400), ("X: y\r\n Content-Length: 5", 400), ("X: y\r\n\tz", 400),
    ("Transfer-Encoding: xchunked", 400), ("Transfer-Encoding: chunked, identity", 400),
    ("Transfer-Encoding: identity", 400), ("Transfer-Encoding: chunked, chunked", 400),
    ("Transfer-Encoding: ,chunked", 400), ("Transfer-Encoding: \"chunked\"", 400),
    ("Transfer-Encoding: \u{b}chunked", 400), ("Transfer-Encoding: \u{c}chunked", 400),
    ("Transfer-Encoding: chunked\u{b}", 400), ("Transfer-Encoding: chunked;a=b", 400),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
    ("Transfer-Encoding: gzip, chunked", 501), ("Transfer-Encoding : chunked", 400), ("Transfer-Encoding:", 400),
    (" Transfer-Encoding: chunked", 400), ("Transfer-Encoding:\r\n chunked", 400), ("Transfer-Encoding", 400),
    ("Transfer-Encoding: chunked\r\n\r: x", 400), ("X: a\nTransfer-Encoding: chunked", 400),
    ("X: a\rTransfer-Encoding: chunked", 400), ("X: a\u{0}b", 400), ("X: a\u{7f}b", 400), ("X(: b", 400), (": b", 400),
    ("Host: localhost", 400), ("Host: other", 400), ("Connection: host", 400), ("Connection: content-length", 400),
    ("Connection: close, Transfer-Encoding", 400),
  ]

  @Test func ambiguousFramingIsRefusedAndNothingReachesTheOrigin() async throws {
    let relay = try await Relay.start { _ in .answer(.text("origin")) }
    for (fields, status) in Self.framings {
      let (response, closes) = try await relay.send(
        "POST /first HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n\r\n\(Self.body)")
      #expect(response.status == status, "\(fields.debugDescription): \(response.status)")
      #expect(response.problem?.source == "downstream", "\(fields.debugDescription)")
      #expect(closes, "\(fields.debugDescription)")
    }
    let record = relay.origin.record
    #expect(record.heads == 0 && record.violations == [])
    try await relay.expectWorks()
  }

  /// Request lines and what stands around them.
  private static let lines: [(String, Int)] = [
    ("GET / HTTP/1.1\nHost: localhost\n\n", 400), ("GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET /  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), ("GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (" GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), ("GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n", 400),
    ("GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), ("GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET /\u{e9} HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), ("G(T / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET http://other/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405), ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
    ("GET / HTTP/1.\r\nHost: localhost\r\n\r\n", 400), ("GET / http/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET / HTTP/1.1.1\r\nHost: localhost\r\n\r\n", 400), ("GET / HTTP/01.1\r\nHost: localhost\r\n\r\n", 400),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), ("GET /\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n", 400),
  ]

  @Test func malformedRequestLinesAreRefused() async throws {
    let relay = try await Relay.start { _ in .answer(.text("origin")) }
    for (text, status) in Self.lines {
      let (response, closes) = try await relay.send(text)
      #expect(response.status == status, "\(text.debugDescription): \(response.status)")
      #expect(response.problem?.source == "downstream" && closes, "\(text.debugDescription)")
    }
    #expect(relay.origin.record.heads == 0 && relay.origin.record.violations == [])
    try await relay.expectWorks()
  }

  /// Chunked bodies that break a rule after a good head and a good first chunk.
  private static let chunks: [String] = [
    "+3\r\nabc\r\n", "-1\r\n", "0x3\r\nabc\r\n", "\r\nabc\r\n", " 3\r\nabc\r\n", "3_0\r\nabc\r\n", "3\nabc\r\n",
    "3\r\nabcX\r\n",
    "3\r\nabc\n", "3\r\nabcde\r\n0\r\n\r\n", "00000000000000003\r\nabc\r\n", "g\r\n", "3 \u{b}\r\nabc\r\n",
    "3;\(String(repeating: "x", count: 300))\r\nabc\r\n", "0\r\nBad Trailer: x\r\n\r\n", "0\r\n folded\r\n\r\n",
    "0\r\nA: b\n\r\n",
    "0\n\n", "ffffffffffffffff\r\nabc",
  ]

  @Test func brokenChunksAreRefusedAndTheOriginNeverTakesTheBodyForWhole() async throws {
    let relay = try await Relay.start { _ in .answer(.text("origin")) }
    for chunk in Self.chunks {
      let (response, closes) = try await relay.send(
        "POST /broken HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\(chunk)\(Self.hidden)"
      )
      #expect(response.status == 400 && closes, "\(chunk.debugDescription): \(response.status)")
    }
    try await relay.expectWorks()
    #expect(try await relay.gateway.stop() == .code(0))
    try await Deadline.wait("the origin's connections end") { relay.origin.record.openConnections == 0 }
    let record = relay.origin.record
    #expect(record.requests.map(\.path) == ["/after"] && record.violations == [])
  }

  @Test func aBodyWithRequestsInItIsABody() async throws {
    let relay = try await Relay.start { .answer(.text("\($0.path) \($0.bodyText)")) }
    let hidden = Self.hidden
    let answers = try await relay.talk { client in
      let next = "GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n"
      try client.send(
        "POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(hidden.utf8.count)\r\n\r\n\(hidden)\(next)")
      var texts = [try client.response().bodyText, try client.response().bodyText]
      let size = String(hidden.utf8.count, radix: 16)
      try client.send(
        "POST /chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\(size);a=\"b\"\r\n\(hidden)\r\n0\r\n\r\n\(next)"
      )
      texts += [try client.response().bodyText, try client.response().bodyText]
      return texts
    }
    #expect(answers == ["/length \(hidden)", "/next ", "/chunked \(hidden)", "/next "])
    #expect(relay.origin.record.requests.map(\.path) == ["/length", "/next", "/chunked", "/next"])
    #expect(relay.origin.record.violations == [])
  }

  @Test func upgradesAreNeverForwarded() async throws {
    let relay = try await Relay.start { _ in .answer(.text("origin")) }
    let (response, _) = try await relay.send(
      "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        + "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\n\r\n")
    #expect(response.status == 200)
    let seen = try #require(relay.origin.record.requests.first)
    for name in ["Upgrade", "HTTP2-Settings", "Transfer_Encoding", "Content_Length", "Connection"] {
      #expect(!seen.fields.contains(name), "\(name)")
    }
  }
}
