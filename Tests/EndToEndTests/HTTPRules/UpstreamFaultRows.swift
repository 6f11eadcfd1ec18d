// HTTP-RULES.md, "Upstream responses: 502, close, never reuse": answers that are malformed or have no end.
import GatewayTesting

enum UpstreamFaultRows {
  /// What looks like the answer to the next request.
  private static let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

  static var heads: [UpstreamRow] { lengths + codings + statusLines + fieldLines + lineEnds + switching + interim }

  private static var lengths: [UpstreamRow] {
    var rows: [UpstreamRow] = []
    for (_, values) in FramingRows.badLengths {
      rows += values.map { .refused("Content-Length invalid", fields: "Content-Length: \($0)") }
    }
    for fields in [
      "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 6\r\ncontent-length: 5",
      "Content-Length: 5\r\nContent-Length:",
      "Content-Length: 5\r\nX: y\r\nContent-Length: 50", "Content-Length: 5\r\nContent-Length: x",
      "Content-Length: 5, 6",
    ] {
      for method in ["GET", "HEAD"] {
        rows.append(.refused("Content-Length differing", fields: fields, method: method))
      }
    }
    for coding in ["chunked", "Chunked", "gzip, chunked", "identity", "x", ""] {
      for method in ["GET", "HEAD"] {
        let rule = "Content-Length with Transfer-Encoding"
        rows.append(.refused(rule, fields: "Content-Length: 5\r\nTransfer-Encoding: \(coding)", method: method))
        rows.append(.refused(rule, fields: "transfer-encoding: \(coding)\r\ncontent-length: 5", method: method))
      }
    }
    for status in ["204 No Content", "304 Not Modified", "103 Early Hints"] {
      rows.append(
        .refused(
          "Content-Length with Transfer-Encoding",
          "HTTP/1.1 \(status)\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\(poison)"))
      rows.append(
        .refused(
          "Content-Length differing", "HTTP/1.1 \(status)\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n\(poison)"))
    }
    return rows
  }

