// The JSON parser of the configuration: places, syntax errors, and the library's decoder as a judge.
import FoundationEssentials
import Testing
import TokenKit

@testable import Gateway

struct JSONTextTests {
  private func parse(_ text: String, _ problems: SettingsProblems = SettingsProblems()) throws -> JSONDocument {
    try JSONText.parse(Array(text.utf8), problems: problems)
  }

  @Test(
    "Syntax errors say where and what",
    arguments: [
      ("", 1, 1, "the file is empty; it must hold a JSON object"),
      ("{", 1, 2, "a key in double quotes was expected, not the end of the file"),
      ("{a:1}", 1, 2, "a key in double quotes was expected, not \"a\""),
      ("{\"a\" 1}", 1, 6, "a colon was expected behind the key, not \"1\""),
      ("{\"a\":}", 1, 6, "a value was expected, not \"}\""),
      ("{\"a\":1 \"b\":2}", 1, 8, "a comma or a closing brace was expected, not \"\"\""),
      ("[1,]", 1, 4, "a comma stands before the closing bracket; take it away"),
      ("[1 2]", 1, 4, "a comma or a closing bracket was expected, not \"2\""),
      ("{}\n{}", 2, 1, "\"{\" stands behind the end of the document"), ("[01]", 1, 3, "a number must not begin with 0"),
      ("[1.]", 1, 4, "a digit was expected, not \"]\""), ("[-]", 1, 3, "a digit was expected, not \"]\""),
      ("[1e999]", 1, 7, "a number is too large"),
      ("[tru]", 1, 2, "a value was expected, not \"t\""), ("[NaN]", 1, 2, "a value was expected, not \"N\""),
      ("[\"\\x\"]", 1, 4, "\\\"x\" is not an escape of JSON"),
      ("[\"\\u12g4\"]", 1, 7, "\\u needs four hexadecimal digits"),
      ("[\"\\ud800\"]", 1, 9, "half of a surrogate pair stands alone"),
      ("[\"a\nb\"]", 1, 4, "a string is not closed on its line"),
      ("[\"a\tb\"]", 1, 4, "a control character stands in a string unescaped"),
      ("[\"é\", x]", 1, 7, "a value was expected, not \"x\""),
      ("[\n  \"a", 2, 3, "the string that begins here is not closed"), ("# x", 1, 1, "JSON has no comments"),
    ])
  func syntaxErrors(_ text: String, _ line: Int, _ column: Int, _ message: String) {
    let expected = JSONText.SyntaxError(message: message, position: SettingsPosition(line: line, column: column))
    #expect(throws: expected) { try parse(text) }
  }

  @Test func notUTF8() {
    #expect(throws: JSONText.SyntaxError.self) {
      try JSONText.parse([0x22, 0xff, 0x22], problems: SettingsProblems())
    }
  }

  @Test func nestingHasABound() throws {
    #expect(throws: Never.self) { try parse(String(repeating: "[", count: 60) + String(repeating: "]", count: 60)) }
    #expect(throws: JSONText.SyntaxError.self) { try parse(String(repeating: "[", count: 100_000)) }
  }

  @Test func repeatedKeysAreReportedAndTheFirstCounts() throws {
    let problems = SettingsProblems()
    let document = try parse("{\n \"a\": {\"b\": 1},\n \"a\": {\"b\": 2, \"c\": 3}\n}", problems)
    #expect(document.value == .object(["a": .object(["b": .number(1)])]))
    #expect(
      problems.all == [
        SettingsProblem(
          path: "a", message: "stands twice in its object, first on line 2",
          position: SettingsPosition(line: 3, column: 2))
      ])
    #expect(document.position(of: "a.b") == SettingsPosition(line: 2, column: 8))
    #expect(document.position(of: "a.c") == SettingsPosition(line: 2, column: 2), "the object's own place")
  }

  @Test func placesOfWhatIsThereAndOfWhatIsNot() throws {
    let document = try parse("\u{feff}{ \"a\": [ {}, {\"b c\": {\"x.y\": 1}} ] }")
    #expect(document.position(of: "a") == SettingsPosition(line: 1, column: 3))
    #expect(document.position(of: "a[1]") == SettingsPosition(line: 1, column: 14))
    #expect(document.position(of: "a[1].missing.deep") == SettingsPosition(line: 1, column: 14))
    #expect(document.position(of: "a[1][\"b c\"][\"x.y\"]") == SettingsPosition(line: 1, column: 23))
    #expect(document.position(of: "nothing") == SettingsPosition(line: 1, column: 1), "the document's own place")
  }

  @Test(
    "The library's decoder reads the same, save that it takes a comma too much",
    arguments: [
      "{}", "[]", "null", "true", "[false]", "0", "-0", "-1.5e-3", "1E+2", "12345678901234567890", "\"\"",
      "\"\\u00e9\\n\\t\\/\\\\\\\"\"",
      "\"\\ud83d\\ude00\"", "\"😀\"", " [ 1 , 2 ] ", "{\"a\":{\"b\":[null,{\"c\":\"d\"}]}}", "{\"a\"}",
      "[\"\\ud800\"]", "01", "+1", ".5",
      "1.", "nul", "[", "]", "\"", "\"\u{1}\"", "[1]]", "-", "--1", "1e", "\"\\a\"", "[,1]", "{,}",
      "tru e",
    ])
  func agreesWithTheLibrary(_ text: String) {
    let judged = try? JSONDecoder().decode(Adapter.self, from: Data(text.utf8)).value
    #expect((try? parse(text))?.value == judged)
  }

  /// Any JSON value, by the library.
  private struct Adapter: Decodable {
    var value: JSONValue

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        value = .null
      } else if let bool = try? container.decode(Bool.self) {
        value = .bool(bool)
      } else if let number = try? container.decode(Double.self) {
        value = .number(number)
      } else if let text = try? container.decode(String.self) {
        value = .string(text)
      } else if let elements = try? container.decode([Adapter].self) {
        value = .array(elements.map(\.value))
      } else {
        value = .object(try container.decode([String: Adapter].self).mapValues(\.value))
      }
    }
  }
}
