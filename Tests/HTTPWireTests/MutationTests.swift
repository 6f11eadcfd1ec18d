// Damaged input: whatever a byte is changed to, the parsers answer the same however the input is cut, and never trap.
import HTTPWire
import Testing

@Suite("Damaged input")
struct MutationTests {
  private static let requestText = """
    POST http://example.com:80/a/b;c?d=e HTTP/1.1\r\nHost: example.com:80\r\nConnection: close, x-a\r\nX-A: "b, \\"c"\r\n\
    TE: trailers\r\nContent-Length: 12\r\nExpect: 100-continue\r\nX_B: \u{e9}\r\nUser-Agent: something long enough for words\r\n\r\n
    """
  private static let chunkedText = """
    POST / HTTP/1.0\r\nHost: [::1]:8080\r\nTransfer-Encoding: gzip;a="b, c", chunked\r\nConnection: keep-alive\r\n\r\n
    """
  private static let responseText = """
    HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=9\r\nConnection: keep-alive, x\r\nX : y\r\nTransfer-Encoding: chunked\r\n\r\n
    """
  private static let interesting = Array("\r\n\t :;,\"\\0_%#?/@[]\u{0}\u{b}\u{7f}".utf8) + [0x80, 0xff]

  private func damaged(_ text: String, _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = Array(text.utf8)
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let position = Int.random(in: 0..<bytes.count, using: &random)
      let byte = Self.interesting.randomElement(using: &random) ?? 0
      switch Int.random(in: 0..<3, using: &random) {
      case 0: bytes[position] = byte
      case 1: bytes.insert(byte, at: position)
      default: bytes.remove(at: position)
      }
    }
    return bytes
  }

  /// Every prefix is incomplete up to where the whole was settled, and has the same end from there on.
  private func expectConsistency<Head>(_ bytes: [UInt8], count: (Head) -> Int, parse: ([UInt8]) -> Outcome<Head>) {
    switch parse(bytes) {
    case .failed(let error): expectSameErrorAtEverySplit(bytes, error, parse: parse)
    case .incomplete:
      for prefix in 0..<bytes.count { #expect(parse(Array(bytes[..<prefix])).isIncomplete) }
    case .head(let head):
      #expect(count(head) <= bytes.count)
      for prefix in 0..<count(head) { #expect(parse(Array(bytes[..<prefix])).isIncomplete) }
    }
  }

  @Test("request heads", arguments: 0..<400)
  func requests(seed: Int) {
    var random = SeededGenerator(seed: UInt64(seed))
    let bytes = damaged(seed % 2 == 0 ? Self.requestText : Self.chunkedText, &random)
    expectConsistency(bytes, count: { (head: RequestHead) in head.count }, parse: { parseRequest($0) })
    let tight = HeadLimits(bytes: 150, fields: 4, target: 25)
    expectConsistency(bytes, count: { (head: RequestHead) in head.count }, parse: { parseRequest($0, limits: tight) })
  }

  @Test("response heads", arguments: 0..<200)
  func responses(seed: Int) {
    var random = SeededGenerator(seed: UInt64(seed))
    let bytes = damaged(Self.responseText, &random)
    expectConsistency(bytes, count: { (head: ResponseHead) in head.count }, parse: { parseResponse($0) })
  }

  @Test("values are judged byte by byte, wherever in a word a byte falls", arguments: 0..<24)
  func words(offset: Int) {
    for byte in UInt8.min...UInt8.max {
      for neighbour in [UInt8(0x20), 0x7e, 0xff] {
        var value = [UInt8](repeating: 0x61, count: 24)
        value[offset] = byte
        if offset > 0 { value[offset - 1] = neighbour }
        if offset < 23 { value[offset + 1] = neighbour }
        let head = Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + value + Array("\r\n\r\n".utf8)
        let isAllowed = byte == 0x09 || (byte >= 0x20 && byte != 0x7f)
        #expect((parseRequest(head).error == nil) == isAllowed, "byte \(byte) at \(offset)")
      }
    }
  }
}
