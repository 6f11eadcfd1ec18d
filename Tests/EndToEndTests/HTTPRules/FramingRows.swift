// HTTP-RULES.md, "Requests: 400 and close": Content-Length, Transfer-Encoding, and both.
import GatewayTesting

enum FramingRows {
  static let versions = ["HTTP/1.1", "HTTP/1.0"]

  static var all: [RuleRow] { lengths + repeatedLengths + codings + disguises }

  // MARK: Content-Length

  static let badLengths: [(rule: String, values: [String])] = [
    ("Content-Length: sign", ["+5", "-5", "-0", "+0", "--5", "+-5", "5-", "5+", "- 5", "\u{2}5"]),
    ("Content-Length: 0x", ["0x5", "0X5", "x5", "0b101", "0o5", "5h", "$5", "#5", "&h5"]),
    ("Content-Length: space inside", ["5 5", "5\t5", "0 5", "5 ;", "1 0 0"]),
    ("Content-Length: empty", ["", " ", "\t", " \t "]),
    (
      "Content-Length: overflow",
      [
        "9223372036854775808", "18446744073709551615", "18446744073709551616", "18446744073709551621",
        "36893488147419103237", "99999999999999999999999999", "0\(String(repeating: "9", count: 60))",
      ]
    ),
    ("Content-Length: list", ["5,6", "5,5", "5, 5", "5 ,5", ",5", "5,", "5,,5", ", 5", "5;5", "5;6", "5,\t5"]),
    (
      "Content-Length: digits only",
      [
        "five", "5a", "a5", "5.", "5.0", ".5", "5e0", "5E0", "5_0", "_5", "\"5\"", "'5'", "(5)", "[5]", "<5>", "5;",
        "5:",
        "=5", "5%", "%35", "5\u{b}", "\u{b}5", "5\u{c}", "\u{c}5", "5\u{0}", "\u{0}5", "\u{7f}5", "5\u{85}", "\u{a0}5",
        "5\u{a0}", "\u{b2}", "\u{e2}\u{82}\u{85}", "\u{ef}\u{bc}\u{95}", "\u{d9}\u{a5}", "null", "NaN", "Infinity",
      ]
    ),
  ]

  private static var lengths: [RuleRow] {
    var rows: [RuleRow] = []
    for version in versions {
      for (rule, values) in badLengths {
        for value in values { rows.append(.refused(rule, fields: "Content-Length: \(value)", version: version)) }
      }
      for value in ["5", "05", "00000000000000000000000005", "  5", "5  ", "\t5\t"] {
        rows.append(
          .accepted(
            "Content-Length: a number", fields: "Content-Length:\(value)", bytes: "hello", body: "hello",
            version: version))
      }
      // A body is a body, whatever it looks like.
      let hidden = RuleRow.hidden
      rows.append(
        .accepted(
          "Content-Length: a number", fields: "Content-Length: \(hidden.utf8.count)", bytes: hidden, body: hidden,
          version: version))
    }
    return rows
  }

  private static var repeatedLengths: [RuleRow] {
    let lines = [
      "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6",
      "Content-Length: 5\r\ncontent-length: 5", "CONTENT-LENGTH: 5\r\nContent-Length: 0",
      "Content-Length: 5\r\nX-Between: a\r\nContent-Length: 5", "Content-Length: 05\r\nContent-Length: 5",
      "Content-Length: 5\r\nContent-Length:", "Content-Length:\r\nContent-Length: 5",
      "Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: x",
    ]
    return versions.flatMap { version in
      lines.map { .refused("Content-Length: repeated (equal or not)", fields: $0, version: version) }
    }
  }

  // MARK: Transfer-Encoding

