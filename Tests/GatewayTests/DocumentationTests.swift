// The pages under docs/ against what they are about: code, tests, keys, figures, links.
import GatewayTesting
import Testing

@Suite struct DocumentationTests {
  private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

  private static func read(_ path: String) throws -> String {
    try #require(GatewayTesting.TemporaryDirectory.read("\(root)/\(path)"), "there is no \(path)")
  }

  private static func lines(_ path: String) throws -> [Substring] {
    try read(path).split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// The cells of a table's lines, without its head.
  private static func rows(_ lines: some Sequence<Substring>) -> [[String]] {
    var rows: [[String]] = []
    var isInTable = false
    for line in lines {
      guard line.hasPrefix("| ") else {
        isInTable = false
        continue
      }
      if line.hasPrefix("| ---") {
        isInTable = true
      } else if isInTable {
        let cells = line.dropFirst(2).split(separator: " | ", omittingEmptySubsequences: false)
        rows.append(cells.map { String($0).replacing(" |", with: "") })
      }
    }
    return rows
  }

  /// What stands in `code`.
  private static func quoted(_ text: String) -> [String] {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }.map {
      String($0.element)
    }
  }

  @Test func theCodeInThePagesIsThatOfTheFiles() throws {
    let text = try Self.read("docs/adding-a-provider.md")
    let parts = text.components(of: "<!-- ").dropFirst()
    for part in parts {
      let end = try #require(part.firstRange(of: " -->\n```swift\n"))
      let name = String(part[..<end.lowerBound])
      let code = try #require(part[end.upperBound...].components(of: "\n```\n").first)
      #expect(String(code) + "\n" == (try Self.read(name)), "the page has another \(name)")
    }
    #expect(parts.count == 2)
  }

  @Test func theThreatModelNamesTestsThatThereAre() throws {
    let tests = try Self.tests(in: "Tests")
    let rows = try Self.rows(Self.lines("docs/threat-model.md")).filter { $0.count == 3 && !$0[1].isEmpty }
    var named: Set<String> = []
    for row in rows where row[0] != "refresh tokens" && !Self.quoted(row[2]).isEmpty {
      for name in Self.quoted(row[2]) {
        #expect(tests.contains(name), "no test is named \(name)")
        named.insert(name)
      }
    }
    #expect(named.count > 45, "\(named.count)")
  }

  /// Functions below `@Test`.
  private static func tests(in folder: String) throws -> Set<String> {
    var found: Set<String> = []
    for name in GatewayTesting.TemporaryDirectory.names(in: "\(root)/\(folder)") where !name.hasPrefix(".") {
      if !name.hasSuffix(".swift") {
        found.formUnion(try tests(in: "\(folder)/\(name)"))
        continue
      }
      var isTest = false
      for line in try lines("\(folder)/\(name)") {
        if line.contains("@Test") { isTest = true }
        guard isTest, let start = line.firstRange(of: "func ") else { continue }
        found.insert(String(line[start.upperBound...].prefix { $0.isLetter || $0.isNumber || $0 == "_" }))
        isTest = false
      }
    }
    return found
  }

  @Test func theKeysOfTheTuningPageAreThoseOfTheGateway() throws {
    let keys = try Self.keys()
    let groups = Set(keys.compactMap { $0.contains(".") ? $0.split(separator: ".").first : nil })
    let page = try Self.lines("docs/tuning.md")
    var seen = 0
    for row in Self.rows(page) where row.count == 2 && row[0].hasPrefix("`") {
      for key in Self.quoted(row[0]) {
        #expect(keys.contains(key), "there is no key \(key)")
        seen += 1
      }
    }
    #expect(seen > 20)
    for line in page {
      for word in Self.quoted(String(line)) where word.allSatisfy({ $0.isLowercase || "_.[]".contains($0) }) {
        guard word.contains("."), groups.contains(word.prefix { $0 != "." }) else { continue }
        #expect(keys.contains(word), "there is no key \(word)")
      }
    }
  }

  /// `timeouts.idle`, `workers`, and for credentials `refresh_at`: by the page that a test compares with the parser.
  private static func keys() throws -> Set<String> {
    var keys: Set<String> = []
    var prefix = ""
    for line in try lines("docs/configuration.md") {
      if line.hasPrefix("## ") {
        let object = quoted(String(line)).first ?? ""
        prefix = object.isEmpty || object.hasPrefix("credentials") ? "" : object + "."
        keys.insert(object)
      } else if line.hasPrefix("| `") {
        keys.insert(prefix + (quoted(String(line)).first ?? ""))
      }
    }
    return keys
  }

  /// Figures drift from run to run; these are rounded.
  @Test func theCapacityIsWhatTheBenchmarkHasMeasured() throws {
    let figures = Self.rows(try Self.lines("README.md")).filter { $0.count == 6 }
    func microseconds(_ text: String) throws -> Double {
      let words = text.split(separator: " ")
      let value = try #require(words.first.flatMap { Double($0) }, "\(text)")
      return words.last == "ms" ? value * 1000 : value
    }
    var compared = 0
    for row in Self.rows(try Self.lines("docs/tuning.md")) where row.count == 4 {
      let measured = try #require(figures.first { $0[0] == row[0] }, "README.md has no \(row[0])")
      let (ours, theirs) = (try microseconds(row[1]), try microseconds(measured[1]))
      #expect(abs(ours - theirs) <= theirs * 0.3, "\(row[0]): \(row[1]), README.md says \(measured[1])")
      let perSecond = try #require(Double(row[2].replacing(",", with: "").prefix { $0.isNumber }))
      #expect(abs(perSecond - 1_000_000 / ours) <= 0.1 * perSecond, "\(row[0]): \(row[2])")
      let planned = try #require(Double(row[3].replacing(",", with: "")))
      #expect(planned <= perSecond / 2)
      compared += 1
    }
    #expect(compared == 7)
  }

  @Test func linksLeadSomewhere() throws {
    let pages = GatewayTesting.TemporaryDirectory.names(in: "\(Self.root)/docs").filter { $0.hasSuffix(".md") }
    let readme = try Self.read("README.md")
    #expect(pages.count >= 4)
    for page in pages { #expect(readme.contains("](docs/\(page))"), "README.md does not link docs/\(page)") }
    for (folder, name) in pages.map({ ("docs/", $0) }) + [("", "README.md")] {
      for part in try Self.read(folder + name).components(of: "](").dropFirst() {
        let target = String(part.prefix { $0 != ")" })
        if target.contains("://") { continue }
        let words = target.split(separator: "#", omittingEmptySubsequences: false)
        let file = words[0].isEmpty ? name : String(words[0])
        let text = try Self.read(file.hasPrefix("../") ? String(file.dropFirst(3)) : folder + file)
        guard words.count > 1 else { continue }
        let headings = text.split(separator: "\n").filter { $0.hasPrefix("#") }.map { line in
          line.drop { $0 == "#" || $0 == " " }.lowercased().replacing(" ", with: "-").filter {
            $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_"
          }
        }
        #expect(headings.contains(String(words[1])), "\(name): no heading for \(target)")
      }
    }
  }
}

extension StringProtocol {
  /// The parts between a text.
  fileprivate func components(of text: String) -> [SubSequence] {
    var parts: [SubSequence] = []
    var rest = self[...]
    while let found = rest.firstRange(of: text) {
      parts.append(rest[..<found.lowerBound])
      rest = rest[found.upperBound...]
    }
    return parts + [rest]
  }
}
