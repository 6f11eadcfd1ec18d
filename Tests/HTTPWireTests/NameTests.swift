// Names and lists: classification, comparing as servers do, quoted strings.
import HTTPWire
import Testing

@Suite("Names and lists")
struct NameTests {
  static let known: [(String, FieldName)] = [
    ("Host", .host), ("Content-Length", .contentLength), ("Transfer-Encoding", .transferEncoding),
    ("Connection", .connection), ("Keep-Alive", .keepAlive), ("Proxy-Connection", .proxyConnection), ("TE", .te),
    ("Trailer", .trailer), ("Upgrade", .upgrade), ("HTTP2-Settings", .http2Settings),
    ("Proxy-Authenticate", .proxyAuthenticate), ("Proxy-Authorization", .proxyAuthorization),
    ("Authorization", .authorization), ("Expect", .expect), ("Via", .via), ("X-Forwarded-For", .xForwardedFor),
    ("X-Forwarded-Proto", .xForwardedProto), ("X-Forwarded-Host", .xForwardedHost), ("Forwarded", .forwarded),
    ("X-Request-ID", .xRequestID), ("Max-Forwards", .maxForwards), ("WWW-Authenticate", .wwwAuthenticate),
    ("Date", .date), ("Server", .server), ("Retry-After", .retryAfter), ("X-Gateway-Token", .xGatewayToken),
    ("Content-Type", .contentType),
  ]

  private func classify(_ name: String) -> FieldName? {
    let value = name.lowercased() == "content-length" ? "5" : "chunked"
    guard case .head(let head) = parseResponse(Array("HTTP/1.1 200 OK\r\n\(name): \(value)\r\n\r\n".utf8)) else {
      return nil
    }
    return head.fields[0].known
  }

  @Test("known names in any case, and nothing like them", arguments: known)
  func classification(name: String, expected: FieldName) {
    #expect(classify(name) == expected)
    #expect(classify(name.uppercased()) == expected)
    #expect(classify(name.lowercased()) == expected)
    #expect(classify(name + "x") == .other)
    #expect(classify("x" + name) == .other)
    #expect(classify(String(name.dropLast())) == .other)
    #expect(classify(String(name.dropLast()) + "~") == .other)
    #expect(classify("!" + String(name.dropFirst())) == .other)
    if name.contains("-") {
      // The underscore is for stripping and for the hop-by-hop rules; it is never a known name.
      #expect(classify(String(name.map { $0 == "-" ? "_" : $0 })) == .other)
    }
  }

  static let same: [(String, String, Bool)] = [
    ("CompanyCode", "companycode", true), ("Company_Code", "Company-Code", true),
    ("company-code", "Company_Code", true),
    ("AUTHORIZATION", "Authorization", true), ("Authorization_", "Authorization", false), ("X-A", "X.A", false),
    ("X-A", "X-B", false), ("X-A", "X-AB", false), ("@", "`", false), ("[", "{", false), ("", "", true),
  ]

  @Test("same name to any server", arguments: same)
  func sameName(left: String, right: String, expected: Bool) {
    let bytes = Array(("  " + left + "  ").utf8)
    let other = Array(right.utf8)
    let range = ByteRange(start: 2, count: left.utf8.count)
    let isSame = isSameFieldName(bytes.span, range, other.span)
    #expect(isSame == expected)
    let exact = isEqualIgnoringCase(bytes.span, range, other.span)
    #expect(exact == (left.lowercased() == right.lowercased()))
    let underscore = containsUnderscore(bytes.span, range)
    #expect(underscore == left.contains("_"))
  }

  static let lists: [(String, [String])] = [
    ("", [""]), ("a", ["a"]), (" a , b\t,c", ["a", "b", "c"]), ("a,,b", ["a", "", "b"]), (",a,", ["", "a", ""]),
    ("\"a,b\", c", ["\"a,b\"", "c"]), ("a=\"b\\\",c\",d", ["a=\"b\\\",c\"", "d"]), ("\"open, c", ["\"open, c"]),
    ("\"open\\", ["\"open\\"]),
  ]

  @Test("list elements", arguments: lists)
  func elements(value: String, expected: [String]) {
    let bytes = Array(value.utf8)
    var cursor = FieldListCursor(ByteRange(start: 0, count: bytes.count))
    var found: [String] = []
    while let element = cursor.next(in: bytes.span) { found.append(element.text(value)) }
    #expect(found == expected)
  }

  @Test("tokens in lists")
  func tokens() {
    for (value, expected) in [
      ("close", true), ("keep-alive, Close", true), ("closed", false), ("x=\", close,\"", false), ("", false),
    ] {
      let bytes = Array(value.utf8)
      let found = hasToken(bytes.span, ByteRange(start: 0, count: bytes.count), "close")
      #expect(found == expected, "\(value)")
    }
  }
}
