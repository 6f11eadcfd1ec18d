// What TokenKit offers to all providers: form encoding, token syntax, trimming, quoting.
import Testing
import TokenKit

@Suite struct ProviderSupportTests {
  @Test func formEncoding() {
    #expect(FormEncoding.encode([("a b", "c&d=e"), ("é", "")]) == "a+b=c%26d%3De&%C3%A9=")
    #expect(FormEncoding.escape("AZaz09*-._~+/\r\n\u{0}") == "AZaz09*-._%7E%2B%2F%0D%0A%00")
    let all = String(decoding: 0...127, as: UTF8.self) + "é🙂"
    #expect(FormEncoding.decode(FormEncoding.encode([(all, all)]).utf8)?.first ?? ("", "") == (all, all))
  }

  @Test(
    "what is not a form",
    arguments: ["", "&", "a", "=a", "a&b=c", "a=%", "a=%2", "a=%zz", "a=b c", "a=b\n", "a=é", "a=%ff", "<a b=c>"])
  func notAForm(text: String) {
    #expect(FormEncoding.decode(text.utf8) == nil)
  }

  @Test(
    "RFC 6750 §2.1 b64token",
    arguments: [
      ("a", true), ("AZaz09-._~+/", true), ("a==", true), ("a=a", false), ("=", false), ("", false), ("a b", false),
      ("a,b", false), ("a\r", false), ("é", false), ("a\u{0}", false), (String(repeating: "a", count: 16384), true),
      (String(repeating: "a", count: 16384) + "=", false),
    ])
  func bearerToken(text: String, expected: Bool) {
    #expect(TokenRules.isBearerToken(text) == expected)
  }

  @Test("RFC 6749 A.12 and A.17: printable ASCII") func opaqueTokens() {
    for byte: UInt8 in 0...127 {
      let text = "a\(String(decoding: [byte], as: UTF8.self))b"
      #expect(TokenRules.isOpaqueAccessToken(text) == (0x20...0x7e).contains(byte))
      #expect(TokenRules.isRefreshToken(text) == (0x20...0x7e).contains(byte))
    }
    #expect(!TokenRules.isOpaqueAccessToken("") && !TokenRules.isRefreshToken(""))
    #expect(
      !TokenRules.isOpaqueAccessToken(" a") && !TokenRules.isOpaqueAccessToken("a ") && TokenRules.isRefreshToken(" a ")
    )
    #expect(!TokenRules.isOpaqueAccessToken("é") && !TokenRules.isRefreshToken("é"))
  }

  @Test(
    "RFC 6749 A.4 scope",
    arguments: [
      ("a", true), ("a b", true), ("https://x/y:z!#", true), ("", false), (" a", false), ("a ", false), ("a  b", false),
      ("a\"", false), ("a\\", false), ("a\tb", false), ("é", false),
    ])
  func scope(text: String, expected: Bool) {
    #expect(TokenRules.isScope(text) == expected)
  }

  @Test func trimming() {
    for (text, expected) in [
      ("", ""), (" \t\r\n", ""), ("\u{feff} {} \n", "{}"), (" \u{feff}{}", "{}"), ("a b", "a b"),
    ] {
      #expect(String(decoding: ReplyBody.trimmed(Array(text.utf8)), as: UTF8.self) == expected)
    }
  }

  @Test("JSON quoting reads back as the same text") func quoting() {
    #expect(JSONReply.quoted("a\"\\/\n\u{1f}\u{7f}é") == "\"a\\\"\\\\/\\u000a\\u001f\u{7f}é\"")
    let all = String(decoding: 0...127, as: UTF8.self) + "é🙂\u{2028}"
    let text = "{\"a\":\(JSONReply.quoted(all))}"
    #expect(JSONReply.decode([String: JSONScalar].self, from: Array(text.utf8)[...]) == ["a": .string(all)])
  }
}
