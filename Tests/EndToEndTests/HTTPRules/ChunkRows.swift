// HTTP-RULES.md, "Requests: 400 and close": chunked bodies, their extensions and trailers, bodies over the limit.
import GatewayTesting

enum ChunkRows {
  /// Of the rows' gateway, in bytes.
  static let bodyLimit = 65_536

  /// A chunked body, or its start, that breaks a rule, which both directions refuse.
  typealias Broken = (rule: String, chunks: String)

  static var broken: [Broken] { sizes + ends + extensions + malformedTrailers }

  static var all: [RuleRow] {
    let refused = broken.map { rule, chunks in
      let row = RuleRow.refused(rule, chunks: chunks)
      return chunks.utf8.count < 2000 ? row : row.inOnePiece
    }
    return refused + trailers + accepted + tooLarge
  }

  private static let first = "5\r\nhello\r\n"

  private static var sizes: [Broken] {
    var rows: [Broken] = []
    let hex = Array("0123456789abcdefABCDEF".utf8)
    for byte in UInt8.min...UInt8.max where !hex.contains(byte) {
      let byte = byte.latin1
      rows.append(("chunk size: a byte that is no digit", "\(first)\(byte)5\r\nhello\r\n"))
      // Extensions and blanks may follow a size.
      if ![";", " ", "\t", "\r"].contains(byte) {
        rows.append(("chunk size: a byte that is no digit", "\(first)5\(byte)\r\nhello\r\n"))
      }
    }
    let lists: [(String, [String])] = [
      ("chunk size: empty", ["\r\nhello\r\n", "\r\n\r\n", ";a=b\r\nhello\r\n"]),
      ("chunk size: sign", ["+5\r\nhello\r\n", "-5\r\nhello\r\n", "-0\r\n\r\n", "+0\r\n\r\n"]),
      (
        "chunk size: 0x", ["0x5\r\nhello\r\n", "0X5\r\nhello\r\n", "0x0\r\n\r\n", "x5\r\nhello\r\n", "5h\r\nhello\r\n"]
      ),
      ("chunk size: _", ["5_0\r\nhello\r\n", "_5\r\nhello\r\n", "5_\r\nhello\r\n", "0_0\r\n\r\n"]),
      ("chunk size: white space before it", [" 5\r\nhello\r\n", "\t5\r\nhello\r\n", "  5\r\nhello\r\n", " 0\r\n\r\n"]),
      ("chunk size: white space in it", ["5 5\r\nhello\r\n", "0 5\r\nhello\r\n", "5 x\r\nhello\r\n", "0\t0\r\n\r\n"]),
      (
        "chunk size: more than 16 digits",
        [
          "00000000000000005\r\nhello\r\n", "00000000000000000\r\n\r\n", "10000000000000005\r\nhello\r\n",
          "\(String(repeating: "0", count: 1000))5\r\nhello\r\n",
        ]
      ),
      (
        "chunk size: more than a counter holds",
        [
          "ffffffffffffffff\r\nhello", "fffffffffffffffb\r\nhello", "8000000000000005\r\nhello",
          "7fffffffffffffff0\r\nhello",
        ]
      ),
      (
        "LF-only chunk line",
        [
          "5\nhello\r\n", "0\n\r\n", "0\n\n", "5;a=b\nhello\r\n", "5 \nhello\r\n", "5\r\nhello\r\n0\n\r\n",
          "5\n\rhello\r\n",
        ]
      ),
      (
        "bare CR in a chunk line",
        ["5\rhello\r\n", "5\r\rhello\r\n", "0\r\r", "5\r \nhello\r\n", "5;a\rb\r\nhello\r\n"]
      ),
    ]
    for (rule, chunks) in lists {
      for chunk in chunks {
        rows.append((rule, chunk))
        rows.append((rule, first + chunk))
      }
    }
    return rows
  }

  private static var ends: [Broken] {
    var rows: [Broken] = []
    for byte in UInt8.min...UInt8.max {
      if byte != 13 {
        rows.append(("missing CRLF after the data", "5\r\nhello\(byte.latin1)\n0\r\n\r\n"))
      }
      if byte != 10 {
        rows.append(("missing CRLF after the data", "5\r\nhello\r\(byte.latin1)0\r\n\r\n"))
      }
    }
    for chunk in [
      "5\r\nhello0\r\n\r\n", "5\r\nhello world\r\n", "4\r\nhello\r\n", "0\r\nhello\r\n", "5\r\nhello\n\r\n",
    ] {
      rows.append(("missing CRLF after the data", chunk))
    }
    return rows
  }

