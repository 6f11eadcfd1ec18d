// Trailer sections (HTTP-RULES.md, "Header hygiene": trailers are filtered like fields).
import HTTPWire
import Testing

@Suite("Trailers")
struct TrailerTests {
  private func parse(_ bytes: [UInt8], limits: HeadLimits = HeadLimits()) -> Outcome<TrailerSection> {
    var section = TrailerSection()
    do {
      return try section.parse(bytes.span, limits: limits) == nil ? .incomplete : .head(section)
    } catch {
      return .failed(error)
    }
  }

  @Test(
    "end with an empty line and are read at every split",
    arguments: [("\r\n", 0), ("X: y\r\n\r\n", 1), ("X-Sum: 1 \r\ngrpc-status:0\r\n\r\n", 2)])
  func section(text: String, fields: Int) {
    let bytes = Array(text.utf8)
    for count in 0..<bytes.count { #expect(parse(Array(bytes[..<count])).isIncomplete) }
    guard case .head(let section) = parse(bytes + Array("GET /".utf8)) else {
      Issue.record("refused")
      return
    }
    #expect(section.count == bytes.count && section.fields.count == fields)
    #expect(section.fields.allSatisfy { !$0.isDropped })
  }

  static let refusals = [
    "no colon": "X\r\n\r\n", "space before the colon": "X : y\r\n\r\n", "folded": "X: y\r\n z\r\n\r\n",
    "bare LF": "X: y\n\r\n", "bare LF for the end": "\n", "bare CR": "X: y\rz\r\n\r\n", "NUL": "X: \u{0}\r\n\r\n",
    "CR without LF for the end": "\rX", "empty name": ": x\r\n\r\n",
  ]

  @Test("are refused when malformed", arguments: refusals)
  func refused(rule: String, text: String) {
    expectSameErrorAtEverySplit(Array(text.utf8), WireError(.malformedTrailer)) { parse($0) }
  }

  static let forbidden = [
    "Transfer-Encoding", "Content-Length", "Host", "Connection", "Keep-Alive", "TE", "Upgrade", "Trailer", "Expect",
    "Authorization", "AUTHORIZATION", "authorization", "Proxy-Authorization", "Proxy-Authenticate", "WWW-Authenticate",
    "Cookie", "Set-Cookie", "Content-Type", "Content-Encoding", "Content-Range", "Content-Location", "Max-Forwards",
    "Cache-Control", "Pragma", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
    "If-Range", "Age", "Date", "Expires", "Location", "Retry-After", "Vary", "Warning", "Via", "Forwarded",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X-Request-ID", "X-Gateway-Token",
    "Transfer_Encoding", "content_length", "X_Forwarded_For", "Set_Cookie", "Authentication-Info",
    "Proxy-Authentication-Info",
  ]

  @Test("that frame, route, authenticate or control are dropped", arguments: forbidden)
  func dropped(name: String) {
    let text = "X-Before: a\r\n\(name): b\r\nX-After: c\r\n\r\n"
    guard case .head(let section) = parse(Array(text.utf8)) else {
      Issue.record("refused")
      return
    }
    #expect(keptNames(section.fields, text) == ["X-Before", "X-After"])
  }

  @Test("are limited in bytes and number")
  func limits() {
    let bytes = Array("A: b\r\nC: d\r\n\r\n".utf8)
    let exact = HeadLimits(bytes: bytes.count, fields: 2, target: 1)
    guard case .head = parse(bytes, limits: exact) else {
      Issue.record("refused")
      return
    }
    expectSameErrorAtEverySplit(bytes, WireError(.headTooLarge, status: 431)) {
      parse($0, limits: HeadLimits(bytes: bytes.count - 1, fields: 2, target: 1))
    }
    expectSameErrorAtEverySplit(bytes, WireError(.tooManyFields, status: 431)) {
      parse($0, limits: HeadLimits(bytes: 100, fields: 1, target: 1))
    }
  }
}
