// Field lines and hop-by-hop rules (HTTP-RULES.md, "Requests" and "Header hygiene").
import HTTPWire
import Testing

@Suite("Fields")
struct FieldTests {
  private static func fields(_ rule: String, _ fields: String, _ error: WireRule, status: UInt16 = 400) -> Refusal {
    Refusal(rule, "GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n", error, status: status)
  }

  static let refusals: [Refusal] = [
    fields("space before the colon", "X : y", .spaceBeforeColon),
    fields("tab before the colon", "X\t: y", .spaceBeforeColon),
    fields("obs-fold with a space", "X: y\r\n z", .lineFolding),
    fields("obs-fold with a tab", "X: y\r\n\tz", .lineFolding),
    Refusal("white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .lineFolding),
    fields("line without colon", "X", .malformedFieldName),
    fields("line without colon, with a space", "X y", .spaceBeforeColon),
    fields("empty name", ": y", .malformedFieldName),
    fields("name is not a token: parenthesis", "X(: y", .malformedFieldName),
    fields("name is not a token: quote", "\"X\": y", .malformedFieldName),
    fields("name is not a token: non-ASCII", "X\u{e9}: y", .malformedFieldName),
    fields("name is not a token: NUL", "X\u{0}: y", .malformedFieldName),
    fields("name is not a token: DEL", "X\u{7f}: y", .malformedFieldName),
    fields("bare CR in the name", "X\rY: z", .malformedFieldName),
    fields("bare LF in the name", "X\nY: z", .bareLineFeed),
    fields("bare CR in the value", "X: y\rz", .malformedFieldValue),
    fields("CR CR LF", "X: y\r", .malformedFieldValue),
    fields("NUL in the value", "X: y\u{0}z", .malformedFieldValue),
    fields("escape in the value", "X: y\u{1b}z", .malformedFieldValue),
    fields("DEL in the value", "X: y\u{7f}z", .malformedFieldValue),
    fields("bare LF in the value", "X: y\nz", .bareLineFeed),
    fields("bare LF directly behind the colon", "X:\nHost: b", .bareLineFeed),
    Refusal("bare LF for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLineFeed),
    Refusal("bare CR for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\rX", .malformedFieldName),
    fields("Connection names Host", "Connection: Host", .forbiddenConnectionOption),
    fields("Connection names Content-Length", "Connection: close, content-length", .forbiddenConnectionOption),
    fields("Connection names Host behind an open quote", "Connection: \"x, Host", .forbiddenConnectionOption),
    fields("Connection names Transfer-Encoding", "Connection: x,\tTransfer-Encoding", .forbiddenConnectionOption),
    fields(
      "second Connection names Host", "Connection: close\r\nConnection: HOST", .forbiddenConnectionOption),
    fields("unknown expectation", "Expect: 200-ok", .unknownExpectation, status: 417),
    fields("unknown expectation beside a known one", "Expect: 100-continue, x=y", .unknownExpectation, status: 417),
  ]

  @Test("is refused", arguments: refusals)
  func refused(_ row: Refusal) {
    expectSameErrorAtEverySplit(Array(row.input.utf8), row.error) { parseRequest($0) }
  }

  @Test("values come without the blanks around them; obs-text passes")
  func values() throws {
    let text =
      "GET / HTTP/1.1\r\nHost:a\r\nEmpty:\r\nBlank: \t \r\nTabs:\tx\ty \t\r\nColon: :x:\r\n!#$%&'*+-.^_`|~0: \u{e9}\r\n\r\n"
    let head = try request(text)
    #expect(head.fields.map { $0.value.text(text) } == ["a", "", "", "x\ty", ":x:", "\u{e9}"])
    #expect(head.fields.map { $0.name.text(text) } == ["Host", "Empty", "Blank", "Tabs", "Colon", "!#$%&'*+-.^_`|~0"])
    #expect(head.fields.map(\.hasUnderscore) == [false, false, false, false, false, true])
    for byte in UInt8(0x80)...0xff {
      let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + [byte] + Array("\r\n\r\n".utf8)
      guard case .head(let parsed) = parseRequest(bytes) else {
        Issue.record("byte \(byte) refused")
        continue
      }
      #expect(parsed.fields[1].value.count == 1)
    }
  }

  @Test("a name may have the bytes of a token, and a value no control but tab", arguments: UInt8.min...UInt8.max)
  func everyByte(byte: UInt8) {
    let tokens = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
    let start = Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8)
    let name = parseRequest(start + [0x78, byte, 0x78] + Array(": y\r\n\r\n".utf8))
    // A colon ends the name: `x` with the value `x: y`.
    #expect((name.error == nil) == (tokens.contains(byte) || byte == 0x3a))
    let value = parseRequest(start + Array("x: y".utf8) + [byte] + Array("z\r\n\r\n".utf8))
    #expect((value.error == nil) == (byte == 0x09 || (byte >= 0x20 && byte != 0x7f)))
  }

  struct Hop: Sendable, CustomTestStringConvertible {
    let rule: String
    let fields: [String]
    let kept: [String]
    var testDescription: String { rule }
  }

  static let hops: [Hop] = [
    Hop(
      rule: "hop-by-hop fields",
      fields: [
        "Connection: close", "Keep-Alive: timeout=5", "Proxy-Connection: close", "TE: trailers", "Upgrade: h2c",
        "HTTP2-Settings: AAMA", "Proxy-Authenticate: x", "PROXY-authorization: x", "Transfer-Encoding: chunked",
        "Trailer: X", "Via: 1.1 a", "Accept: */*",
      ], kept: ["Trailer", "Via", "Accept"]),
    Hop(
      rule: "what Connection names, in any case, before and behind it, repeated",
      fields: ["x-secret: 1", "Connection: X-Secret, keep-alive", "X-SECRET: 2", "connection: y", "Y: 3", "X: 4"],
      kept: ["X"]),
    Hop(
      rule: "Authorization named in Connection", fields: ["Authorization: Basic eA==", "Connection: authorization"],
      kept: []),
    Hop(
      rule: "names in Connection are whole tokens",
      fields: ["Connection: X-Secret-2, \"X\", ,;", "X-Secret: 1", "X: 2"],
      kept: ["X-Secret", "X"]),
    Hop(
      rule: "hop-by-hop and framing names in disguise",
      fields: [
        "Transfer_Encoding: chunked", "Content_Length: 5", "Keep_Alive: x", "Proxy_Authorization: x", "X_Y: z",
        "Transfer_Encodings: x", "authorization_: x",
      ], kept: ["X_Y", "Transfer_Encodings", "authorization_"]),
    Hop(
      rule: "fields that the forwarder decides on",
      fields: ["Expect: 100-continue", "Content-Length: 5", "X-Gateway-Token: t"],
      kept: ["Expect", "Content-Length", "X-Gateway-Token"]),
  ]

  @Test("are dropped", arguments: hops)
  func dropped(_ row: Hop) throws {
    let text = "POST / HTTP/1.1\r\nHost: a\r\n" + row.fields.map { "\($0)\r\n" }.joined() + "\r\n"
    let head = try request(text)
    #expect(keptNames(head.fields, text) == ["Host"] + row.kept)
    #expect(head.fields.count == row.fields.count + 1)
  }

  static let persistence: [(version: String, fields: String, keepsAlive: Bool)] = [
    ("1.1", "", true), ("1.1", "Connection: close\r\n", false), ("1.1", "Connection: Keep-Alive\r\n", true),
    ("1.1", "Connection: keep-alive, CLOSE\r\n", false), ("1.1", "Connection: x\r\nConnection: close\r\n", false),
    ("1.1", "Connection: \"close\"\r\n", true), ("1.1", "Connection: closed\r\n", true),
    ("1.1", "Connection: keep-al\"ve, close\r\n", false), ("1.1", "Connection: \"a, close, b\"\r\n", false),
    ("1.1", "Proxy-Connection: close\r\n", true), ("1.0", "", false), ("1.0", "Connection: keep-alive\r\n", true),
    ("1.0", "Connection: keep-alive, close\r\n", false), ("1.0", "Proxy-Connection: keep-alive\r\n", false),
  ]

  @Test("say whether the connection persists", arguments: persistence)
  func keepsAlive(_ row: (version: String, fields: String, keepsAlive: Bool)) throws {
    #expect(try request("GET / HTTP/\(row.version)\r\nHost: a\r\n\(row.fields)\r\n").keepsAlive == row.keepsAlive)
  }

  @Test("TE and Expect are understood, not for HTTP/1.0")
  func wishes() throws {
    func head(_ fields: String, _ version: String = "1.1") throws -> RequestHead {
      try request("GET / HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n\r\n")
    }
    #expect(try head("TE: trailers").acceptsTrailers)
    #expect(try head("te: gzip;q=0.5, Trailers").acceptsTrailers)
    #expect(try !head("TE: gzip;x=\"a, trailers, b\"").acceptsTrailers)
    #expect(try !head("TE: trailers", "1.0").acceptsTrailers)
    #expect(try head("Expect: 100-Continue").expectsContinue)
    #expect(try !head("Expect: 100-continue", "1.0").expectsContinue)
    #expect(try !head("Expect:").expectsContinue)
  }
}
