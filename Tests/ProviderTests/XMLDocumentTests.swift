// The XML reader over expat: what it reads, and its bounds.
@testable import MisaCukcukProvider
import Testing

@Suite struct XMLDocumentTests {
  private func parse(_ text: String) -> XMLDocument? { XMLDocument.parse(Array(text.utf8)[...]) }

  @Test func tree() {
    let document = parse("<a x='1'>t<b:c xmlns:b='u'>&lt;&#233;</b:c>u<d/></a>")
    #expect(
      document
        == XMLDocument(
          name: "a", text: "tu",
          children: [
            XMLDocument(name: "c", text: "<é", children: []), XMLDocument(name: "d", text: "", children: []),
          ]))
    #expect(document?.child("d") != nil && document?.child("x") == nil)
  }

  @Test(
    "no document type, hence no entities of its own and no files",
    arguments: [
      "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
      "<?xml version='1.0'?>\n<!-- c --><!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/'>%p;]><a/>",
    ])
  func documentType(text: String) {
    #expect(parse(text) == nil)
  }

  @Test(
    "not well-formed",
    arguments: [
      "", " ", "text", "<a>", "<a></b>", "<a/><b/>", "<a/>text", "<a b></a>", "<a b='1' b='2'/>", "<a>&x;</a>",
      "<a>&#0;</a>",
      "<a>\u{0}</a>", "<a>\u{1}</a>", "<a", "<a>]]></a>", "<?xml version='1.0' encoding='x-unknown'?><a/>",
    ])
  func malformed(text: String) {
    #expect(parse(text) == nil)
  }

  @Test func notUTF8() {
    #expect(XMLDocument.parse([0x3c, 0x61, 0x3e, 0xff, 0x3c, 0x2f, 0x61, 0x3e]) == nil)
  }

  @Test func depthIsBounded() {
    func nested(_ depth: Int) -> XMLDocument? {
      parse(String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth))
    }
    #expect(nested(XMLDocument.maximumDepth) != nil)
    #expect(nested(XMLDocument.maximumDepth + 1) == nil)
    #expect(nested(100_000) == nil)
  }

  @Test func elementsAreBounded() {
    func flat(_ count: Int) -> XMLDocument? { parse("<a>" + String(repeating: "<b/>", count: count - 1) + "</a>") }
    #expect(flat(XMLDocument.maximumElements)?.children.count == XMLDocument.maximumElements - 1)
    #expect(flat(XMLDocument.maximumElements + 1) == nil)
  }

  @Test func sizeIsBounded() {
    func long(_ bytes: Int) -> XMLDocument? { parse("<a>" + String(repeating: "x", count: bytes - 7) + "</a>") }
    #expect(long(XMLDocument.maximumBytes)?.text.utf8.count == XMLDocument.maximumBytes - 7)
    #expect(long(XMLDocument.maximumBytes + 1) == nil)
  }

  @Test("every cut of a document is refused") func cuts() {
    let text = Array("<?xml version='1.0'?><a x='é'>t<b:c xmlns:b='u'>&lt;&#233;</b:c>é<d/></a>".utf8)
    for length in text.indices { #expect(XMLDocument.parse(text[..<length]) == nil, "\(length) bytes") }
    #expect(XMLDocument.parse(text[...]) != nil)
  }
}
