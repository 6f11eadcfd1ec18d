// HTTP-RULES.md, "Upstream responses" and the answers' half of "Header hygiene": what passes, and in what form.
import GatewayTesting

enum UpstreamAnswerRows {
  static var all: [UpstreamRow] {
    statusLines + spaces + bodiless + interim + endings + behind + hopByHop + trailers + kept
  }

  private static let ok = "HTTP/1.1 200 OK\r\n"

  private static var statusLines: [UpstreamRow] {
    var rows: [UpstreamRow] = []
    for (line, status) in [
      ("HTTP/1.1 200 OK", 200), ("HTTP/1.1 200 ", 200), ("HTTP/1.1 200", 200), ("HTTP/1.1 200 O\u{e9}K\tx", 200),
      ("HTTP/1.1 299 X", 299), ("HTTP/1.1 418 I'm", 418), ("HTTP/1.1 599 X", 599), ("HTTP/1.1 999 X", 999),
      ("HTTP/1.2 200 OK", 200), ("HTTP/1.9 200 OK", 200),
    ] {
      rows.append(
        .passes(
          "a good status line", "\(line)\r\nContent-Length: 5\r\n\r\nhello", status: status, body: "hello",
          isReusable: true))
    }
    rows.append(.passes("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello"))
    rows.append(
      .passes(
        "HTTP/1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", body: "hello",
        isReusable: true))
    rows.append(.passes("close", "\(ok)Connection: close\r\nContent-Length: 5\r\n\r\nhello", body: "hello"))
    rows.append(.passes("close", "\(ok)connection: x, Close\r\nContent-Length: 5\r\n\r\nhello", body: "hello"))
    return rows
  }

  private static var spaces: [UpstreamRow] {
    [" ", "\t", "  ", " \t "].flatMap { blank in
      [
        UpstreamRow.passes(
          "space before the colon: removed", "\(ok)X-Any\(blank): a\r\nContent-Length: 5\r\n\r\nhello", body: "hello",
          isReusable: true
        ) { $0.fields.all("X-Any") == ["a"] ? nil : "X-Any is \($0.fields.all("X-Any"))" },
        .passes(
          "space before the colon: removed", "\(ok)Content-Length\(blank): 5\r\n\r\nhello", body: "hello",
          isReusable: true),
        .passes(
          "space before the colon: removed", "\(ok)Transfer-Encoding\(blank):chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
          body: "hello",
          isReusable: true),
      ]
    }
  }

  private static var bodiless: [UpstreamRow] {
    var rows: [UpstreamRow] = []
    let framings = ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n"]
    let bodies = ["", "hello", "5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"]
    for (method, status) in [
      ("HEAD", 200), ("HEAD", 404), ("HEAD", 204), ("HEAD", 304), ("GET", 204), ("GET", 304), ("POST", 204),
      ("DELETE", 204),
    ] {
      for framing in framings {
        for body in bodies {
          let row = UpstreamRow.passes(
            "HEAD, 1xx, 204, 304 have no body; bytes after the message: never reuse",
            "HTTP/1.1 \(status) X\r\n\(framing)\r\n\(body)", method: method, status: status, isReusable: body.isEmpty
          ) { response in
            if response.fields.contains("Transfer-Encoding") { return "Transfer-Encoding" }
            let length = status != 204 && framing.hasPrefix("Content") ? [framing.contains("5") ? "5" : "0"] : []
            return response.fields.all("Content-Length") == length ? nil : "Content-Length"
          }
          rows.append(body.isEmpty ? row : row.inOnePiece)
        }
      }
    }
    return rows
  }

