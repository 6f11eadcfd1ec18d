// Response heads (HTTP-RULES.md, "Upstream responses"): what breaks a rule here is a 502.
import HTTPWire
import Testing

@Suite("Response head")
struct ResponseHeadTests {
  private static func ok(_ rule: String, _ fields: String, _ error: WireRule, status: UInt16 = 400) -> Refusal {
    Refusal(rule, "HTTP/1.1 200 OK\r\n\(fields)\r\n\r\n", error, status: status)
  }

  private static func line(
    _ rule: String, _ line: String, _ error: WireRule = .malformedStatusLine, status: UInt16 = 400
  )
    -> Refusal
  {
    Refusal(rule, "\(line)\r\nX: y\r\n\r\n", error, status: status)
  }

  static let refusals: [Refusal] = [
    line("malformed status line: empty", "", .malformedVersion),
    line("malformed status line: no status", "HTTP/1.1"),
    line("malformed status line: no status, space", "HTTP/1.1 "),
    line("malformed status line: two digits", "HTTP/1.1 20 OK"),
    line("malformed status line: four digits", "HTTP/1.1 2000 OK"),
    line("malformed status line: letters", "HTTP/1.1 2x0 OK"),
    line("malformed status line: sign", "HTTP/1.1 +20 OK"),
    line("malformed status line: below 100", "HTTP/1.1 099 OK"),
    line("malformed status line: two spaces", "HTTP/1.1  200 OK"),
    line("malformed status line: NUL in the reason", "HTTP/1.1 200 O\u{0}K"),
    line("malformed status line: bare CR in the reason", "HTTP/1.1 200 O\rK"),
    line("malformed status line: bare LF", "HTTP/1.1 200 OK\nX: y", .bareLineFeed),
    line("malformed status line: bare LF behind the status", "HTTP/1.1 200\nX: y", .bareLineFeed),
    line("malformed status line: another protocol", "ICY 200 OK", .malformedVersion),
    line("malformed status line: lower case", "http/1.1 200 OK", .malformedVersion),
    line("malformed status line: no protocol at all", "<html>", .malformedVersion),
    line("unknown major version", "HTTP/2.0 200 OK", .unsupportedVersion, status: 505),

    ok("Content-Length invalid: sign", "Content-Length: +5", .malformedContentLength),
    ok("Content-Length invalid: empty", "Content-Length:", .malformedContentLength),
    ok("Content-Length invalid: overflow", "Content-Length: 18446744073709551616", .malformedContentLength),
    ok("Content-Length differing", "Content-Length: 5\r\nContent-Length: 6", .repeatedContentLength),
    ok("Content-Length repeated", "Content-Length: 5\r\nContent-Length: 5", .repeatedContentLength),
    ok("Content-Length list", "Content-Length: 5, 5", .malformedContentLength),
    ok(
      "Content-Length with Transfer-Encoding", "Content-Length: 5\r\nTransfer-Encoding: chunked",
      .lengthAndTransferEncoding),
    ok(
      "Content-Length with a disguised-by-space Transfer-Encoding", "Content-Length: 5\r\nTransfer-Encoding : chunked",
      .lengthAndTransferEncoding),
    ok("Transfer-Encoding whose last coding is not chunked", "Transfer-Encoding: gzip", .malformedTransferEncoding),
    ok("chunked not last", "Transfer-Encoding: chunked, gzip", .malformedTransferEncoding),
    ok("chunked twice", "Transfer-Encoding: chunked, chunked", .malformedTransferEncoding),
    ok("unknown coding", "Transfer-Encoding: gzip, chunked", .unsupportedTransferCoding, status: 501),
    Refusal(
      "Transfer-Encoding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      .transferEncodingInHTTP10),
    ok("obs-fold", "X: y\r\n z", .lineFolding),
    ok("malformed field: no colon", "X", .malformedFieldName),
    ok("malformed field: no colon behind spaces", "X y: z", .malformedFieldName),
    ok("malformed field: bare LF behind spaces", "X \n: z", .bareLineFeed),
    ok("malformed field: empty name", ": y", .malformedFieldName),
    ok("malformed field: blank name", " : y", .lineFolding),
    ok("malformed field: NUL", "X: \u{0}", .malformedFieldValue),
    ok("malformed field: bare CR", "X: a\rb", .malformedFieldValue),
    ok("malformed field: bare LF", "X: a\nY: b", .bareLineFeed),
  ]

  @Test("is refused", arguments: refusals)
  func refused(_ row: Refusal) {
    expectSameErrorAtEverySplit(Array(row.input.utf8), row.error) { parseResponse($0) }
    // A head that is broken is broken for HEAD, too.
    expectSameErrorAtEverySplit(Array(row.input.utf8), row.error) { parseResponse($0, isHeadRequest: true) }
  }

  static let statusLines: [(String, UInt16, String)] = [
    ("HTTP/1.1 200 OK", 200, "OK"), ("HTTP/1.1 404 Not Found", 404, "Not Found"), ("HTTP/1.1 200 ", 200, ""),
    ("HTTP/1.1 200", 200, ""), ("HTTP/1.1 999 \tOdd  one ", 999, "\tOdd  one "), ("HTTP/1.0 100 \u{e9}", 100, "\u{e9}"),
  ]

  @Test("status line", arguments: statusLines)
  func statusLine(line: String, status: UInt16, reason: String) throws {
    let text = "\(line)\r\n\r\n"
    let head = try response(text)
    #expect(head.status == status && head.reason.text(text) == reason && head.count == text.utf8.count)
    #expect(head.minorVersion == (line.hasPrefix("HTTP/1.0") ? 0 : 1))
  }

  struct Body: Sendable, CustomTestStringConvertible {
    var rule: String
    var line = "HTTP/1.1 200 OK"
    var fields = ""
    var isHead = false
    var framing: BodyFraming
    var keepsAlive = true
    var testDescription: String { rule }
  }

  static let bodies: [Body] = [
    Body(rule: "length", fields: "Content-Length: 5\r\n", framing: .length(5)),
    Body(rule: "length 0", fields: "Content-Length: 0\r\n", framing: .length(0)),
    Body(rule: "chunked", fields: "Transfer-Encoding: chunked\r\n", framing: .chunked),
    Body(rule: "neither: until close", framing: .untilClose, keepsAlive: false),
    Body(
      rule: "neither, keep-alive: until close", fields: "Connection: keep-alive\r\n", framing: .untilClose,
      keepsAlive: false),
    Body(rule: "HEAD with length", fields: "Content-Length: 5\r\n", isHead: true, framing: .none),
    Body(rule: "HEAD chunked", fields: "Transfer-Encoding: chunked\r\n", isHead: true, framing: .none),
    Body(rule: "HEAD with neither", isHead: true, framing: .none),
    Body(rule: "100", line: "HTTP/1.1 100 Continue", framing: .none),
    Body(rule: "103 with length", line: "HTTP/1.1 103 x", fields: "Content-Length: 5\r\n", framing: .none),
    Body(rule: "204", line: "HTTP/1.1 204 x", fields: "Content-Length: 5\r\n", framing: .none),
    Body(rule: "304", line: "HTTP/1.1 304 x", fields: "Content-Length: 5\r\n", framing: .none),
    Body(rule: "205 may have one", line: "HTTP/1.1 205 x", fields: "Content-Length: 0\r\n", framing: .length(0)),
    Body(
      rule: "close", fields: "Content-Length: 5\r\nConnection: close\r\n", framing: .length(5), keepsAlive: false),
    Body(rule: "1.0", line: "HTTP/1.0 200 OK", fields: "Content-Length: 5\r\n", framing: .length(5), keepsAlive: false),
    Body(
      rule: "1.0 keep-alive", line: "HTTP/1.0 200 OK", fields: "Connection: keep-alive\r\nContent-Length: 5\r\n",
      framing: .length(5)),
  ]

  @Test("is framed", arguments: bodies)
  func framed(_ row: Body) throws {
    let head = try response("\(row.line)\r\n\(row.fields)\r\n", isHeadRequest: row.isHead)
    #expect(head.framing == row.framing && head.keepsAlive == row.keepsAlive)
  }

  @Test("hop-by-hop fields and those that Connection names are dropped; framing named there is not")
  func hopByHop() throws {
    let text = """
      HTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: X-Hop, Content-Length, Transfer-Encoding\r\nKeep-Alive: x\r\n\
      Upgrade: h2c\r\nProxy-Authenticate: Basic\r\nTrailer: X\r\nSet-Cookie: a\r\nContent-Length: 0\r\n\r\n
      """
    #expect(keptNames(try response(text).fields, text) == ["Trailer", "Set-Cookie", "Content-Length"])
    for status in [101, 204] {
      let text = "HTTP/1.1 \(status) x\r\nContent-Length: 3\r\nX: y\r\n\r\n"
      #expect(keptNames(try response(text).fields, text) == ["X"])
    }
    let notModified = "HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n"
    #expect(keptNames(try response(notModified).fields, notModified) == ["Content-Length"])
  }

  @Test("space before the colon is removed")
  func spaceBeforeColon() throws {
    let text = "HTTP/1.1 200 OK\r\nX-A \t: y\r\nTransfer-Encoding : chunked\r\n\r\n"
    let head = try response(text)
    #expect(head.fields[0].name.text(text) == "X-A" && head.fields[0].value.text(text) == "y")
    #expect(head.framing == .chunked)
  }

  static let timeouts: [(String, UInt32?)] = [
    ("timeout=5", 5), ("max=100, TIMEOUT=15", 15), ("timeout=0", 0), ("timeout=x", nil), ("timeout=", nil), ("5", nil),
    ("timeout=99999999999", 4_294_967_289), ("xtimeout=5", nil),
  ]

  @Test("Keep-Alive: timeout", arguments: timeouts)
  func timeout(value: String, seconds: UInt32?) throws {
    let head = try response("HTTP/1.1 200 OK\r\nKeep-Alive: \(value)\r\n\r\n")
    #expect(head.keepAliveTimeout == seconds)
  }

  @Test("a head over the limit is refused")
  func limits() throws {
    let bytes = Array("HTTP/1.1 200 OK\r\nX: y\r\nY: z\r\n\r\n".utf8)
    let small = HeadLimits(bytes: bytes.count - 1, fields: 9, target: 9)
    expectSameErrorAtEverySplit(bytes, WireError(.headTooLarge, status: 431)) { parseResponse($0, limits: small) }
    let few = HeadLimits(bytes: 100, fields: 1, target: 9)
    expectSameErrorAtEverySplit(bytes, WireError(.tooManyFields, status: 431)) { parseResponse($0, limits: few) }
  }

  @Test("nothing carries over to the next response on the same head")
  func reuse() throws {
    var head = ResponseHead()
    let first = Array("HTTP/1.0 204 No Content\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X\r\n\r\n".utf8)
    _ = try head.parse(first.span, isHeadRequest: false, limits: HeadLimits())
    #expect(head.keepAliveTimeout == 5 && head.keepsAlive && head.minorVersion == 0 && head.namesHopByHopFields)
    let second = Array("HTTP/1.1 200\r\nConnection: close\r\nContent-Length: 1\r\n\r\n".utf8)
    _ = try head.parse(second.span, isHeadRequest: false, limits: HeadLimits())
    #expect(head.keepAliveTimeout == nil && !head.keepsAlive && head.minorVersion == 1 && head.framing == .length(1))
    #expect(head.reason.isEmpty && head.fields.count == 2 && !head.namesHopByHopFields)
  }
}
