// Misspelt Transfer-Encoding lines beside a good Content-Length: the ones that defparam/smuggler sends with its lists
// `default`, `doubles` and `exhaustive` (github.com/defparam/smuggler, read at 2be871e), generated from what those lists
// describe: bytes put before and behind the name and the value, further lines glued on, and some spellings by hand.

struct SmugglerMutation: Sendable {
  /// The list and its number in it.
  var name: String
  /// One or several field lines, without the last line end; a character for each byte.
  var lines: String
}

enum SmugglerMutations {
  static let lists: [(name: String, count: Int, lines: [String])] = [
    ("default", 134, defaults), ("doubles", 966, doubles), ("exhaustive", 668, exhaustive),
  ]

  /// `Transfer-Encoding: chunked` with something put before the name, between name and colon, in place of the space, and
  /// behind the value.
  private static func line(
    beforeName: String = "", afterName: String = "", beforeValue: String = " ", afterValue: String = ""
  ) -> String { "\(beforeName)Transfer-Encoding\(afterName):\(beforeValue)chunked\(afterValue)" }

  /// The four places, one byte each.
  private static func single(_ byte: String) -> [String] {
    [line(beforeValue: byte), line(afterName: byte), line(beforeName: byte), line(afterValue: byte)]
  }

  /// Every two of the four places.
  private static func double(_ byte: String) -> [String] {
    [
      line(beforeName: byte, afterName: byte), line(beforeName: byte, beforeValue: byte),
      line(beforeName: byte, afterValue: byte), line(afterName: byte, beforeValue: byte),
      line(afterName: byte, afterValue: byte), line(beforeValue: byte, afterValue: byte),
    ]
  }

  /// Another field before or behind it, with something else than CRLF between them.
  private static func glued(_ byte: String) -> [String] {
    ["\(byte)", "\r\(byte)", "\(byte)\n"].flatMap { ["X: X\($0)\(line())", "\(line())\($0)X: X"] }
  }

  private static let high = (UInt8(0x7f)...0xff).map(\.latin1)

  private static var defaults: [String] {
    let bytes: [UInt8] = [1, 4, 8, 9, 10, 11, 12, 13, 0x1f, 0x20, 0x7f, 0xa0, 0xff]
    return [
      line(beforeName: " "), line(beforeValue: "\t"), line(afterName: "\t", beforeValue: "\t"), line(afterName: " "),
    ]
      + bytes.map(\.latin1).flatMap { single($0) + glued($0) }
  }

  private static var doubles: [String] { ((UInt8(1)...0x20).map(\.latin1) + high).flatMap(double) }

  private static var exhaustive: [String] { byHand + ((UInt8(1)..<0x20).map(\.latin1) + high).flatMap(single) }

  private static var byHand: [String] {
    let blanks = [
      line(beforeName: " "), line(beforeValue: "\t"), line(afterName: "\t", beforeValue: "\t"), line(afterName: " "),
      line(beforeValue: "  "), line(beforeValue: "\u{b}"), line(beforeValue: "\n "), line(beforeValue: "\u{ff}"),
      line(afterValue: "\r"), line(afterValue: "\t"),
    ]
    let names = [
      "Transfer Encoding: chunked", "Transfer_Encoding: chunked", "Transfer Encoding:chunked",
      "Content-Encoding: chunked",
      "TrAnSFer-EnCODinG: cHuNkeD", "TRANSFER-ENCODING: CHUNKED", "Transfer\r-Encoding: chunked",
      "Transf\u{82}r-Encoding: chunked",
    ]
    let values = [
      "chunked, cow", "cow, chunked", "\"chunked\"", "'chunked'", "chunk", "cow chunked bar", "ch\u{96}nked",
      "cow\r\nTransfer-Encoding: chunked",
    ].map { "Transfer-Encoding: \($0)" }
    return blanks + names + values + ["X:X\r\(line())", "X:X\n\(line())"]
  }
}

/// What follows such a head: each body ends in one place for a server that reads Content-Length and in another for one
/// that reads chunks, so that one of the two waits for bytes that never come, or takes the rest for another request.
struct SmugglerProbe: Sendable {
  var name: String
  var length: Int
  var body: String

  static let all = [
    SmugglerProbe(name: "TE.CL", length: 6, body: "0\r\n\r\nX"),
    SmugglerProbe(name: "TE.CL, both agree", length: 5, body: "0\r\n\r\nX"),
    SmugglerProbe(name: "CL.TE", length: 4, body: "1\r\nZ\r\n0\r\n\r\n"),
    SmugglerProbe(name: "CL.TE, both agree", length: 11, body: "1\r\nZ\r\n0\r\n\r\n"),
    // Not among the tool's: a whole request that only a server that reads chunks would see.
    SmugglerProbe(name: "hidden request", length: RuleRow.hidden.utf8.count, body: RuleRow.hidden),
  ]
}