  private static var interim: [UpstreamRow] {
    let final = "\(ok)Content-Length: 5\r\n\r\nhello"
    return [
      ("HTTP/1.1 100 Continue\r\n\r\n", []), ("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", [103]),
      ("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 X\r\n\r\n", [102, 103]), ("HTTP/1.1 199 \r\n\r\n", [199]),
      ("HTTP/1.1 103\r\nContent-Length: 5\r\n\r\n", [103]),
      ("HTTP/1.1 103 X\r\nConnection: close, x-a\r\nX-A: b\r\n\r\n", [103]),
      (String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 20), []), ("HTTP/1.0 103 X\r\n\r\n", [103]),
    ].map { text, statuses in
      UpstreamRow.passes(
        "1xx are forwarded (100 once), except to HTTP/1.0 clients", text + final, body: "hello", isReusable: true
      ) { response in
        if response.interim.contains(where: { $0.fields.contains("Content-Length") || $0.fields.contains("X-A") }) {
          return "a field of a 1xx that must go"
        }
        let expected = response.head.keepsAlive ? statuses : []
        return response.interim.map(\.status) == expected ? nil : "1xx: \(response.interim.map(\.status))"
      }
    }
  }

  private static var endings: [UpstreamRow] {
    var rows: [UpstreamRow] = []
    for line in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n"] {
      for fields in ["", "Connection: close\r\n", "Connection: keep-alive\r\n", "X: y\r\n"] {
        for body in ["", "h", "hello", "5\r\nhello\r\n0\r\n\r\n"] {
          rows.append(
            .passes(
              "a response to an HTTP/1.0 client is never chunked", "\(line)\(fields)\r\n\(body)", ends: [.end],
              body: body))
        }
      }
    }
    for chunks in [
      "5\r\nhello\r\n0\r\n\r\n", "1\r\nh\r\n4;a=b\r\nello\r\n000\r\n\r\n", "05\r\nhello\r\n0;x\r\nX: y\r\n\r\n",
    ] {
      rows.append(
        .passes(
          "a response to an HTTP/1.0 client is never chunked", "\(ok)Transfer-Encoding: chunked\r\n\r\n\(chunks)",
          body: "hello",
          isReusable: true))
    }
    return rows
  }

  private static var behind: [UpstreamRow] {
    let messages = [
      "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    ]
    let more = ["x", "\r\n", "\n", "0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "\u{0}"]
    return messages.flatMap { message in
      more.map {
        UpstreamRow.passes("bytes after the message: never reuse", "\(ok)\(message)\($0)", body: "hello").inOnePiece
      }
    }
  }

  private static var hopByHop: [UpstreamRow] {
    var rows: [UpstreamRow] = []
    func row(_ rule: String, _ fields: String, gone: [String], isReusable: Bool = true) -> UpstreamRow {
      .passes(rule, "\(ok)\(fields)\r\nContent-Length: 5\r\n\r\nhello", body: "hello", isReusable: isReusable) {
        response in
        // Ours to an HTTP/1.0 caller says close.
        if response.fields.elements("Connection").contains(where: { $0 != "close" }) {
          return "Connection was forwarded"
        }
        return gone.first { response.fields.contains($0) }.map { "\($0) was forwarded" }
      }
    }
    for name in [
      "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "Proxy-Authenticate", "Proxy-Authorization", "HTTP2-Settings",
    ] {
      for spelling in [name, name.lowercased(), name.uppercased(), name.replacing("-", with: "_")] {
        rows.append(row("hop-by-hop, both ways", "\(spelling): x", gone: [name, spelling]))
      }
    }
    for spelling in ["Transfer_Encoding: chunked", "transfer_encoding: gzip"] {
      rows.append(row("hop-by-hop, both ways", spelling, gone: ["Transfer_Encoding"]))
    }
    for name in ["X-Private", "Set-Cookie", "ETag", "Location", "x!y"] {
      for option in [name, name.lowercased(), "a, \(name.uppercased()), b", "x\r\nConnection: \(name)", ",\(name) ,"] {
        rows.append(
          row(
            "Connection and every field that it names", "\(name): 1\r\nConnection: \(option)\r\n\(name): 2",
            gone: [name]))
      }
    }
    rows.append(row("Connection names the framing", "Connection: Content-Length, Date", gone: []))
    return rows
  }

  private static var trailers: [UpstreamRow] {
    let asks = "TE: trailers\r\nConnection: TE\r\n"
    func row(_ rule: String, _ fields: String, _ trailers: [String], passes: [String], lines: String) -> UpstreamRow {
      .passes(
        rule,
        "\(ok)\(fields)Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\(trailers.map { $0 + "\r\n" }.joined())\r\n",
        lines: lines, body: "hello", isReusable: true
      ) { response in
        let expected = response.head.keepsAlive ? passes : []
        if response.trailers.lines.map(\.description) != expected { return "trailers are \(response.trailers)" }
        return response.fields.contains("X-Sum") ? "merged into the head" : nil
      }
    }
    var rows: [UpstreamRow] = []
    for lines in ["", "TE: gzip\r\n", "TE: trailersx\r\nConnection: TE\r\n"] {
      rows.append(row("trailers reach peers that said TE: trailers", "", ["X-Sum: 1"], passes: [], lines: lines))
    }
    for fields in ["", "Trailer: X-Sum\r\n"] {
      rows.append(
        row(
          "trailers reach peers that said TE: trailers", fields, ["X-Sum: 1", "Server-Timing: a", "X-Sum: 2"],
          passes: ["X-Sum: 1", "Server-Timing: a", "X-Sum: 2"], lines: asks))
    }
    for name in [
      "Content-Length", "Transfer-Encoding", "Host", "Connection", "Keep-Alive", "Upgrade", "Trailer", "TE",
      "Set-Cookie",
      "Authorization", "Proxy-Authenticate", "WWW-Authenticate", "Content-Type", "Content-Encoding", "Content-Range",
      "Cache-Control", "Location", "Date", "Vary", "Expires", "Age", "Retry-After", "X-Forwarded-For", "content_length",
      "set_cookie", "Transfer_Encoding",
    ] {
      rows.append(
        row("trailers filtered like fields", "", ["\(name): 5", "X-Sum: 1"], passes: ["X-Sum: 1"], lines: asks))
    }
    // RFC 9110 §7.6.1: header and trailer fields alike. Giving up all trailers is allowed (§6.5.1).
    for option in ["X-Hop", "x-hop, y", "keep-alive, X-HOP", "x\r\nConnection: X-Hop"] {
      rows.append(
        row("trailers that Connection names", "Connection: \(option)\r\n", ["X-Hop: 1"], passes: [], lines: asks))
    }
    rows.append(
      row(
        "trailers beside a Connection that names nothing", "Connection: keep-alive\r\n", ["X-Sum: 1"],
        passes: ["X-Sum: 1"],
        lines: asks))
    return rows
  }

  /// Nothing else is taken away or changed.
  private static var kept: [UpstreamRow] {
    [
      "Set-Cookie", "Location", "ETag", "Server", "Date", "Via", "Vary", "WWW-Authenticate", "Cache-Control",
      "Content-Type",
      "Alt-Svc", "Link", "Authorization", "X-Any", "x!#$%&'*+.^`|~y", "X_Under",
    ].map { name in
      .passes(
        "all other fields go on", "\(ok)\(name): a, b\r\n\(name):c\r\nContent-Length: 5\r\n\r\nhello", body: "hello",
        isReusable: true
      ) { $0.fields.all(name) == ["a, b", "c"] ? nil : "\(name) is \($0.fields.all(name))" }
    }
  }
}
