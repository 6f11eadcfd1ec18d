// Request smuggling: every way to leave the end of a request in doubt is refused (HTTP-RULES.md, "Requests").
import HTTPWire
import Testing

@Suite("Request framing")
struct RequestFramingTests {
  private static func post(_ fields: String, version: String = "1.1") -> String {
    "POST /x HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n\r\n"
  }

  private static func length(_ rule: String, _ fields: String, _ error: WireRule = .malformedContentLength) -> Refusal {
    Refusal("Content-Length: \(rule)", post(fields), error)
  }

  private static func coding(_ rule: String, _ fields: String, _ error: WireRule = .malformedTransferEncoding)
    -> Refusal
  {
    Refusal("Transfer-Encoding: \(rule)", post(fields), error)
  }

  static let refusals: [Refusal] = [
    length("plus sign", "Content-Length: +5"),
    length("minus sign", "Content-Length: -5"),
    length("0x", "Content-Length: 0x5"),
    length("letters behind", "Content-Length: 5a"),
    length("space inside", "Content-Length: 5 5"),
    length("tab inside", "Content-Length: 5\t5"),
    length("empty", "Content-Length:"),
    length("only blanks", "Content-Length: \t "),
    length("fraction", "Content-Length: 5.0"),
    length("quoted", "Content-Length: \"5\""),
    length("underscore", "Content-Length: 1_000"),
    length("overflow of 64 bits", "Content-Length: 18446744073709551621"),
    length("overflow of 63 bits", "Content-Length: 9223372036854775808"),
    length("overflow by many digits", "Content-Length: 99999999999999999999999999999999"),
    length("list, unequal", "Content-Length: 5,6"),
    length("list, equal", "Content-Length: 5,5"),
    length("list with spaces", "Content-Length: 5, 5"),
    length("list, empty member", "Content-Length: 5,"),
    length("repeated, equal", "Content-Length: 5\r\nContent-Length: 5", .repeatedContentLength),
    length("repeated, unequal", "Content-Length: 5\r\ncontent-length: 6", .repeatedContentLength),
    length("vertical tab before", "Content-Length: \u{b}5", .malformedFieldValue),
    length("form feed behind", "Content-Length: 5\u{c}", .malformedFieldValue),
    length("NUL behind", "Content-Length: 5\u{0}", .malformedFieldValue),
    length("no-break space before", "Content-Length: \u{a0}5"),
    length("space before the colon", "Content-Length : 5", .spaceBeforeColon),
    length("folded", "Content-Length:\r\n 5", .malformedContentLength),
    length("folded after a digit", "X-A: 1\r\n 5", .lineFolding),

    coding("last is not chunked", "Transfer-Encoding: gzip"),
    coding("identity", "Transfer-Encoding: identity"),
    coding("chunked, identity", "Transfer-Encoding: chunked, identity"),
    coding("chunked, gzip", "Transfer-Encoding: chunked, gzip"),
    coding("chunked twice", "Transfer-Encoding: chunked, chunked"),
    coding("chunked twice without space", "Transfer-Encoding: chunked,chunked"),
    coding("chunked twice in two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    coding("chunked, then another line", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    coding("xchunked", "Transfer-Encoding: xchunked"),
    coding("chunkedx", "Transfer-Encoding: chunkedx"),
    coding("comma before", "Transfer-Encoding: ,chunked"),
    coding("comma behind", "Transfer-Encoding: chunked,"),
    coding("empty member between", "Transfer-Encoding: gzip,,chunked"),
    coding("empty", "Transfer-Encoding:"),
    coding("empty, then chunked", "Transfer-Encoding:\r\nTransfer-Encoding: chunked"),
    coding("double quotes", "Transfer-Encoding: \"chunked\""),
    coding("single quotes", "Transfer-Encoding: 'chunked'"),
    coding("parameter on chunked", "Transfer-Encoding: chunked;q=1"),
    coding("semicolon behind chunked", "Transfer-Encoding: chunked;"),
    coding("chunked in a comment", "Transfer-Encoding: (chunked)"),
    coding("space inside", "Transfer-Encoding: chun ked"),
    coding("two codings without comma", "Transfer-Encoding: gzip chunked"),
    coding("malformed parameter", "Transfer-Encoding: gzip;=x, chunked"),
    coding("open quoted string hides chunked", "Transfer-Encoding: gzip;a=\"b, chunked"),
    coding("non-ASCII", "Transfer-Encoding: chunk\u{e9}d"),
    coding("vertical tab before", "Transfer-Encoding: \u{b}chunked", .malformedFieldValue),
    coding("vertical tab behind", "Transfer-Encoding: chunked\u{b}", .malformedFieldValue),
    coding("form feed before", "Transfer-Encoding: \u{c}chunked", .malformedFieldValue),
    coding("form feed behind", "Transfer-Encoding: chunked\u{c}", .malformedFieldValue),
    coding("NUL behind", "Transfer-Encoding: chunked\u{0}", .malformedFieldValue),
    coding("NUL in the name", "Transfer-Encoding\u{0}: chunked", .malformedFieldName),
    coding("bare CR in the value", "Transfer-Encoding: chunked\rX: y", .malformedFieldValue),
    coding("bare LF before the name", "X: y\nTransfer-Encoding: chunked", .bareLineFeed),
    coding("space before the colon", "Transfer-Encoding : chunked", .spaceBeforeColon),
    coding("tab before the colon", "Transfer-Encoding\t: chunked", .spaceBeforeColon),
    coding("space before the name", "X: y\r\n Transfer-Encoding: chunked", .lineFolding),
    coding("folded", "Transfer-Encoding:\r\n chunked", .malformedTransferEncoding),

    coding("with Content-Length", "Content-Length: 5\r\nTransfer-Encoding: chunked", .lengthAndTransferEncoding),
    coding("before Content-Length", "Transfer-Encoding: chunked\r\nContent-Length: 0", .lengthAndTransferEncoding),
    Refusal(
      "Transfer-Encoding: in HTTP/1.0", post("Transfer-Encoding: chunked", version: "1.0"), .transferEncodingInHTTP10),
    Refusal(
      "Transfer-Encoding: in HTTP/1.0 with Content-Length",
      post("Content-Length: 5\r\nTransfer-Encoding: chunked", version: "1.0"), .transferEncodingInHTTP10),
    Refusal(
      "Transfer-Encoding: a well-formed unknown coding is 501", post("Transfer-Encoding: gzip, chunked"),
      .unsupportedTransferCoding, status: 501),
    Refusal(
      "Transfer-Encoding: unknown coding in a line of its own is 501",
      post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), .unsupportedTransferCoding, status: 501),
    Refusal(
      "Transfer-Encoding: unknown coding with parameters is 501",
      post("Transfer-Encoding: x-foo ; a = \"b, \\\" c\";d=e , chunked"), .unsupportedTransferCoding, status: 501),
    Refusal(
      "Transfer-Encoding: identity before chunked is 501", post("Transfer-Encoding: identity, chunked"),
      .unsupportedTransferCoding, status: 501),
  ]

