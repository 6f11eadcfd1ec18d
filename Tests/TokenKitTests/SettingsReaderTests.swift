// Reading settings: kinds, bounds, unknown keys, paths.
import Testing
import TokenKit

struct SettingsReaderTests {
  private struct NoSecrets: SecretSource {
    func secret(from value: JSONValue, path: String, problems: SettingsProblems) -> Secret? { Secret("s") }
  }

  private func reader(_ members: [String: JSONValue], path: String = "p") -> SettingsReader {
    SettingsReader(path: path, members: members, problems: SettingsProblems(), secrets: NoSecrets())
  }

  private func report(_ reader: SettingsReader) -> [String] { reader.problems.all.map { "\($0.path): \($0.message)" } }

  @Test func absentAndNullAreTheSame() {
    let settings = reader(["a": .null])
    for key in ["a", "b"] {
      #expect(settings.string(key) == nil && settings.duration(key) == nil && settings.size(key) == nil)
      #expect(settings.strings(key) == nil && settings.object(key) == nil && settings.objects(key).isEmpty)
      #expect(settings.flag(key, default: true) && settings.url(key) == nil && settings.secret(key) == nil)
      #expect(settings.integer(key, in: 1...2) == nil && settings.number(key, in: 1...2) == nil)
      #expect(!settings.isSet(key))
    }
    settings.finish()
    #expect(report(settings) == [])
  }

  @Test func wrongKindsAreReportedWithoutTheValue() {
    let settings = reader(["a": .array([.string("hidden")]), "t": .string("hidden")])
    _ = settings.string("a")
    _ = settings.flag("a", default: false)
    _ = settings.integer("t", in: 1...2)
    _ = settings.object("t")
    _ = settings.strings("t")
    #expect(
      report(settings) == [
        "p.a: must be a string, not an array", "p.a: must be true or false, not an array",
        "p.t: must be a whole number, not a string", "p.t: must be an object, not a string",
        "p.t: must be an array of strings, not a string",
      ])
  }

  @Test func bounds() {
    let settings = reader([
      "half": .number(1.5), "big": .number(7), "long": .string("2h"), "large": .string("2MiB"), "ok": .string("1m"),
    ])
    #expect(settings.integer("half", in: 1...2) == nil)
    #expect(settings.number("big", in: 0...1) == nil)
    #expect(settings.duration("long", in: .milliseconds(1) ... .seconds(3600)) == nil)
    #expect(settings.size("large", in: 0...1024) == nil)
    #expect(settings.duration("ok", in: .seconds(60) ... .seconds(60)) == .seconds(60))
    #expect(
      report(settings) == [
        "p.half: must be a whole number between 1 and 2", "p.big: must be between 0.0 and 1.0",
        "p.long: must be between \"1ms\" and \"1h\"", "p.large: must be between \"0B\" and \"1KiB\"",
      ])
  }

  @Test func unknownKeysNameTheNearest() {
    let settings = reader(["tokn_url": .null, "zzz": .null, "a b": .null], path: "")
    _ = settings.string("token_url")
    settings.finish()
    #expect(
      report(settings) == [
        "[\"a b\"]: unknown key", "tokn_url: unknown key; did you mean \"token_url\"?", "zzz: unknown key",
      ])
  }

  @Test(
    "URLs are not repeated when they may hold a secret",
    arguments: [
      ("https://user:hunter2@host", "the URL must not have a user name or password in it"),
      ("https://ho st/?k=hunter2", "\"https://ho st/\" has characters that a URL may not have"),
      ("ftp://host", "\"ftp://host\" must start with https:// or http://"),
    ])
  func urls(_ text: String, _ message: String) {
    let settings = reader(["u": .string(text)])
    #expect(settings.url("u") == nil)
    #expect(report(settings) == ["p.u: \(message)"])
  }

  @Test(
    "Paths",
    arguments: [
      ("", "a", "a"), ("p", "a-b_C9", "p.a-b_C9"), ("p", "a.b", "p[\"a.b\"]"), ("", "", "[\"\"]"),
      ("p", "a\"\\", #"p["a\"\\"]"#),
    ])
  func paths(_ path: String, _ key: String, _ expected: String) {
    #expect(SettingsPath.member(key, of: path) == expected)
  }
}
