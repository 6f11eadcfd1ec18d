// Durations, sizes, URLs and slips of the pen.
import Testing
import TokenKit

struct SettingsUnitsTests {
  @Test(
    "Durations",
    arguments: [
      ("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("720h", 2_592_000_000), ("30d", 2_592_000_000), ("0s", 0),
      ("10", nil), ("s", nil), ("1.5s", nil), ("-1s", nil), ("+1s", nil), (" 1s", nil), ("1s ", nil), ("1S", nil),
      ("1us", nil), ("99999999999999999999s", nil), ("9223372036854775807h", nil), ("36601d", nil), ("٣s", nil),
      ("", nil),
    ] as [(String, Int?)])
  func durations(_ text: String, _ milliseconds: Int?) {
    #expect(SettingsUnits.duration(text) == milliseconds.map { .milliseconds($0) })
  }

  @Test(
    "Sizes",
    arguments: [
      ("0B", 0), ("256B", 256), ("64KiB", 65536), ("10MiB", 10 << 20), ("1GiB", 1 << 30), ("64", nil), ("64KB", nil),
      ("64kib", nil), ("-1B", nil), ("9223372036854775807GiB", nil), ("", nil),
    ] as [(String, Int?)])
  func sizes(_ text: String, _ bytes: Int?) { #expect(SettingsUnits.size(text) == bytes) }

  @Test("Durations are written as they are read", arguments: ["0ms", "1ms", "1s", "90s", "1h", "30d"])
  func durationTexts(_ text: String) { #expect(SettingsUnits.duration(text).map(SettingsUnits.text) == text) }

  @Test("Sizes are written as they are read", arguments: ["0B", "1000B", "1KiB", "3MiB", "1GiB"])
  func sizeTexts(_ text: String) { #expect(SettingsUnits.size(text).map(SettingsUnits.text(bytes:)) == text) }

  @Test(
    "The nearest name",
    arguments: [
      ("conect", "connect"), ("cnonect", "connect"), ("pakr", "park"), ("bb", "b"), ("token", nil), ("CONNECT", nil),
    ] as [(String, String?)])
  func nearest(_ text: String, _ expected: String?) {
    #expect(EditDistance.nearest(to: text, among: ["connect", "park", "b"]) == expected)
  }
}

struct SettingsURLTests {
  @Test(
    "Good URLs",
    arguments: [
      ("https://Host.Example", "https://host.example/", "host.example"),
      ("http://127.0.0.1:9100/a?b", "http://127.0.0.1:9100/a?b", "127.0.0.1:9100"),
      ("HTTPS://h:443/x", "https://h/x", "h"), ("http://[::1]:80", "http://[::1]/", "[::1]"),
      ("https://h?q", "https://h/?q", "h"),
    ])
  func good(_ text: String, _ whole: String, _ authority: String) throws {
    let url = try HTTPURL.parse(text).get()
    #expect(url.text == whole && url.authority == authority)
  }

  @Test(
    "Bad URLs",
    arguments: [
      "", "host", "https://", "https://:80", "https://h:", "https://h:0", "https://h:65536", "https://h:+1",
      "https://h:1:2", "https://u@h", "https://h#f", "https://h/\u{1}", "https://h\\x", "https://[::1", "https://[zz]",
      "https://[::1]x", "https://a,b", "ftp://h", "https://hé",
    ])
  func bad(_ text: String) { #expect(throws: HTTPURL.Malformed.self) { try HTTPURL.parse(text).get() } }

  @Test(
    "Loopback",
    arguments: [
      ("http://localhost", true), ("http://a.localhost", true), ("http://127.9.9.9", true), ("http://[::1]", true),
      ("http://127.0.0.1.evil.example", false), ("http://localhost.evil", false), ("http://10.0.0.1", false),
      ("http://0.0.0.0", false),
    ])
  func loopback(_ text: String, _ expected: Bool) throws {
    #expect(try HTTPURL.parse(text).get().isLoopback == expected)
  }
}
