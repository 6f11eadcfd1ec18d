// The parser of the scripted peers: it must refuse what the gateway must never send, else it is no oracle.
import GatewayTesting
import Testing

/// Feeds in the pieces given and collects events; consecutive data events are one.
private func read(_ role: MessageReader.Role, _ pieces: [[UInt8]], ends: Bool = false) throws -> [MessageEvent] {
  var reader = MessageReader(role)
  var events: [MessageEvent] = []
  func drain() throws {
    while let event = try reader.next() {
      if case .data(let more) = event, case .data(let before)? = events.last {
        events[events.count - 1] = .data(before + more)
      } else {
        events.append(event)
      }
    }
  }
  for piece in pieces {
    reader.feed(piece.span)
    try drain()
  }
  if ends {
    reader.feedEnd()
    try drain()
  }
  return events
}

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct MessageReaderTests {
  static let pipelined =
    "POST /a?b=c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: u\r\n\r\n"
    + "\r\nPUT /l HTTP/1.1\r\nhost: x\r\nContent-Length: 4\r\nX:  v \r\n\r\nwxyzGET / HTTP/1.0\r\n\r\n"

  @Test func everySplitPointGivesTheSameMessages() throws {
    let whole = bytes(Self.pipelined)
    let expected = try read(.requests, [whole])
    #expect(expected.count == 8)
    guard case .head(let first) = expected[0], case .head(let second) = expected[3] else {
      Issue.record("no heads")
      return
    }
    #expect(first.method == "POST" && first.path == "/a" && first.query("b") == "c")
    #expect(expected[1] == .data(bytes("abc0123456789")))
    #expect(expected[2] == .end(trailers: [FieldLine("T", "u")]))
    #expect(second.fields.lines.last == FieldLine("X", "v"))
    for split in 1..<whole.count {
      #expect(try read(.requests, [Array(whole[..<split]), Array(whole[split...])]) == expected, "split at \(split)")
    }
    #expect(try read(.requests, whole.map { [$0] }) == expected)
  }

  @Test(arguments: [
    ("Content-Length twice", "Content-Length: 1\r\nContent-Length: 1"),
    ("Content-Length list", "Content-Length: 1, 1"),
    ("Content-Length sign", "Content-Length: +1"),
    ("Content-Length empty", "Content-Length:"),
    ("length and coding", "Content-Length: 1\r\nTransfer-Encoding: chunked"),
    ("coding that is not chunked", "Transfer-Encoding: gzip, chunked"),
    ("coding twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    ("Host twice", "Host: y"),
    ("space before the colon", "X : y"),
    ("obs-fold", "X: y\r\n z"),
    ("no colon", "X"),
    ("a control character in a value", "X: a\u{1}b"),
    ("bare line feed", "X: a\nY: b"),
    ("bare carriage return", "X: a\rY: b"),
  ])
  func malformedRequestIsAViolation(_ name: String, _ fields: String) {
    #expect(throws: MessageViolation.self, "\(name)") {
      try read(.requests, [bytes("GET / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n\r\n")])
    }
  }

  @Test(arguments: [
    "GET / HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\r\nHost: x\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "G@T / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.1\nHost: x\n\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
  ])
  func malformedStartIsAViolation(_ text: String) {
    #expect(throws: MessageViolation.self) { try read(.requests, [bytes(text)]) }
  }

  @Test(arguments: ["g\r\n", "-1\r\n", "\r\n", " 3\r\nabc\r\n", "3\r\nabcd\r\n", "3\nabc\r\n", "0x3\r\nabc\r\n"])
  func malformedChunkIsAViolation(_ body: String) {
    #expect(throws: MessageViolation.self) {
      try read(.requests, [bytes("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\(body)")])
    }
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "HTTP/1.1 200 OK\r\nContent-Le",
  ])
  func aCutResponseIsAViolation(_ text: String) {
    #expect(throws: MessageViolation.self) { try read(.responses, [bytes(text)], ends: true) }
  }

  @Test func aBodyWithoutFramingEndsWithTheConnection() throws {
    let events = try read(.responses, [bytes("HTTP/1.1 200 OK\r\n\r\nabc")], ends: true)
    #expect(events.dropFirst() == [.data(bytes("abc")), .end(trailers: [])])
  }

  @Test func interimHeadsAndAnswersToHeadHaveNoBody() throws {
    var reader = MessageReader(.responses)
    reader.expectAnswer(toHead: true)
    reader.feed(
      bytes(
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No\r\n\r\n"
      )
      .span)
    var statuses: [Int] = []
    while let event = try reader.next() {
      if case .head(let head) = event { statuses.append(head.status) }
      if case .data = event { Issue.record("a body") }
    }
    #expect(statuses == [103, 200, 204])
    #expect(!reader.isInMessage)
  }
}

@Suite struct BodyTests {
  /// The test vectors of the FNV draft.
  @Test(arguments: [("", "cbf29ce484222325"), ("a", "af63dc4c8601ec8c"), ("foobar", "85944171f73967e8")])
  func fingerprintIsFNV1a(_ text: String, _ expected: String) {
    #expect(BodyDigest(bytes(text)).description == expected)
  }

  @Test func everyBlockOfThePatternDiffers() {
    let three = BodyPattern.prefix(3 * BodyPattern.blockSize)
    let blocks = (0..<3).map { Array(three[$0 * BodyPattern.blockSize..<($0 + 1) * BodyPattern.blockSize]) }
    #expect(blocks[0] != blocks[1] && blocks[1] != blocks[2])
    #expect(BodyPattern.bytes(at: 100, atMost: 50) == Array(three[100..<150]))
    #expect(BodyDigest.ofPattern(count: three.count) == BodyDigest(three))
  }
}