  /// Values and what they are answered with in HTTP/1.1 without Content-Length.
  static let codingValues: [(rule: String, status: Int, values: [String])] = [
    (
      "Transfer-Encoding whose last coding isn't chunked", 400,
      [
        "identity", "gzip", "deflate", "compress", "chunked, identity", "chunked, gzip", "gzip, chunked, identity",
        "gzip;q=1", "trailers", "close", "0", "5", "*",
      ]
    ),
    ("Transfer-Encoding: chunked twice", 400, ["chunked, chunked", "chunked,chunked", "chunked, gzip, chunked"]),
    (
      "Transfer-Encoding: xchunked", 400,
      ["xchunked", "chunkedx", "chunke", "hunked", "ch unked", "chunked-", "x-chunked"]
    ),
    (
      "Transfer-Encoding: ,chunked", 400,
      [",chunked", "chunked,", " , chunked", "chunked,,", ",", ",,chunked", "chunked ,"]
    ),
    (
      "Transfer-Encoding: \"chunked\"", 400,
      ["\"chunked\"", "'chunked'", "\"chunked", "chunked\"", "\\chunked", "<chunked>", "(chunked)", "[chunked]"]
    ),
    (
      "Transfer-Encoding: VT or FF around it", 400,
      [
        "\u{b}chunked", "\u{c}chunked", "chunked\u{b}", "chunked\u{c}", "\u{b} chunked", "chunked \u{c}",
        "chunked,\u{b}chunked", "\u{0}chunked", "chunked\u{0}", "chunked\u{1}", "\u{1f}chunked", "\u{7f}chunked",
        "\u{a0}chunked", "chunked\u{a0}", "\u{ff}chunked", "chunked\u{85}", "\u{feff}chunked",
      ]
    ),
    (
      "Transfer-Encoding: chunked has no parameters", 400,
      ["chunked;a=b", "chunked;", "chunked; q=1", "chunked foo", "chunked:", "chunked/1", "chunked=1", "chunked\tfoo"]
    ),
    ("Transfer-Encoding: empty", 400, ["", " ", "\t"]),
    (
      "a well-formed unknown coding: 501 and close", 501,
      [
        "gzip, chunked", "gzip,chunked", "x-own, chunked", "identity, chunked", "br;q=\"a,b\", chunked",
        "a, b, c, Chunked",
      ]
    ),
  ]

  private static let codingLines: [(status: Int, lines: String)] = [
    (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    (400, "Transfer-Encoding: chunked\r\ntransfer-encoding: identity"),
    (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip"),
    (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding:"),
    (400, "Transfer-Encoding:\r\nTransfer-Encoding: chunked"),
    (400, "Transfer-Encoding: x\r\nX: y\r\nTransfer-Encoding: y"),
    (501, "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
    (501, "Transfer-Encoding: identity\r\nX: y\r\nTransfer-Encoding: chunked"),
  ]

  private static let goodCodings = [
    "Transfer-Encoding: chunked", "transfer-encoding:chunked", "TRANSFER-ENCODING: CHUNKED",
    "TrAnSfEr-EnCoDiNg: cHuNkEd", "Transfer-Encoding:\tchunked\t", "Transfer-Encoding:   chunked  ",
  ]

  private static var codings: [RuleRow] {
    var lines: [(rule: String, status: Int, text: String)] = []
    for (rule, status, values) in codingValues {
      lines += values.map { (rule, status, "Transfer-Encoding: \($0)") }
    }
    lines += codingLines.map { ("Transfer-Encoding in several lines", $0.status, $0.lines) }
    lines += goodCodings.map { ("", 200, $0) }
    var rows: [RuleRow] = []
    for (rule, status, text) in lines {
      if status == 200 {
        rows.append(
          .accepted(
            "Transfer-Encoding: chunked", fields: text, bytes: "5\r\nhello\r\n0\r\n\r\n", body: "hello"))
      } else {
        rows.append(.refused(rule, fields: text, status))
      }
      rows.append(.refused("any Transfer-Encoding in HTTP/1.0", fields: text, version: "HTTP/1.0"))
      for version in versions {
        for length in ["5", "0", "49"] {
          let both = "Content-Length together with Transfer-Encoding"
          rows.append(.refused(both, fields: "Content-Length: \(length)\r\n\(text)", version: version))
          rows.append(.refused(both, fields: "\(text)\r\nContent-Length: \(length)", version: version))
        }
      }
    }
    return rows
  }

  /// What is not one of the two fields, and what servers behind us could take for one.
  private static var disguises: [RuleRow] {
    var rows: [RuleRow] = []
    let names = [
      "Transfer_Encoding", "transfer_encoding", "Content-Encoding", "TE", "X-Transfer-Encoding", "Transfer-Encodin",
      "Transfer-Encoding_", "_Transfer-Encoding", "Content_Length", "content_length", "X-Content-Length",
      "Content-Lengt",
      "Transfer~Encoding",
    ]
    for name in names {
      for value in ["chunked", "5"] {
        var row = RuleRow.accepted(
          "field names with _: dropped", fields: "\(name): \(value)\r\nContent-Length: \(RuleRow.hidden.utf8.count)",
          bytes: RuleRow.hidden, body: RuleRow.hidden)
        guard name.contains("_") || name == "TE", case .one(let check) = row.seen else {
          rows.append(row)
          continue
        }
        row.seen = .one { check($0) ?? ($0.fields.contains(name) ? "\(name) was forwarded" : nil) }
        rows.append(row)
      }
    }
    return rows
  }
}
