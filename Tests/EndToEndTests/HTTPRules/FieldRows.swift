// HTTP-RULES.md, "Requests: 400 and close": field lines, Host, Connection, limits of a head.
import GatewayTesting

enum FieldRows {
  /// RFC 9110 §5.6.2.
  static let tokenBytes: [UInt8] = Array(
    "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
  static let notTokenBytes = (UInt8.min...UInt8.max).filter { !tokenBytes.contains($0) }
  /// May not stand in a value: all but tab, printable ASCII and obs-text.
  static let controls = (UInt8.min...UInt8.max).filter { ($0 < 0x20 && $0 != 9) || $0 == 0x7f }

  static var all: [RuleRow] { lines + names + values + lineEnds + hosts + connections + limits }

  private static var lines: [RuleRow] {
    var rows: [RuleRow] = []
    for name in ["Content-Length", "Transfer-Encoding", "Host", "Authorization", "Connection", "X-Any", "Cookie"] {
      for blank in [" ", "\t", "  ", "\t\t", " \t", "\t "] {
        rows.append(.refused("space or tab before the colon", fields: "\(name)\(blank): 5"))
      }
    }
    for before in ["X-Any: a", "Content-Length: 5", "Transfer-Encoding: gzip,", "Connection: close", "X-Any:"] {
      for fold in [" chunked", "\tchunked", "  chunked", " \tX: y", " ", "\t", " Content-Length: 5", " : x"] {
        rows.append(.refused("obs-fold", fields: "\(before)\r\n\(fold)"))
      }
    }
    for blank in [" ", "\t", "  ", "\u{b}", "\u{c}", "\u{a0}"] {
      rows.append(
        .refused("white space before the first field", line: "GET /first HTTP/1.1\r\n\(blank)Content-Length: 5"))
      rows.append(.refused("white space before the first field", line: "GET /first HTTP/1.1\r\n\(blank)"))
    }
    for line in [
      "X-Any", "Content-Length", "Transfer-Encoding", "Content-Length 5", "Transfer-Encoding=chunked",
      "GET / HTTP/1.1x",
      "X-Any\r\nContent-Length: 5", "5", "chunked",
    ] { rows.append(.refused("a line without colon", fields: line)) }
    return rows
  }

  private static var names: [RuleRow] {
    var rows: [RuleRow] = []
    for byte in notTokenBytes.map(\.latin1) {
      // With a colon in it, it is another name.
      if byte != ":" {
        rows.append(.refused("a name that is not a token", fields: "X-\(byte)Y: 5"))
        rows.append(.refused("a name that is not a token", fields: "Content-Length\(byte): 5"))
      }
      rows.append(.refused("a name that is not a token", fields: "\(byte)X-Any: 5"))
    }
    rows.append(.refused("a name that is not a token", fields: ": 5"))
    rows.append(.refused("a name that is not a token", fields: " : 5"))
    let all = tokenBytes.filter { $0 != UInt8(ascii: "_") }.map { "X\($0.latin1)Y" }
    rows.append(
      .accepted("a name that is a token", fields: all.map { "\($0): good" }.joined(separator: "\r\n")) { request in
        all.first { request.fields.all($0).allSatisfy { $0 != "good" } }.map { "\($0) is not there" }
      })
    return rows
  }

  private static var values: [RuleRow] {
    var rows: [RuleRow] = []
    for byte in controls {
      for value in ["a\(byte.latin1)b", "\(byte.latin1)b", "a\(byte.latin1)"] {
        rows.append(.refused("a value with bare CR, NUL or another CTL", fields: "X-Any: \(value)"))
      }
      rows.append(
        .refused("a value with bare CR, NUL or another CTL", fields: "X-Any: a\(byte.latin1)Content-Length: 5"))
    }
    let other = (UInt8(0x80)...0xff).map(\.latin1).joined()
    for value in ["a\tb", other, "a\(other)b", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"] {
      rows.append(
        .accepted("any other value goes on as it is", fields: "X-Any: \(value)") { request in
          let line = Array("X-Any: ".utf8) + value.latin1 + [13, 10]
          return request.head.raw.contains(line) ? nil : "X-Any is not what it was"
        })
    }
    return rows
  }

  /// A head with each of its line ends in turn replaced.
  private static var lineEnds: [RuleRow] {
    let lines = ["POST /first HTTP/1.1", "Host: localhost", "X-Row: \(RuleRow.mark)", "Content-Length: 5", ""]
    var rows: [RuleRow] = []
    for wrong in ["\n", "\r", "\n\r", "\r\r\n", "\n\n", "\r\u{0}\n", "\r \n"] {
      for place in lines.indices {
        // Behind the empty line a line feed more is a part of the body.
        let text = lines.enumerated().map { $1 + ($0 == place ? wrong : "\r\n") }.joined()
        rows.append(.refused("bare LF anywhere, bare CR", text + RuleRow.hidden))
      }
    }
    rows.append(.refused("bare LF anywhere, bare CR", lines.joined(separator: "\n") + "\n" + RuleRow.hidden))
    rows.append(.refused("bare LF anywhere, bare CR", lines.joined(separator: "\r") + "\r\r" + RuleRow.hidden))
    return rows
  }

  private static let badHosts = [
    "", " ", "a b", "local host", "user@localhost", "user:password@localhost", "localhost:x", "localhost:80x",
    "localhost:-1", "localhost:65536", "localhost:99999999999", "localhost:80:80", "localhost/", "localhost/path", "/",
    "localhost?", "localhost#", "http://localhost", "localhost\\", "localhost,localhost", "localhost, other",
    "localhost;",
    "\"localhost\"", "'localhost'", "<localhost>", "(localhost)", "local=host", "local{host", "local|host",
    "local^host",
    "local%68ost", "%", "local*host", "*", "local!host", "local$host", "local&host", "local+host", "::1", "[::1",
    "::1]",
    "[]", "[localhost]", "[::g]", "[::1]x", "[::1%25eth0]", "[::1]:x", "[1]", ":80", "local\u{e9}host",
    "local\u{0}host",
    "local\u{b}host", "localhost\u{7f}", "localhost:8\t0",
  ]

  private static var hosts: [RuleRow] {
    func request(_ lines: String, version: String = "HTTP/1.1") -> String {
      "GET /first \(version)\r\n\(lines)X-Row: \(RuleRow.mark)\r\n\r\n"
    }
    var rows = badHosts.flatMap { host in
      ["HTTP/1.1", "HTTP/1.0"].map {
        RuleRow.refused("Host not a valid authority", request("Host: \(host)\r\n", version: $0) + RuleRow.hidden)
      }
    }
    rows.append(.refused("Host missing (HTTP/1.1)", request("") + RuleRow.hidden))
    rows.append(.refused("Host missing (HTTP/1.1)", request("Hos: localhost\r\nHostt: localhost\r\n") + RuleRow.hidden))
    rows.append(
      .refused("Host missing (HTTP/1.1)", request("H_st: localhost\r\nHost_: localhost\r\n") + RuleRow.hidden))
    for other in ["localhost", "other", "", "localhost:80", "LOCALHOST"] {
      for name in ["Host", "host", "HOST"] {
        let rule = "Host repeated"
        rows.append(.refused(rule, request("Host: localhost\r\n\(name): \(other)\r\n") + RuleRow.hidden))
        rows.append(.refused(rule, request("\(name): \(other)\r\nX: y\r\nHost: localhost\r\n", version: "HTTP/1.0")))
      }
    }
    for host in [
      "localhost", "LOCALHOST", "localhost:", "localhost:80", "localhost:65535", "127.0.0.1", "[::1]", "[::1]:1",
    ] { rows.append(.accepted("Host valid", request("Host: \(host)\r\n"))) }
    return rows
  }

  private static var connections: [RuleRow] {
    var rows: [RuleRow] = []
    for name in ["Host", "Content-Length", "Transfer-Encoding"] {
      for value in [
        name, name.lowercased(), name.uppercased(), "close, \(name)", "keep-alive,\(name)", "\(name), x", ",\(name)",
        "x ,\t\(name)\t, y", "x\r\nConnection: \(name)",
      ] {
        rows.append(
          .refused("Connection: that names Host, Content-Length, Transfer-Encoding", fields: "Connection: \(value)"))
      }
    }
    for value in ["Authorization", "authorization, keep-alive", "X, AUTHORIZATION", "x\r\nconnection: Authorization"] {
      rows.append(
        .accepted(
          "Connection: that names Authorization: the caller's is stripped before ours is put on",
          fields: "Authorization: Bearer stolen\r\nConnection: \(value)"
        ) { $0.fields.contains("Connection") ? "Connection was forwarded" : nil })
    }
    rows.append(
      .refused(
        "Connection: more options than anybody needs",
        fields: "Connection: " + (0..<80).map { "x\($0)" }.joined(separator: ",")
      ).inOnePiece)
    return rows
  }

  private static var limits: [RuleRow] {
    func fields(_ count: Int) -> String { Array(repeating: "X: y", count: count).joined(separator: "\r\n") }
    let large = String(repeating: "x", count: 15_500)
    let tooLarge = String(repeating: "x", count: 16_384)
    let rule = "too large a head, or too many fields: 431"
    // Two fields of each row are its Host and its number.
    let rows: [RuleRow] = [
      .accepted(rule, fields: fields(98)), .refused(rule, fields: fields(99), 431),
      .refused(rule, fields: fields(5000), 431),
      .accepted(rule, fields: "X: \(large)"), .refused(rule, fields: "X: \(tooLarge)", 431),
      .refused(rule, fields: "\(tooLarge): x", 431), .refused(rule, fields: "X: \(tooLarge)\(tooLarge)", 431),
      .refused(
        rule, fields: Array(repeating: "X: \(String(repeating: "x", count: 500))", count: 40).joined(separator: "\r\n"),
        431),
    ]
    return rows.map(\.inOnePiece)
  }
}