  private static var codings: [UpstreamRow] {
    var rows: [UpstreamRow] = []
    for (_, _, values) in FramingRows.codingValues {
      rows += values.map { .refused("a malformed field: Transfer-Encoding", fields: "Transfer-Encoding: \($0)") }
    }
    for fields in [
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
      "Transfer-Encoding:\r\nTransfer-Encoding: chunked", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    ] { rows.append(.refused("a malformed field: Transfer-Encoding", fields: fields)) }
    rows.append(
      .refused(
        "Transfer-Encoding in HTTP/1.0",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
    return rows
  }

  private static var statusLines: [UpstreamRow] {
    [
      "HTTP/1.1 20 OK", "HTTP/1.1 2 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 099 OK", "HTTP/1.1 000 OK",
      "HTTP/1.1 -20 OK", "HTTP/1.1 +20 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK",
      "HTTP/1.1 200OK",
      "HTTP/1.1200 OK", "HTTP/1.1 ", "HTTP/1.1", "HTTP/", "H", "", " ", " HTTP/1.1 200 OK", "\r\nHTTP/1.1 200 OK",
      "\nHTTP/1.1 200 OK", "http/1.1 200 OK", "Http/1.1 200 OK", "HTTP/2 200 OK", "HTTP/2.0 200 OK", "HTTP/3.0 200 OK",
      "HTTP/0.9 200 OK", "HTTP/1 200 OK", "HTTP/1. 200 OK", "HTTP/1.10 200 OK", "HTTP/01.1 200 OK", "HTTP/1.x 200 OK",
      "ICY 200 OK", "RTSP/1.0 200 OK", "200 OK", "<html>", "{\"error\":1}", "SSH-2.0-OpenSSH_9.2", "220 mail ESMTP",
      "HTTP/1.1 200 O\u{0}K", "HTTP/1.1 200 O\u{7f}K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 O\u{b}K",
      "HTTP/1.1 200\u{a0}OK",
      "HTTP/1.1 \u{b2}00 OK", "HTTP/1.1 200\u{0}", "HTTP/1.1 0200 OK", "HTTP/1.1 0x1 OK", "GET / HTTP/1.1",
    ].map { .refused("a malformed status line", "\($0)\r\nContent-Length: 5\r\n\r\nhello") }
  }

  private static var fieldLines: [UpstreamRow] {
    var rows: [UpstreamRow] = []
    for byte in FieldRows.notTokenBytes.map(\.latin1) where byte != ":" {
      rows.append(.refused("a malformed field: its name", fields: "X-\(byte)Y: 5\r\nContent-Length: 5"))
      rows.append(.refused("a malformed field: its name", fields: "\(byte)X-Any: 5\r\nContent-Length: 5"))
    }
    for byte in FieldRows.controls.map(\.latin1) {
      for value in ["a\(byte)b", "\(byte)b", "a\(byte)"] {
        rows.append(.refused("a malformed field: its value", fields: "X-Any: \(value)\r\nContent-Length: 5"))
      }
    }
    for line in ["X-Any", ": 5", " : 5", "Content-Length", "<p>", "X Any: 5", "X-Any 5"] {
      rows.append(.refused("a malformed field", fields: "\(line)\r\nContent-Length: 5"))
    }
    for fold in [" b", "\tb", "  b", " ", "\t", " Content-Length: 5"] {
      rows.append(.refused("obs-fold: 502 or replaced by spaces", fields: "X-Any: a\r\n\(fold)\r\nContent-Length: 5"))
      rows.append(.refused("obs-fold: 502 or replaced by spaces", fields: "Content-Length: 5\r\n\(fold)"))
      rows.append(.refused("white space before the first field", fields: "\(fold)\r\nContent-Length: 5"))
    }
    let many = Array(repeating: "X: y", count: 101).joined(separator: "\r\n")
    rows.append(.refused("too many fields", fields: "\(many)\r\nContent-Length: 5"))
    return rows
  }

  private static var lineEnds: [UpstreamRow] {
    let lines = ["HTTP/1.1 200 OK", "X-Any: a", "Content-Length: 5", ""]
    var rows: [UpstreamRow] = []
    for wrong in ["\n", "\r", "\n\r", "\r\r\n", "\n\n", "\r\u{0}\n", "\r \n"] {
      for place in lines.indices {
        let head = lines.enumerated().map { $1 + ($0 == place ? wrong : "\r\n") }.joined()
        // A head that comes in bytes is looked at again at each line feed.
        rows.append(.refused("bare LF, bare CR in a head", "\(head)hello\r\n"))
      }
    }
    rows.append(.refused("bare LF, bare CR in a head", lines.joined(separator: "\n") + "\nhello"))
    return rows
  }

  private static var switching: [UpstreamRow] {
    let rule = "101 only if the request asked for that upgrade"
    return ["", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "Upgrade: h2c\r\n"].flatMap { lines in
      ["websocket", "h2c", "TLS/1.3", ""].map { upgrade in
        var row = UpstreamRow.refused(
          rule, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: \(upgrade)\r\nConnection: Upgrade\r\n\r\n\(poison)")
        row.lines = lines
        return row
      }
    }
  }

  private static var interim: [UpstreamRow] {
    let early = "HTTP/1.1 103 Early Hints\r\n"
    return [
      "\(early)X y\r\n\r\n\(poison)", "\(early)X: a\nb\r\n\r\n\(poison)",
      "\(early)Content-Length: 5\r\n\r\nhello\(poison)",
      "\(early)Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\(poison)", "\(early)\r\n\r\n\(poison)",
      "\(early)\r\nHTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 100 Continue\n\n\(poison)",
      "HTTP/1.1 100 Continue\r\n\r\n<html>\r\n\r\n",
    ].map { .refused("1xx have no body, and the rules of a head hold for them", $0) }
  }

  // MARK: Without end

  private static let head = "HTTP/1.1 200 OK\r\n"

  /// The answers, whole: by length, in chunks, with trailers.
  private static let whole = [
    "\(head)Content-Length: 11\r\n\r\nhello world",
    "\(head)Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
    "\(head)Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\nb\r\nhello world\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
  ]

  /// Each of them, ended after every byte.
  static var truncated: [UpstreamRow] {
    var rows: [UpstreamRow] = []
    for text in whole {
      let bytes = Array(text.unicodeScalars)
      let headEnd = Array(text.utf8).indices.first { Array(text.utf8)[...$0].suffix(4) == [13, 10, 13, 10] } ?? 0
      for count in bytes.indices {
        let start = String(String.UnicodeScalarView(bytes[..<count]))
        let isInHead = count <= headEnd
        let rule = isInHead ? "an incomplete head" : "a truncated body must reach the client as truncated"
        var ends: [[RawOrigin.Step]] = [[.end]]
        if count % 4 == 1 { ends.append([.wait(milliseconds: 20), .reset]) }
        for end in ends {
          var row = isInHead ? UpstreamRow.refused(rule, start) : .cut(rule, start)
          row.ends = end
          row.isDripped = false
          rows.append(row)
        }
      }
    }
    for fields in ["Connection: close\r\n", "", "X: y\r\n"] {
      for body in ["", "h", "hello"] {
        for line in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n"] {
          rows.append(
            .cut(
              "a truncated body that ends with the connection: reset", "\(line)\(fields)\r\n\(body)",
              ends: [.wait(milliseconds: 20), .reset]))
        }
      }
    }
    return rows
  }

  static var chunks: [UpstreamRow] {
    ChunkRows.broken.filter { $0.chunks.utf8.count < 3000 }.map { rule, chunks in
      .cut("a malformed chunk: \(rule)", "\(head)Transfer-Encoding: chunked\r\n\r\n\(chunks)0\r\n\r\n\(poison)")
    }
  }
}
