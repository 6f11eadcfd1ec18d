// What people see below an error: the line, the mark, the help; and what they must not see.
import Gateway
import Testing
import TokenKit

@Suite("Configuration: quoted lines") struct SourceQuoteTests {
  /// The excerpts of what is wrong with a text.
  private func quotes(_ bytes: [UInt8]) -> [(problem: SettingsProblem, lines: [String])] {
    let result = ConfigurationLoader.read(
      bytes, directory: "/nonexistent", registry: Good.registry, environment: Good.environment)
    return result.all.filter { $0.severity == .error }.map { ($0, $0.excerpt) }
  }

  private func quotes(_ text: String) -> [(problem: SettingsProblem, lines: [String])] { quotes(Array(text.utf8)) }

  /// A file whose `workers` is wrong, with something before it on the line.
  private func file(_ before: String, end: String = "") -> String {
    "{ \"routes\": [], \"listeners\": [],\n\(before)\"workers\": \"x\"\(end) }"
  }

  @Test(
    "The mark stands below the column",
    arguments: [
      // Text before the key on its line, and what is before the mark.
      ("", ""), ("  ", "  "), ("\t", "    "), ("\t \t", "         "), ("\"via\": null, ", "             "),
      ("\"é\": 1, ", "        "), ("\"e\u{301}\": 1, ", "        "), ("\"日本\": 1, ", "           "),
    ])
  func mark(_ before: String, _ margin: String) throws {
    let quote = try #require(quotes(file(before)).first { $0.problem.path == "workers" })
    let shown = before.replacing("\t", with: "    ").replacing(": 1,", with: ": …,")
    #expect(quote.lines.first == "    2 | \(shown)\"workers\": \"x\" }")
    #expect(quote.lines.dropFirst().first == "      | \(margin)^")
    #expect(quote.lines.last?.hasPrefix("      = workers: whole number from 1 to 1024") == true)
    #expect(quote.problem.position?.column == before.unicodeScalars.count + 1, "columns are characters")
  }

