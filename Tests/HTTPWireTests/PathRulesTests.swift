// The normal form of paths and what is refused (HTTP-RULES.md, "Paths").
import HTTPWire
import Testing

@Suite("Path rules")
struct PathRulesTests {
  private func normalForm(_ path: String) -> Result<String, WireError> {
    let bytes = Array(path.utf8)
    do throws(WireError) {
      let form = try written(capacity: bytes.count) { out throws(WireError) in
        try PathRules.normalForm(of: bytes.span, into: &out)
      }
      return .success(String(decoding: form, as: UTF8.self))
    } catch {
      return .failure(error)
    }
  }

  private func isPlain(_ path: String) -> Bool {
    let bytes = Array(path.utf8)
    return PathRules.isPlain(bytes.span)
  }

  static let forms: [(path: String, form: String)] = [
    ("/", "/"), ("/a", "/a"), ("/a/", "/a/"), ("/a/b.c", "/a/b.c"), ("*", "*"),
    // Percent-decoded twice.
    ("/a%20b", "/a b"), ("/%41", "/A"), ("/%2541", "/A"), ("/%25%34%31", "/A"), ("/%%34%31", "/A"),
    ("/group%2Fproject", "/group/project"), ("/@scope%2fpkg", "/@scope/pkg"), ("/a%252fb", "/a/b"),
    ("/%e2%82%ac", "/\u{20ac}"),
    // Three rounds are not undone.
    ("/%252541", "/%41"), ("/%25252e%25252e/", "/%2e%2e/"),
    // Malformed triplets stand for themselves.
    ("/100%", "/100%"), ("/%zz", "/%zz"), ("/%4", "/%4"), ("/%%", "/%%"), ("/a%b", "/a%b"), ("/%25zz", "/%zz"),
    // `\` is `/`.
    ("/a\\b", "/a/b"), ("/a%5cb", "/a/b"), ("/a\\", "/a/"),
    // Parameters of a segment.
    ("/a;x=y/b;z", "/a/b"), ("/a%3bx/b", "/a/b"), ("/a;x;y=/..;b/".replacing("/..;b", with: "/c"), "/a/c/"),
    ("/a/;x/b", "/a/b"), ("/;x", "/"), ("/a;%2fb", "/a/b"),
    // Slashes merged, dots resolved.
    ("/a//b", "/a/b"), ("/a/%2fb", "/a/b"), ("/a//", "/a/"), ("/a/\\/b", "/a/b"), ("/a/./b", "/a/b"), ("/./a", "/a"),
    ("/a/.", "/a/"), ("/.", "/"), ("/./", "/"), ("/a/%2e/b", "/a/b"), ("/a/.;x/b", "/a/b"), ("/a/%252e", "/a/"),
    // These are names.
    ("/...", "/..."), ("/.a", "/.a"), ("/..a", "/..a"), ("/a..", "/a.."), ("/.well-known/x", "/.well-known/x"),
  ]

  @Test("normal form", arguments: forms)
  func form(_ row: (path: String, form: String)) {
    #expect(normalForm(row.path) == .success(row.form))
    if isPlain(row.path) { #expect(row.path == row.form) }
  }

  static let refusals: [(rule: String, paths: [String])] = [
    ("control bytes", ["/a%0ab", "/a%0d%0ab", "/%1f", "/%7f", "/%250a", "/%25%30%61", "/a\tb", "/a;%0a"]),
    ("%00", ["/%00", "/a%00.png", "/%2500", "/..%00/"]),
    (
      "any .. segment in any spelling",
      [
        "/..", "/../a", "/a/..", "/a/../b", "/%2e%2e/a", "/.%2e/", "/%2E./", "/a/%252e%252e/b", "/%25%32%65%2e",
        "/%%32%65%%32%65/a", "/a\\..\\b", "/a%5c..%5cb", "/a/..%2fb", "/a%2f..", "/a/..;/b", "/a/..;x=y", "/a/..%3b/b",
        "/a/.%2e;x/b", "/a/%2e%2e%252fb", "/a//../b",
      ]
    ),
    (
      "overlong UTF-8 for dot and slash",
      ["/%c0%ae%c0%ae/a", "/%c0%af", "/%c1%9c", "/%e0%80%ae", "/%f0%80%80%ae", "/%25c0%25ae", "/..%c0%af"]
    ),
    ("%u", ["/%u002e%u002e/", "/%U002e", "/%25u002e", "/%25%75002e"]),
    (
      "// at the start",
      [
        "//", "//a", "///a", "/\\a", "/%2fa", "/%5ca", "/%252fa", "/.//a", "/./%2fa", "/;x/a", "/;x//a", "\\\\a",
        "//../a",
      ]
    ),
    ("no path at all", ["", "a", "a/b", "?", "**", "*a"]),
  ]

  @Test("is refused", arguments: refusals)
  func refused(_ row: (rule: String, paths: [String])) {
    for path in row.paths {
      #expect(normalForm(path) == .failure(WireError(.ambiguousPath)), "\(path)")
      #expect(!isPlain(path), "\(path)")
    }
  }

  @Test("plain paths need no normal form")
  func plain() {
    for path in ["/", "/a", "/a/b/", "/a.b/c..d/~e", "/a=b&c@d:e"] { #expect(isPlain(path), "\(path)") }
    for path in ["/a%20", "/a;b", "/a\\b", "/a//b", "/a/.b", "*", "/\u{e9}", "/a b"] {
      #expect(!isPlain(path), "\(path)")
    }
  }

  @Test("a plain path is its own normal form, and no form has a .., // or . segment", arguments: 0..<300)
  func property(seed: Int) {
    var random = SeededGenerator(seed: UInt64(seed))
    let parts = ["/", ".", "..", "a", "%2e", "%2f", "%25", "2e", ";", "\\", "b", "%5c", "%3b", "//", "%", "/a", "/b"]
    var path = "/"
    for _ in 0..<Int.random(in: 0...8, using: &random) { path += parts.randomElement(using: &random) ?? "" }
    guard case .success(let form) = normalForm(path) else {
      #expect(!isPlain(path), "\(path)")
      return
    }
    if isPlain(path) { #expect(form == path) }
    #expect(form.hasPrefix("/") && !form.contains("//"), "\(path) → \(form)")
    let segments = form.split(separator: "/")
    #expect(!segments.contains("..") && !segments.contains("."), "\(path) → \(form)")
  }

  @Test("a check leaves nothing behind")
  func check() throws {
    let good = Array("/a%2fb".utf8)
    let bad = Array("/vinid/..".utf8)
    let bytes = try written(capacity: 20) { out throws(WireError) in
      out.append(0x78)
      try PathRules.check(good.span, scratch: &out)
      let count = out.count
      #expect(count == 1)
      #expect(throws: WireError(.ambiguousPath)) {
        _ = try written(capacity: 20) { out throws(WireError) in try PathRules.check(bad.span, scratch: &out) }
      }
    }
    #expect(bytes == [0x78])
  }
}
