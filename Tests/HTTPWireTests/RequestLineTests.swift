// Request line, target and Host (HTTP-RULES.md, "Requests").
import HTTPWire
import Testing

@Suite("Request line")
struct RequestLineTests {
  private static func line(
    _ rule: String, _ line: String, _ error: WireRule = .malformedTarget, status: UInt16 = 400, host: String = "a"
  ) -> Refusal {
    Refusal(rule, "\(line)\r\nHost: \(host)\r\n\r\n", error, status: status)
  }

  static let refusals: [Refusal] =
    [
      line("two empty lines before the request line", "\r\n\r\nGET / HTTP/1.1", .malformedRequestLine),
      line("bare LF before the request line", "\nGET / HTTP/1.1", .bareLineFeed),
      line("bare CR before the request line", "\rGET / HTTP/1.1", .malformedRequestLine),
      line("white space before the method", " GET / HTTP/1.1", .malformedRequestLine),
      line("method that is no token", "G(T / HTTP/1.1", .malformedRequestLine),
      line("method with a NUL", "GE\u{0}T / HTTP/1.1", .malformedRequestLine),
      line("tab for a space", "GET\t/ HTTP/1.1", .malformedRequestLine),
      line("two spaces before the target", "GET  / HTTP/1.1", .malformedRequestLine),
      line("two spaces before the version", "GET /  HTTP/1.1", .malformedVersion),
      line("no version", "GET /", .malformedRequestLine),
      line("no target", "GET HTTP/1.1", .malformedRequestLine),
      line("only a method", "GET", .malformedRequestLine),
      Refusal("bare LF ends the line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .bareLineFeed),
      Refusal("bare LF behind the target", "GET /\nHost: a\r\n\r\n", .bareLineFeed),
      Refusal("bare LF inside the version", "GET / HTTP/\n1.1\r\n\r\n", .bareLineFeed),
      Refusal("bare CR ends the line", "GET / HTTP/1.1\rHost: a\r\n\r\n", .malformedRequestLine),

      line("white space in the target", "GET /a b HTTP/1.1", .malformedVersion),
      line("tab in the target", "GET /a\tb HTTP/1.1"),
      line("fragment in the target", "GET /a#b HTTP/1.1"),
      line("control byte in the target", "GET /a\u{1}b HTTP/1.1"),
      line("NUL in the target", "GET /a\u{0} HTTP/1.1"),
      line("DEL in the target", "GET /a\u{7f} HTTP/1.1"),
      line("bare CR in the target", "GET /a\rb HTTP/1.1", .malformedRequestLine),
      line("non-ASCII in the target", "GET /\u{e9} HTTP/1.1"),
      line("authority form", "GET a:80 HTTP/1.1"),
      line("relative target", "GET index.html HTTP/1.1"),
      line("query alone", "GET ?a HTTP/1.1"),
      line("* without OPTIONS", "GET * HTTP/1.1"),
      line("* with more behind it", "OPTIONS *a HTTP/1.1"),
      line("absolute form of another scheme", "GET ftp://a/ HTTP/1.1"),
      line("absolute form without authority", "GET http:///x HTTP/1.1"),
      line("absolute form with user information", "GET http://u@a/ HTTP/1.1"),
      line("absolute form with a backslash", "GET http://b\\@a/ HTTP/1.1"),
      line("absolute form whose authority is not the Host", "GET http://b/ HTTP/1.1", .hostMismatch),
      line("absolute form with another port", "GET http://a:81/ HTTP/1.1", .hostMismatch),

      line("CONNECT", "CONNECT a:443 HTTP/1.1", .methodNotAllowed, status: 405),
      line("TRACE", "TRACE / HTTP/1.1", .methodNotAllowed, status: 405),
      line("TRACE in another case", "Trace / HTTP/1.1", .methodNotAllowed, status: 405),

      line("unknown major version 2", "GET / HTTP/2.0", .unsupportedVersion, status: 505),
      line("unknown major version 0", "GET / HTTP/0.9", .unsupportedVersion, status: 505),
      line("HTTP/2 preface", "PRI * HTTP/2.0", .unsupportedVersion, status: 505),
      line("malformed version: lower case", "GET / http/1.1", .malformedVersion),
      line("malformed version: two digits", "GET / HTTP/1.10", .malformedVersion),
      line("malformed version: two digits before the dot", "GET / HTTP/11.1", .malformedVersion),
      line("malformed version: none", "GET / HTTP/", .malformedVersion),
      line("malformed version: comma", "GET / HTTP/1,1", .malformedVersion),
      line("malformed version: no digit", "GET / HTTP/a.1", .malformedVersion),
      line("malformed version: unknown major and more", "GET / HTTP/2.0x", .malformedVersion),
      line("malformed version: another protocol", "GET / ICY/1.1", .malformedVersion),
      line("white space behind the version", "GET / HTTP/1.1 ", .malformedVersion),

      Refusal("Host missing", "GET / HTTP/1.1\r\nX: y\r\n\r\n", .missingHost),
      Refusal("Host missing with an absolute form", "GET http://a/ HTTP/1.1\r\n\r\n", .missingHost),
      Refusal("Host repeated", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .repeatedHost),
      Refusal("Host repeated in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", .repeatedHost),
    ]
    + [
      ("empty", ""), ("a list", "a,b"), ("with a path", "a/b"), ("with user information", "u@a"),
      ("with a space", "a b"),
      ("with a query", "a?b"), ("with a fragment", "a#b"), ("with a backslash", "a\\b"), ("port only", ":80"),
      ("port of letters", "a:http"), ("port too large", "a:65536"), ("port negative", "a:-1"), ("two ports", "a:1:2"),
      ("open bracket", "[::1"), ("empty brackets", "[]"), ("letters in brackets", "[::g]"),
      ("zone", "[fe80::1%25eth0]"),
      ("text behind brackets", "[::1]a"), ("one colon in brackets", "[1:2]"), ("non-ASCII", "\u{e9}"),
      ("percent triplet", "%61"), ("address without brackets", "::1"),
    ].map { line("Host is not a valid authority: \($0.0)", "GET / HTTP/1.1", .malformedHost, host: $0.1) }

  @Test("is refused", arguments: refusals)
  func refused(_ row: Refusal) {
    expectSameErrorAtEverySplit(Array(row.input.utf8), row.error) { parseRequest($0) }
  }

  struct Target: Sendable, CustomTestStringConvertible {
    let line: String
    let path: String
    let query: String
    let authority: String
    var host = "a"
    var testDescription: String { line }
  }

  static let targets: [Target] = [
    Target(line: "GET / HTTP/1.1", path: "/", query: "", authority: "a"),
    Target(line: "\r\nGET / HTTP/1.1", path: "/", query: "", authority: "a"),
    Target(line: "GET /a/b?c=/d?e HTTP/1.1", path: "/a/b", query: "?c=/d?e", authority: "a"),
    Target(line: "GET /a%20b|{}\"<>\\^`? HTTP/1.1", path: "/a%20b|{}\"<>\\^`", query: "?", authority: "a"),
    Target(line: "GET //b/c HTTP/1.1", path: "//b/c", query: "", authority: "a"),
    Target(line: "OPTIONS * HTTP/1.1", path: "*", query: "", authority: "a"),
    Target(line: "GET http://a/b?c HTTP/1.1", path: "/b", query: "?c", authority: "a"),
    Target(line: "GET HTTP://A HTTP/1.1", path: "/", query: "", authority: "a"),
    Target(line: "GET https://a?c HTTP/1.1", path: "/", query: "?c", authority: "a"),
    Target(line: "GET http://b-1.c:8080/ HTTP/1.1", path: "/", query: "", authority: "b-1.c:8080", host: "b-1.c:8080"),
    Target(line: "GET / HTTP/1.1", path: "/", query: "", authority: "my_service", host: "my_service"),
    Target(line: "GET / HTTP/1.1", path: "/", query: "", authority: "[2001:db8::1]:65535", host: "[2001:db8::1]:65535"),
    Target(line: "GET / HTTP/1.1", path: "/", query: "", authority: "[::ffff:127.0.0.1]", host: "[::ffff:127.0.0.1]"),
    Target(line: "GET / HTTP/1.1", path: "/", query: "", authority: "a:", host: "a:"),
    Target(line: "GET / HTTP/1.2", path: "/", query: "", authority: "a"),
  ]

  @Test("is split", arguments: targets)
  func split(_ row: Target) throws {
    let text = "\(row.line)\r\nHost: \(row.host)\r\n\r\n"
    let head = try request(text)
    #expect(head.path.text(text) == row.path)
    #expect(head.query.text(text) == row.query)
    #expect(head.authority.text(text) == row.authority)
    #expect(head.count == text.utf8.count)
    #expect(head.minorVersion == 1)
  }

  static let methodNames: [(String, Method)] = [
    ("GET", .get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete), ("OPTIONS", .options),
    ("PATCH", .patch), ("get", .other), ("PROPFIND", .other), ("M-SEARCH", .other), ("QUERY", .other), ("X", .other),
  ]

  @Test("tells the methods apart, case-sensitively", arguments: methodNames)
  func methods(name: String, method: Method) throws {
    let text = "\(name) / HTTP/1.1\r\nHost: a\r\n\r\n"
    let head = try request(text)
    #expect(head.method == method)
    #expect(head.methodRange.text(text) == name)
  }

  @Test("HTTP/1.0 needs no Host; an absolute form gives the authority")
  func oldVersion() throws {
    let head = try request("GET / HTTP/1.0\r\n\r\n")
    #expect(head.minorVersion == 0 && head.authority.isEmpty && head.fields.isEmpty)
    let text = "GET http://b/c HTTP/1.0\r\n\r\n"
    #expect(try request(text).authority.text(text) == "b")
  }

  @Test("bytes behind the head are left alone")
  func pipelined() throws {
    let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n"
    #expect(try request(text).count == text.utf8.count - 3 - 18)
  }
}