  @Test(
    "Bytes that stand nowhere in JSON: the rest of the file is still read, and shows no secret",
    .timeLimit(.minutes(5)),
    arguments: ["{ \"via\": #", "{ \"via\": \"#", "{ #", "{ \"#", "#{ ", "{ \"via\": \"\\#", "{ \"via\" 1 #"])
  func bytesThatStandNowhere(_ before: String) throws {
    // With the byte at the end the file is not UTF-8, which is said before the rest of it is looked at.
    let (head, tail) = (before + "\"shown\", \"client_secret\": ", "\"hidden-value\" }\n")
    for byte in UInt8.min...UInt8.max {
      let bytes = head.utf8.flatMap { character -> [UInt8] in
        character == UInt8(ascii: "#") ? [byte, byte] : [character]
      }
      let text = bytes + tail.utf8 + [0xff]
      for quote in quotes(text) { #expect(!quote.lines.joined().contains("hidden-value"), "byte \(byte)") }
    }
  }

  @Test("Ends of lines", arguments: ["\n", "\r\n"])
  func endsOfLines(_ end: String) throws {
    for last in ["", end] {
      let text = "\u{feff}" + file("", end: "").replacing("\n", with: end) + last
      let quote = try #require(quotes(text).first { $0.problem.path == "workers" })
      #expect(quote.problem.position == SettingsPosition(line: 2, column: 1))
      #expect(quote.lines.prefix(2) == ["    2 | \"workers\": \"x\" }", "      | ^"])
    }
  }

  @Test func theFirstLineOfAFileWithAMark() throws {
    let quote = try #require(quotes("\u{feff}{ \"workers\": 0 }").first { $0.problem.path == "workers" })
    #expect(quote.lines.prefix(2) == ["    1 | { \"workers\": 0 }", "      |   ^"])
  }

  @Test("Long lines are cut around the column", arguments: [0, 5000])
  func longLines(_ behind: Int) throws {
    let texts = (0..<5000).map { "\"\($0)é\"" }.joined(separator: ",")
    let text =
      "{ \"log\": { \"redact\": [\(texts)] }, \"workers\": \"x\""
      + String(repeating: " ", count: behind) + ", \"routes\": [], \"listeners\": [] }"
    let quote = try #require(quotes(text).first { $0.problem.path == "workers" })
    let line = try #require(quote.lines.first)
    #expect(line.unicodeScalars.count < 130 && line.hasPrefix("    1 | … "), "\(line)")
    let mark = try #require(quote.lines.dropFirst().first)
    let at = mark.unicodeScalars.count - 1
    #expect(String(String.UnicodeScalarView(line.unicodeScalars.dropFirst(at))).hasPrefix("\"workers\""), "\(line)")
  }

  @Test func whatStandsBehindTheEndIsMarkedBehindIt() throws {
    let quote = try #require(quotes("{ \"workers\": 1").first)
    #expect(quote.lines.prefix(2) == ["    1 | { \"workers\": 1", "      |               ^"])
  }

  @Test func emptyFilesHaveNoLine() {
    for text in ["", "\u{feff}", "\n"] { #expect(quotes(text).map(\.lines) == [[]], "\(text.debugDescription)") }
  }

  @Test func bytesThatAreNoTextArePlaced() throws {
    let quote = try #require(quotes(Array("{\n \"é\": \"".utf8) + [0xff] + Array("hunter2\" }".utf8)).first)
    #expect(quote.problem.position == SettingsPosition(line: 2, column: 8))
    #expect(!quote.lines.joined().contains("hunter"))
  }

  @Test("Unknown keys name those that there are, or the nearest")
  func unknownKeys() throws {
    let text = try Good.changed([("\"connect\": \"5s\"", "\"zzz\": 1, \"conect\": \"5s\"")])
    let found = quotes(text)
    #expect(
      found.first { $0.problem.path == "timeouts.zzz" }?.lines.last?.contains("= keys here: request_head, ") == true)
    #expect(found.first { $0.problem.path == "timeouts.conect" }?.lines.count == 2)
  }

  /// Each has `hunter2`, where a secret stands or may stand.
  @Test(
    "Secrets are not shown",
    arguments: [
      // Correct, on a line with an error.
      #""refresh_token": { "value": "hunter2" }, "zzz": 1"#,
      #""zzz": 1, "client_secret": { "value": "hunter2" }"#,
      #""zzz": 1, "extra_headers": { "X-Api-Key": "hunter2" }"#,
      #""zzz": 1, "extra_headers": { "X-Api-Key": { "value": "hunter2" } }"#,
      // Wrong in itself.
      #""client_secret": "hunter2""#, #""client_secret": ["hunter2"]"#, #""client_secret": { "valeu": "hunter2" }"#,
      #""client_secret": { "value": ["hunter2"] }"#, #""client_secret": { "value": { "x": "hunter2" } }"#,
      #""client_secret": { "env": "SEED_A", "value": "hunter2" }"#, #""client_secrt": "hunter2""#,
      #""client_secrt": { "value": "hunter2" }"#, #""password": "hunter2""#, #""x": [{ "y": "hunter2" }]"#,
      #""client_id": ["hunter2"]"#, #""client_id": { "value": "hunter2" }"#, #""client_\u0073ecret": "hunter2""#,
      #""token_url": "https://user:hunter2@host""#, #""proxy": "https://host/?key=hunter2""#,
      #""client_secret": { "value": 12345, "hunter": "hunter2" }"#,
      #""client_secret": { "value": "\"hunter2" }, "zzz": 1"#,
      // Not JSON.
      #""client_secret": { "value": "hunter2 }"#, #""client_secret": { "value: "hunter2" }"#,
      #""client_secret": { "value": hunter2 }"#, #""client_secret": { value: "hunter2" }"#,
      #""client_secret": { 'value': 'hunter2' }"#, #""client_secret": { "value" "hunter2" }"#,
      #""client_secret": { "value": "x"hunter2" }"#, #""client_secret": { "value": "\hunter2" }"#,
      #""client_secret": { "value": "hunter2\q" }"#, #""client_secret": { "value": "hunter2" "#,
      #""client_secret": { "value": "hunter2", }"#, #""client_secret": "hunter2" "#, #"client_secret: hunter2"#,
      #""client_secret" = "hunter2""#, "\"client_secret\": { \"value\": \"hunter2\t\" }",
      "\"client_secret\": { \"value\": \"hun\tter2 hunter2\" }", #""client_secret": { "value": "hunter2"; }"#,
      #""client_secret": { // hunter2"#, #""client_secret": { "value": hunter2:hunter2,hunter2 }"#,
    ])
  func secretsAreHidden(_ member: String) throws {
    let text = try Good.changed([("\"client_id\": \"app\",\n      \"refresh_token\": { \"env\": \"SEED_A\" }", member)])
    let result = ConfigurationLoader.read(
      Array(text.utf8), directory: "/nonexistent", registry: Good.registry, environment: Good.environment)
    let report = ProblemReport.excerpts(result.all, file: "f")
    #expect(report.contains { $0.contains(" | ") })
    #expect(!report.joined(separator: "\n").contains("hunter2"), "\(report.joined(separator: "\n"))")
  }

  @Test func whereASecretIsCanBeShown() throws {
    let text = try Good.changed([("\"SEED_A\"", "\"NOT_THERE\"")])
    let quote = try #require(quotes(text).first)
    #expect(quote.lines.first?.contains("\"refresh_token\": { \"env\": \"NOT_THERE\" }") == true)
  }

  @Test func problemsStandInTheOrderOfTheFile() throws {
    let text = try Good.changed([("\"workers\": 2", "\"workers\": 0"), ("\"headers\": 100", "\"headers\": 0")])
    #expect(quotes(text).map(\.problem.path) == ["workers", "limits.headers"])
    let missing = quotes("{ \"workers\": 0 }")
    #expect(missing.map { $0.problem.position?.line } == [1, 1, 1])
  }
}
