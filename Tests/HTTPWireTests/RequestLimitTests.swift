// Limits on heads: 414, 431, as early as they can be seen (HTTP-RULES.md, "Requests").
import HTTPWire
import Testing

@Suite("Request limits")
struct RequestLimitTests {
  private func head(target: Int = 1, fields: Int = 0, padding: Int = 0) -> [UInt8] {
    let path = "/" + String(repeating: "a", count: target - 1)
    let rest = (0..<fields).map { "X\($0): y\r\n" }.joined()
    let pad = padding > 0 ? "P: " + String(repeating: "p", count: padding) + "\r\n" : ""
    return Array("GET \(path) HTTP/1.1\r\nHost: a\r\n\(rest)\(pad)\r\n".utf8)
  }

  @Test("a target as long as the limit passes, one byte more is 414 once that byte is there")
  func target() {
    let limits = HeadLimits(bytes: 200, fields: 10, target: 20)
    guard case .head(let parsed) = parseRequest(head(target: 20), limits: limits) else {
      Issue.record("refused")
      return
    }
    #expect(parsed.target.count == 20)
    let tooLong = head(target: 21)
    expectSameErrorAtEverySplit(tooLong, WireError(.targetTooLong, status: 414)) { parseRequest($0, limits: limits) }
    #expect(parseRequest(Array(tooLong[..<24]), limits: limits).isIncomplete)
    #expect(parseRequest(Array(tooLong[..<25]), limits: limits).error?.status == 414)
  }

  @Test("a target that fills the largest head is 414, too")
  func targetFillsHead() {
    let limits = HeadLimits(bytes: 64, fields: 10, target: 8192)
    expectSameErrorAtEverySplit(head(target: 100), WireError(.targetTooLong, status: 414)) {
      parseRequest($0, limits: limits)
    }
  }

  @Test("a head as large as the limit passes, one byte more is 431, whether or not its end is there")
  func bytes() {
    let bytes = head(padding: 40)
    let exact = HeadLimits(bytes: bytes.count, fields: 10, target: 20)
    guard case .head = parseRequest(bytes, limits: exact) else {
      Issue.record("refused")
      return
    }
    // Bytes behind the head do not count.
    guard case .head = parseRequest(bytes + bytes, limits: exact) else {
      Issue.record("refused")
      return
    }
    let less = HeadLimits(bytes: bytes.count - 1, fields: 10, target: 20)
    expectSameErrorAtEverySplit(bytes, WireError(.headTooLarge, status: 431)) { parseRequest($0, limits: less) }
    #expect(parseRequest(Array(bytes[..<(bytes.count - 1)]), limits: less).error?.status == 431)
  }

  @Test("one field too many is 431")
  func fields() {
    let limits = HeadLimits(bytes: 1000, fields: 5, target: 20)
    guard case .head(let parsed) = parseRequest(head(fields: 4), limits: limits) else {
      Issue.record("refused")
      return
    }
    #expect(parsed.fields.count == 5)
    expectSameErrorAtEverySplit(head(fields: 5), WireError(.tooManyFields, status: 431)) {
      parseRequest($0, limits: limits)
    }
  }

  @Test("a method without end is 431")
  func method() {
    let limits = HeadLimits(bytes: 64, fields: 5, target: 20)
    expectSameErrorAtEverySplit(Array(repeating: 0x41, count: 70), WireError(.headTooLarge, status: 431)) {
      parseRequest($0, limits: limits)
    }
  }

  @Test("more options in Connection than anybody needs are 400")
  func options() throws {
    func text(_ count: Int) -> String {
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: " + (0..<count).map { "o\($0)" }.joined(separator: ",") + "\r\n\r\n"
    }
    #expect(try request(text(64)).keepsAlive)
    #expect(parseRequest(Array(text(65).utf8)).error == WireError(.forbiddenConnectionOption))
  }

  @Test("skipping the parses that mayComplete advises against changes nothing", arguments: [0, 7, 30])
  func mayComplete(padding: Int) {
    let bytes = head(fields: 3, padding: padding)
    let limits = HeadLimits(bytes: 400, fields: 10, target: 20)
    var seen = 0
    var parses = 0
    for count in 1...bytes.count {
      let prefix = Array(bytes[..<count])
      guard RequestHead.mayComplete(prefix.span, seen: seen, limits: limits) else {
        #expect(parseRequest(prefix, limits: limits).isIncomplete)
        continue
      }
      parses += 1
      #expect(parseRequest(prefix, limits: limits).isIncomplete == (count < bytes.count))
      seen = count
    }
    #expect(parses == bytes.count { $0 == 0x0a })
    let full = Array(repeating: UInt8(0x41), count: limits.bytes)
    let atLimit = RequestHead.mayComplete(full.span, seen: full.count - 1, limits: limits)
    #expect(atLimit)
  }
}
