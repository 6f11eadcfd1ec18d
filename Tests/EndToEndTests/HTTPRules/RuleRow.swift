// One row of a table of rules: what is sent, and what must come of it on both sides of the gateway.
import GatewayTesting

struct RuleRow: Sendable {
  /// What the origin sees of it.
  enum Seen: Sendable {
    /// Not a byte of a head.
    case nothing
    /// At most a request whose end never comes: the fault is in the body.
    case noneWhole
    /// One request, whole; the closure says what is wrong with it.
    case one(@Sendable (SeenRequest) -> String?)
  }

  /// Stands for the row's own number, everywhere in the text.
  static let mark = "ROW-00000"
  static let host = "Host: localhost\r\nX-Row: \(mark)\r\n"
  /// What must never come out at the origin by itself: the end of a chunked body and a second request.
  static let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\n\(host)\r\n"

  /// The words of HTTP-RULES.md.
  var rule: String
  /// A character for each byte.
  var text: String
  var status: Int
  var closes: Bool
  var seen: Seen
  /// Sent byte by byte as well as in one piece.
  var isDripped = true

  /// For failures.
  var name: String {
    let text = text.count > 300 ? "\(text.prefix(200))…(\(text.count))" : text
    return "\(rule) | \(text.debugDescription)"
  }

  // MARK: Refused

  /// Refused by its head: the connection is closed, and nothing of it, nor of what follows, is forwarded.
  static func refused(_ rule: String, _ text: String, _ status: Int = 400) -> RuleRow {
    RuleRow(rule: rule, text: text, status: status, closes: true, seen: .nothing)
  }

  /// The same with these field lines in a POST that has a hidden request behind it.
  static func refused(_ rule: String, fields: String, _ status: Int = 400, version: String = "HTTP/1.1") -> RuleRow {
    refused(rule, "POST /first \(version)\r\n\(host)\(fields)\r\n\r\n\(hidden)", status)
  }

  /// The same with a request line, behind which a good rest of a request stands.
  static func refused(_ rule: String, line: String, _ status: Int = 400) -> RuleRow {
    refused(rule, "\(line)\r\n\(host)\r\n\(hidden)", status)
  }

  /// Refused in mid-body.
  static func refused(_ rule: String, chunks: String, _ status: Int = 400) -> RuleRow {
    RuleRow(
      rule: rule, text: "POST /first HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n\(chunks)\(hidden)",
      status: status, closes: true, seen: .noneWhole)
  }

  // MARK: Accepted

  /// Forwarded, and answered by the origin.
  static func accepted(
    _ rule: String, _ text: String, closes: Bool = false,
    _ check: @escaping @Sendable (SeenRequest) -> String? = { _ in nil }
  ) -> RuleRow {
    RuleRow(rule: rule, text: text, status: 200, closes: closes, seen: .one(check))
  }

  /// A GET with these field lines.
  static func accepted(
    _ rule: String, fields: String, target: String = "/first",
    _ check: @escaping @Sendable (SeenRequest) -> String? = { _ in nil }
  ) -> RuleRow {
    accepted(rule, "GET \(target) HTTP/1.1\r\n\(host)\(fields)\r\n\r\n", check)
  }

  /// A POST with these field lines and bytes, which is one request with that body.
  static func accepted(
    _ rule: String, fields: String, bytes: String, body: String, version: String = "HTTP/1.1"
  ) -> RuleRow {
    accepted(rule, "POST /first \(version)\r\n\(host)\(fields)\r\n\r\n\(bytes)", closes: version == "HTTP/1.0") {
      let expected = body.replacing(mark, with: $0.row).latin1
      return $0.body == expected ? nil : "a body of \($0.body.count) bytes, not \(expected.count)"
    }
  }

  /// For large ones.
  var inOnePiece: RuleRow {
    var row = self
    row.isDripped = false
    return row
  }
}
