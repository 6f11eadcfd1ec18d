// README.md against the tests: each line of "What happens when…" has its test, and each such test its line.
import GatewayTesting
import Testing

/// A line of the table, or the comment above a test: what happens, and the test's name.
private struct Promise: Hashable, CustomStringConvertible {
  var what: String
  var test: String
  var description: String { "\(what) (\(test))" }
}

@Suite("README") struct ReadmeTests {
  private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

  /// The table's lines; the test's name stands in a comment at the end of each.
  private static func promised() throws -> [Promise] {
    let text = try #require(GatewayTesting.TemporaryDirectory.read("\(root)/README.md"))
    let section = text.split(separator: "\n").drop { $0 != "## What happens when…" }.dropFirst()
    // The heading and the line below it come first.
    return try section.prefix { !$0.hasPrefix("## ") }.filter { $0.hasPrefix("|") }.dropFirst(2).map { line in
      let cells = line.split(separator: "|").map { trimmed($0) }
      let last = try #require(cells.last)
      let start = try #require(last.firstRange(of: "<!-- "), "\(line) names no test")
      let end = try #require(last.firstRange(of: " -->"))
      #expect(cells.count == 4, "\(line)")
      return Promise(what: cells[0], test: String(last[start.upperBound..<end.lowerBound]))
    }
  }

  /// What the tests say that they show, in a comment `/// What happens when: …` above them.
  private static func shown(in folder: String) throws -> [Promise] {
    var promises: [Promise] = []
    for name in GatewayTesting.TemporaryDirectory.names(in: folder).sorted() where !name.hasPrefix(".") {
      let path = "\(folder)/\(name)"
      if !name.hasSuffix(".swift") {
        // What is no folder has nothing in it.
        promises += try shown(in: path)
        continue
      }
      var what: String?
      var isTest = false
      for line in try #require(GatewayTesting.TemporaryDirectory.read(path)).split(separator: "\n").map({ trimmed($0) })
      {
        if line.hasPrefix("/// What happens when: ") {
          what = String(line.dropFirst("/// What happens when: ".count))
          isTest = false
        }
        if line.hasPrefix("@Test") { isTest = true }
        guard let said = what, let start = line.firstRange(of: "func ") else { continue }
        #expect(isTest, "\(path): no test is below \(said)")
        let test = line[start.upperBound...].prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        promises.append(Promise(what: said, test: String(test)))
        what = nil
      }
    }
    return promises
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text.drop { $0 == " " }
    while text.last == " " { text.removeLast() }
    return String(text)
  }

  @Test("Each failure in the table has a test that says so, and each such test its line in the table")
  func whatHappensWhen() throws {
    let promised = try Self.promised()
    let shown = try Self.shown(in: "\(Self.root)/Tests")
    #expect(promised.count > 40)
    #expect(Set(promised).count == promised.count, "a line stands there twice")
    #expect(Set(shown).count == shown.count, "two tests say the same")
    #expect(Set(promised).subtracting(shown).isEmpty, "lines without a test")
    #expect(Set(shown).subtracting(promised).isEmpty, "tests without a line")
    #expect(Set(promised.map(\.test)).count == promised.count, "a test is named twice")
  }
}