  private static var extensions: [Broken] {
    let long = String(repeating: "x", count: 300)
    let line = "1;\(String(repeating: "x", count: 250))\r\na\r\n"
    let rule = "long chunk extensions (over 256 bytes in one line or 8 KiB in a message)"
    var rows: [Broken] = [
      (rule, "5;\(long)\r\nhello\r\n"), (rule, "5;a=\"\(long)\"\r\nhello\r\n"),
      (rule, "5\(String(repeating: " ", count: 300))\r\nhello\r\n"),
      (rule, "5\(String(repeating: ";", count: 300))\r\nhello\r\n"),
      (rule, "\(first)0;\(long)\r\n\r\n"),
      (rule, String(repeating: line, count: 40)),
    ]
    for byte in FieldRows.controls where byte != 13 {
      rows.append(("a control byte in an extension", "5;a\(byte.latin1)b\r\nhello\r\n"))
    }
    return rows
  }

  private static var malformedTrailers: [Broken] {
    var rows: [Broken] = []
    for trailer in [
      "Bad Name: x", "Bad\tName: x", ": x", "no colon", " X: folded", "\tX: folded", "X: a\r\n folded", "X : a",
      "X\t: a",
      "X: a\u{0}b", "X: a\u{7f}b", "X: a\u{1}b", "X: a\nb", "X: a\rb", "X(: a", "X\u{e9}: a", "GET / HTTP/1.1",
    ] { rows.append(("a malformed trailer", "\(first)0\r\n\(trailer)\r\n\r\n")) }
    for end in ["0\r\nX: y\n\r\n", "0\r\nX: y\r\n\n", "0\r\n\n", "0\r\n\r\r\n", "0\r\nX: y\r\n\r\r\n"] {
      rows.append(("bare LF anywhere, bare CR", first + end))
    }
    return rows
  }

  private static var trailers: [RuleRow] {
    var rows: [RuleRow] = []
    for trailer in [
      "X-Sum: 1", "Authorization: Bearer stolen", "authorization: Bearer stolen", "Authorization_: Bearer stolen",
      "Host: other", "Content-Length: 5", "Transfer-Encoding: chunked", "Connection: close", "CompanyCode: stolen",
      "X-Row: other", "Cookie: a=b", "X-Forwarded-For: 6.6.6.6",
    ] {
      for head in ["", "Trailer: \(trailer.prefix { $0 != ":" })\r\n", "TE: trailers\r\nConnection: TE\r\n"] {
        rows.append(
          .accepted(
            "trailers never merged into the head", fields: "\(head)Transfer-Encoding: chunked",
            bytes: "\(first)0\r\n\(trailer)\r\n\r\n", body: "hello"))
      }
    }
    return rows
  }

  private static var accepted: [RuleRow] {
    let sizes = [
      "5", "05", "0000000000000005", "5;a", "5;a=b", "5;a=\"q\"", "5 ;a=b", "5\t", "5 ", "5;", "5; a = b",
      "5;\u{ff}=\u{80}",
      "5;\(String(repeating: "x", count: 255))",
    ]
    let hidden = RuleRow.hidden
    let size = String(hidden.utf8.count, radix: 16)
    return sizes.map {
      .accepted(
        "a good chunk", fields: "Transfer-Encoding: chunked", bytes: "\($0)\r\nhello\r\n0\r\n\r\n", body: "hello")
    } + [
      .accepted(
        "a good chunk", fields: "Transfer-Encoding: chunked", bytes: "\(size)\r\n\(hidden)\r\n0\r\n\r\n", body: hidden),
      .accepted(
        "a good chunk", fields: "Transfer-Encoding: chunked",
        bytes: "\(size.uppercased());x\r\n\(hidden)\r\n00000\r\n\r\n",
        body: hidden),
      .accepted("a good chunk", fields: "Transfer-Encoding: chunked", bytes: "0\r\n\r\n", body: ""),
    ]
  }

  private static var tooLarge: [RuleRow] {
    let rule = "body over the limit: 413"
    let full = String(repeating: "b", count: bodyLimit)
    let chunks = String(repeating: "1000\r\n\(String(repeating: "b", count: 4096))\r\n", count: 16)
    var rows: [RuleRow] = [
      .accepted(rule, fields: "Content-Length: \(bodyLimit)", bytes: full, body: full),
      .accepted(rule, fields: "Transfer-Encoding: chunked", bytes: "\(chunks)0\r\n\r\n", body: full),
      .refused(rule, chunks: "\(chunks)1\r\nb\r\n", 413), .refused(rule, chunks: "fffffff\r\n\(full)b", 413),
    ]
    for length in ["\(bodyLimit + 1)", "9223372036854775807", "99999999"] {
      rows.append(.refused(rule, fields: "Content-Length: \(length)", 413))
    }
    return rows.map(\.inOnePiece)
  }
}
