// HTTP-RULES.md, "Requests: 400 and close": the request line, the target, the version, what stands before it.
import GatewayTesting

enum LineRows {
  static var all: [RuleRow] { methods + targets + forms + versions + around + tooLong }

  private static var methods: [RuleRow] {
    var rows: [RuleRow] = []
    for byte in FieldRows.notTokenBytes.map(\.latin1) {
      rows.append(.refused("a method that is not a token", line: "G\(byte)T /first HTTP/1.1"))
      rows.append(.refused("a method that is not a token", line: "\(byte)GET /first HTTP/1.1"))
    }
    rows.append(.refused("a method that is not a token", line: " /first HTTP/1.1"))
    rows.append(.refused("a method that is not a token", line: "/first HTTP/1.1"))
    let rule = "CONNECT and TRACE: 405"
    for method in ["CONNECT", "connect", "Connect", "cONNECT", "TRACE", "trace", "Trace", "tRaCe"] {
      for target in ["/first", "localhost:80", "*", "http://localhost/"] {
        rows.append(.refused(rule, line: "\(method) \(target) HTTP/1.1", 405))
      }
    }
    for method in [
      "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "G", "PROPFIND", "M-SEARCH", "X!#$%&'*+.^`|~1",
    ] {
      rows.append(
        .accepted("any other method", "\(method) /first HTTP/1.1\r\n\(RuleRow.host)\r\n") {
          $0.head.method == method ? nil : "another method"
        })
    }
    return rows
  }

  private static var targets: [RuleRow] {
    var rows: [RuleRow] = []
    for byte in (UInt8.min...UInt8.max) where byte <= 0x20 || byte >= 0x7f || byte == UInt8(ascii: "#") {
      let rule = "target with white space, fragment, control or non-ASCII bytes"
      rows.append(.refused(rule, line: "GET /a\(byte.latin1)b HTTP/1.1"))
      rows.append(.refused(rule, line: "GET /a?b\(byte.latin1) HTTP/1.1"))
      rows.append(.refused(rule, line: "GET \(byte.latin1)/a HTTP/1.1"))
    }
    let printable = (UInt8(0x21)...0x7e).filter { $0 != UInt8(ascii: "#") }.map(\.latin1).joined()
    for target in ["/first?\(printable)", "/first?", "/first??a?", "/!$&'()*+,:=@-._~{}|^`\"<>[]"] {
      rows.append(
        .accepted("any other target goes on as it is", fields: "X: y", target: target) {
          $0.target == target ? nil : "another target"
        })
    }
    return rows
  }