  @Test("is refused", arguments: refusals)
  func refused(_ row: Refusal) {
    expectSameErrorAtEverySplit(Array(row.input.utf8), row.error) { parseRequest($0) }
  }

  static let accepted: [(String, BodyFraming)] = [
    ("X: y", .none),
    ("Content-Length: 0", .length(0)),
    ("Content-Length: 007", .length(7)),
    ("content-length:\t5 \t", .length(5)),
    ("Content-Length: 9223372036854775807", .length(9_223_372_036_854_775_807)),
    ("Transfer-Encoding: chunked", .chunked),
    ("transfer-ENCODING:chunKED", .chunked),
    ("Transfer-Encoding: \t chunked \t", .chunked),
    // Not framing fields at all; what becomes of their names is tested with the hop-by-hop rules.
    ("Transfer_Encoding: chunked", .none),
    ("Content_Length: 5", .none),
    ("X-Transfer-Encoding: chunked", .none),
  ]

  @Test("is accepted", arguments: accepted)
  func framing(fields: String, framing: BodyFraming) throws {
    let head = try request(Self.post(fields))
    #expect(head.framing == framing)
  }

  @Test("does not carry over to the next request on the same head")
  func reuse() throws {
    var head = RequestHead()
    let first = Array(
      Self.post("Transfer-Encoding: chunked\r\nTE: trailers\r\nExpect: 100-continue\r\nConnection: close").utf8)
    let firstCount = try head.parse(first.span, limits: HeadLimits())
    #expect(firstCount == first.count)
    #expect(head.framing == .chunked && head.acceptsTrailers && head.expectsContinue && !head.keepsAlive)
    let second = Array("GET / HTTP/1.1\r\nHost: b\r\n\r\n".utf8)
    let secondCount = try head.parse(second.span, limits: HeadLimits())
    #expect(secondCount == second.count)
    #expect(head.framing == .none && !head.acceptsTrailers && !head.expectsContinue && head.keepsAlive)
    #expect(head.fields.count == 1 && head.method == .get && head.query.isEmpty)
  }
}
