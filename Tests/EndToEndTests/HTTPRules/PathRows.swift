// HTTP-RULES.md, "Paths": the gateway forwards nothing else than it has checked.
import GatewayTesting

enum PathRows {
  static var all: [RuleRow] { (dots + controls + slashes + otherRoutes + ordinary).map(\.inOnePiece) }

  private static func refused(_ rule: String, _ path: String) -> RuleRow {
    .refused(rule, line: "GET \(path) HTTP/1.1")
  }

  private static func accepted(_ rule: String, _ path: String, _ forwarded: String) -> RuleRow {
    .accepted(rule, fields: "X: y", target: path) { $0.target == forwarded ? nil : "another target" }
  }

  /// Every spelling of a dot, twice, between every spelling of a slash.
  private static var dots: [RuleRow] {
    let dots = [".", "%2e", "%2E", "%252e", "%25%32%65", "%%32%65"]
    let slashes = ["/", "\\", "%2f", "%5C", "%252f", "%255c"]
    let ends = ["", "/", "\\x", "%2fx", ";", ";a=b/x", "%3bx", "?q", "%255cx"]
    var rows: [RuleRow] = []
    for first in dots {
      for second in dots {
        for (index, slash) in slashes.enumerated() {
          // Each pair of dots with each slash before it, and with three of the ends behind it.
          for offset in 0..<3 {
            let end = ends[(index + offset * 3 + first.utf8.count + second.utf8.count) % ends.count]
            rows.append(refused("any .. segment in any spelling", "/cukcuk/a\(slash)\(first)\(second)\(end)"))
          }
        }
        rows.append(refused("any .. segment in any spelling", "/\(first)\(second)/cukcuk/x"))
        rows.append(refused("any .. segment in any spelling", "/strip/\(first)\(second)/cukcuk/x"))
        rows.append(refused("any .. segment in any spelling", "http://localhost/a/\(first)\(second)/x"))
      }
    }
    for path in [
      "/a/%c0%ae%c0%ae/x", "/a/%c0%ae./x", "/a/.%c0%ae/x", "/a/%e0%80%ae%e0%80%ae/x", "/a/%f0%80%80%ae/x",
      "/a/%c0%af../x",
      "/a/%u002e%u002e/x", "/a/%u002e./x", "/a/%U002E./x", "/a/%25u002e./x", "/a/%c1%9c/x", "/a/%u2215x",
    ] { rows.append(refused("any .. segment in any spelling: overlong UTF-8 and %u", path)) }
    return rows
  }

  private static var controls: [RuleRow] {
    var rows: [RuleRow] = []
    for byte in FieldRows.controls + [9] {
      let hex = (byte < 16 ? "0" : "") + String(byte, radix: 16)
      for path in ["/a%\(hex)b", "/%\(hex)", "/a/b%\(hex.uppercased())", "/a%25\(hex)b", "/a;p%\(hex)", "/..%\(hex)/b"]
      {
        rows.append(refused("control bytes and %00", path))
      }
    }
    return rows
  }

  private static var slashes: [RuleRow] {
    var rows: [RuleRow] = []
    let spellings = ["/", "\\", "%2f", "%2F", "%5c", "%5C", "%252f", "%255c", "%25%32%66", ";/", ";a=b/", "%3b/"]
    for slash in spellings {
      rows.append(refused("// at the start", "/\(slash)x"))
      rows.append(refused("// at the start", "/\(slash)localhost/x"))
      rows.append(refused("// at the start (also after strip_prefix)", "/strip/\(slash)x"))
      rows.append(refused("// at the start (also after strip_prefix)", "/strip/\(slash)other.example/x"))
    }
    for path in ["%2fx", "%2f", "\\x", "x", ";/x", "%5cx"] {
      rows.append(refused("a path that does not begin with a slash", path))
    }
    return rows
  }

  /// Raw bytes and normal form are for different routes; `/` takes what the others do not.
  private static var otherRoutes: [RuleRow] {
    var rows: [RuleRow] = []
    for path in [
      "/%63ukcuk/x", "/c%75kcuk/x", "/cukcu%6b/x", "/%2563ukcuk/x", "/cukcuk%2fx", "/cukcuk%252fx", "/cukcuk\\x",
      "/cukcuk%5cx",
      "/./cukcuk/x", "/%2e/cukcuk/x", "/.;a/cukcuk/x", "/cukcuk;a/x", "/cukcuk;a=b/x", "/cukcuk%3ba/x", "/cukcuk;/x",
      "/%73trip/x", "/strip;a/x", "/strip%2fx", "/./strip/x", "/strip\\x", "/%%363ukcuk/x", "/%25%36%33ukcuk/x",
    ] { rows.append(refused("the normal form selects another route than the raw bytes do", path)) }
    return rows
  }

  private static var ordinary: [RuleRow] {
    let same = [
      "/group%2Fproject", "/@scope%2fpkg", "/cukcuk/group%2Fproject", "/a//b", "/a/./b", "/a/%2e/b", "/a;v=1/b",
      "/a..b/...",
      "/..a/b..", "/.well-known/x", "/%7Euser", "/100%", "/a%zz", "/caf%c3%a9", "/a%20b", "/a\\b", "/a%5cb",
      "/a?b=/../..",
      "/a?%00%0d%0a", "/a?//..%2f", "/a?b?c", "/?/../cukcuk/", "/cukcukx", "/Cukcuk/x", "/a%252fb", "/a;p%2fq",
    ]
    let stripped = [
      ("/strip/x", "/x"), ("/strip/", "/"), ("/strip/a//b", "/a//b"),
      ("/strip/group%2Fproject?a=/..", "/group%2Fproject?a=/.."),
      ("/strip/?q", "/?q"), ("/strip/strip/x", "/strip/x"), ("/strip/a/./b", "/a/./b"),
    ]
    return same.map { accepted("otherwise forward the raw bytes", $0, $0) }
      + stripped.map { accepted("strip_prefix keeps the leading slash", $0.0, $0.1) }
  }
}