  private static var forms: [RuleRow] {
    var rows: [RuleRow] = []
    for target in [
      "http://other/", "http://localhost:81/", "http://localhost.other/", "http://127.0.0.1/",
      "http://other@localhost/",
      "http://localhost@other/", "http://localhost:x/", "http:///first", "http://", "http:/first", "http:first",
      "https://other/",
      "HTTP://OTHER/", "http://localhost\\@other/", "http://local%68ost/", "http://[::1]/", "http://localhost,other/",
      "http://localhost;/", "http://\u{e9}/",
    ] { rows.append(.refused("absolute form whose authority is not the Host", line: "GET \(target) HTTP/1.1")) }
    for target in [
      "ftp://localhost/", "file:///etc/passwd", "ws://localhost/", "javascript:alert(1)", "//localhost",
      "x://localhost/",
    ] {
      rows.append(.refused("absolute form of another scheme", line: "GET \(target) HTTP/1.1"))
    }
    for target in [
      "localhost:80", "localhost", "127.0.0.1:80", "[::1]:80", "user@localhost:80", ":80", "first", ".", "..", "?", "@",
      "\\",
    ] {
      for method in ["GET", "POST", "OPTIONS"] {
        rows.append(.refused("authority form", line: "\(method) \(target) HTTP/1.1"))
      }
    }
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "options", "PROPFIND"] {
      rows.append(.refused("* except with OPTIONS", line: "\(method) * HTTP/1.1"))
    }
    for target in ["**", "*/", "*?x", "*x", "%2a"] {
      rows.append(.refused("* except with OPTIONS", line: "OPTIONS \(target) HTTP/1.1"))
    }
    for (method, target, forwarded) in [
      ("OPTIONS", "*", "*"), ("GET", "http://localhost/first", "/first"),
      ("GET", "HTTP://LOCALHOST/first?a=b", "/first?a=b"),
      ("GET", "http://localhost", "/"), ("GET", "http://localhost?a", "/?a"),
      ("GET", "https://localhost/first", "/first"),
    ] {
      rows.append(
        .accepted("a form that is good", "\(method) \(target) HTTP/1.1\r\n\(RuleRow.host)\r\n") {
          $0.target == forwarded ? nil : "another target"
        })
    }
    return rows
  }

  private static var versions: [RuleRow] {
    var rows: [RuleRow] = []
    for digit in 0...9 where digit != 1 {
      for version in ["HTTP/\(digit).0", "HTTP/\(digit).1", "HTTP/\(digit).9"] {
        rows.append(.refused("unknown major 505", line: "GET /first \(version)", 505))
      }
      if digit > 1 {
        rows.append(
          .accepted("a higher minor version is 1.1", "GET /first HTTP/1.\(digit)\r\n\(RuleRow.host)\r\n") {
            $0.head.version == "HTTP/1.1" ? nil : "another version"
          })
      }
    }
    for version in [
      "", "HTTP", "HTTP/", "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/1.10", "HTTP/1.1.1", "HTTP/11.1", "HTTP/01.1",
      "HTTP/1.01",
      "HTTP/1,1", "HTTP/1:1", "HTTP/1 1", "HTTP/1.x", "HTTP/x.1", "HTTP/-1.1", "HTTP/+1.1", "HTTP/1.1x", "HTTP/1.1 x",
      "HTTP/1.1 ", "HTTP/1.1\t", "HTTP/1.1\u{0}", "HTTP/1.1\u{b}", "HTTP/ 1.1", "HTTP /1.1", "HTTP/1 .1", "HTTP/1. 1",
      "HTTP\\1.1", "HTTP//1.1", "http/1.1", "Http/1.1", "hTTP/1.1", "HTTPS/1.1", "HTTP1.1", "XHTTP/1.1", "HTT/1.1",
      "ICY/1.1",
      "RTSP/1.0", "HTTP/2.0x", "HTTP/\u{ef}\u{bc}\u{91}.1", "1.1",
    ] { rows.append(.refused("a malformed version 400", line: "GET /first \(version)")) }
    rows.append(.refused("a malformed version 400", line: "GET /first"))
    rows.append(.refused("unknown major 505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505))
    return rows
  }

  private static var around: [RuleRow] {
    let good = "GET /first HTTP/1.1\r\n\(RuleRow.host)\r\n"
    var rows: [RuleRow] = [.accepted("one empty line before a request line", "\r\n\(good)")]
    for before in [
      "\r\n\r\n", "\r\n\r\n\r\n", "\n", "\n\n", "\r\n\n", "\n\r\n", "\r", "\r\r\n", " ", "\t", " \r\n", "\r\n ",
      "\r\n\t",
      "\u{0}", "\u{b}", "\u{ef}\u{bb}\u{bf}", "\r\n\u{0}",
    ] { rows.append(.refused("a request line before which more than one empty line stands", before + good)) }
    for line in [
      "GET  /first HTTP/1.1", "GET /first  HTTP/1.1", "GET\t/first HTTP/1.1", "GET /first\tHTTP/1.1",
      "GET\u{b}/first HTTP/1.1",
      "GET /first\u{c}HTTP/1.1", "GET /first HTTP/1.1 HTTP/1.1", "GET /first /second HTTP/1.1", "GET", "GET ",
      "GET /first ",
      "HTTP/1.1 200 OK", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}", "\u{80}\u{2e}\u{1}\u{3}\u{1}",
    ] { rows.append(.refused("target with white space", line: line)) }
    return rows
  }

  private static var tooLong: [RuleRow] {
    let rule = "too long a target: 414"
    func target(_ count: Int) -> String { "/" + String(repeating: "t", count: count - 1) }
    let rows: [RuleRow] = [
      .accepted(rule, fields: "X: y", target: target(8192)),
      .refused(rule, line: "GET \(target(8193)) HTTP/1.1", 414),
      .refused(rule, line: "GET \(target(15_000)) HTTP/1.1", 414),
      .refused(rule, line: "GET /?\(target(9000)) HTTP/1.1", 414), .refused(rule, "GET \(target(20_000))", 414),
      .refused(rule, line: "GET \(target(60_000)) HTTP/1.1", 414),
    ]
    return rows.map(\.inOnePiece)
  }
}
