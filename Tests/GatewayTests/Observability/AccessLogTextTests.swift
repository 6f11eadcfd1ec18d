// What callers send as it stands in the access log: escaped, cut, and without what must not be seen.
import HTTPWire
import Testing

@testable import Gateway

/// A value in a line.
private func rendered(_ style: AccessLogText.Style, _ bytes: [UInt8], limit: Int = 1000) -> String {
  let line = [UInt8](capacity: limit + AccessLogText.overhead) { out in
    var text = AccessLogText(style, limit: limit)
    text.append(bytes.span, into: &out)
  }
  return String(decoding: line, as: UTF8.self)
}

@Suite struct AccessLogTextTests {
  @Test(
    "JSON strings (RFC 8259 §7)",
    arguments: [
      ("/a?b=c d~", "/a?b=c d~"), ("", ""), ("\"", "\\\""), ("a\\b", "a\\\\b"),
      ("\n\r\t\0", "\\u000a\\u000d\\u0009\\u0000"),
      ("\u{7f}", "\\u007f"), ("\u{1b}[2J", "\\u001b[2J"), ("Việt", "Việt"), ("\u{85}", "\\u0085"),
      ("\u{9f}\u{a0}", "\\u009f\u{a0}"),
      ("😀", "😀"), ("\"\"", "\\\"\\\""),
    ])
  func json(input: String, expected: String) { #expect(rendered(.json, Array(input.utf8)) == expected) }

  @Test(
    "Bytes that are no UTF-8 (Unicode, table 3-7)",
    arguments: [
      ([0xff], "\\\\xff"), ([0x80, 0x41], "\\\\x80A"), ([0xc0, 0xaf], "\\\\xc0\\\\xaf"), ([0xc3], "\\\\xc3"),
      ([0xe0, 0x80, 0xaf], "\\\\xe0\\\\x80\\\\xaf"), ([0xed, 0xa0, 0x80], "\\\\xed\\\\xa0\\\\x80"),
      ([0xf4, 0x90, 0x80, 0x80], "\\\\xf4\\\\x90\\\\x80\\\\x80"), ([0xf0, 0x9f, 0x98], "\\\\xf0\\\\x9f\\\\x98"),
      ([0xe1, 0xa0, 0x22], "\\\\xe1\\\\xa0\\\""), ([0xf5, 0x80, 0x80, 0x80], "\\\\xf5\\\\x80\\\\x80\\\\x80"),
    ] as [([UInt8], String)])
  func notUTF8(input: [UInt8], expected: String) { #expect(rendered(.json, input) == expected) }

  @Test(
    "Combined lines, as nginx escapes them",
    arguments: [
      ("a b", "a b"), ("a\"b\\c", "a\\x22b\\x5cc"), ("\n", "\\x0a"), ("é", "\\xc3\\xa9"), ("\u{7f}", "\\x7f"),
    ])
  func plain(input: String, expected: String) { #expect(rendered(.plain, Array(input.utf8)) == expected) }

  @Test func aValueThatIsTooLongIsCutBetweenCharacters() {
    #expect(rendered(.json, Array("abcdef".utf8), limit: 6) == "abcdef")
    #expect(rendered(.json, Array("abcdef".utf8), limit: 5) == "abcde...")
    #expect(rendered(.json, Array("abcd\"ef".utf8), limit: 5) == "abcd...")
    #expect(rendered(.json, Array("aéé".utf8), limit: 4) == "aé...")
    #expect(rendered(.plain, Array("ab\n".utf8), limit: 5) == "ab...")
    #expect(rendered(.json, [UInt8](repeating: 0, count: 100), limit: 13) == "\\u0000\\u0000...")
  }

  /// Every byte, alone and between others, gives a string that a strict reader takes, on one line.
  @Test func everyByteGivesAWholeJSONString() throws {
    for byte in UInt8.min ... .max {
      for input in [[byte], [0x41, byte, 0x41], [0xc3, byte], [byte, 0xa9]] {
        let line = "\"\(rendered(.json, input))\""
        #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }, "\(input)")
        #expect(JSONString.isValid(line), "\(input): \(line)")
        let plain = rendered(.plain, input)
        #expect(plain.utf8.allSatisfy { (0x20..<0x7f).contains($0) && $0 != 0x22 }, "\(input)")
      }
    }
  }

  // MARK: Redaction

  private func redacted(_ input: String, _ names: [String] = ["token", "access_token"]) -> String {
    let line = [UInt8](capacity: 2000) { out in
      var text = AccessLogText(.json, limit: 1000)
      AccessLogRedaction(names).append(Array(input.utf8).span, text: &text, into: &out)
    }
    return String(decoding: line, as: UTF8.self)
  }

  @Test(
    "Values of listed parameters",
    arguments: [
      ("?token=hush", "?token=REDACTED"), ("?a=1&token=hush&b=2", "?a=1&token=REDACTED&b=2"),
      ("?token=hush;b=2", "?token=REDACTED;b=2"),
      ("?access_token=hush&token=hush", "?access_token=REDACTED&token=REDACTED"),
      ("?TOKEN=hush", "?TOKEN=REDACTED"), ("?%74oken=hush", "?%74oken=REDACTED"),
      ("?%54OKEN=hush", "?%54OKEN=REDACTED"),
      ("?token%3Dhush", "?token=REDACTED"), ("?token%3dhush&x", "?token=REDACTED&x"),
      ("?token[]=hush", "?token=REDACTED"),
      ("?token%5B0%5D=hush", "?token=REDACTED"), ("?a?token=hush", "?a?token=REDACTED"), ("?token=", "?token=REDACTED"),
      ("?token=hush=hush&token=hush", "?token=REDACTED&token=REDACTED"), ("?a#token=hush", "?a#token=REDACTED"),
      ("https://x.example/p?token=hush", "https://x.example/p?token=REDACTED"),
      ("?token=hush%26more", "?token=REDACTED"),
    ])
  func redaction(input: String, expected: String) {
    #expect(redacted(input) == expected)
    #expect(!redacted(input).contains("hush"))
  }

  @Test(
    "Everything else stays",
    arguments: [
      "?tokens=a", "?atoken=a", "?toke=a", "?token", "?token&a=b", "/token=a;token=b", "?a=token=b", "?", "?&&",
      "?%74oken",
      "?token_=a", "?%7", "?%zz=1", "?tok%65",
    ])
  func noRedaction(input: String) { #expect(redacted(input) == input) }

  @Test func withoutNamesNothingIsLeftOut() { #expect(redacted("?token=a", []) == "?token=a") }

  @Test func namesMayHaveAnyBytes() {
    #expect(
      redacted("?my+key=hush&my%20KEY=hush&my+keys=1", ["My Key"]) == "?my+key=REDACTED&my%20KEY=REDACTED&my+keys=1")
  }
}
