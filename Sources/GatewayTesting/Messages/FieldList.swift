// Header and trailer fields as they stood on the wire, in order: what the scripted peers hand to tests.

/// One field line. Bytes that are not UTF-8 are replaced in the text; `MessageHead.raw` has them.
package struct FieldLine: Sendable, Equatable, Hashable, CustomStringConvertible {
  package var name: String
  /// Without the optional white space around it.
  package var value: String

  package init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }

  package var description: String { "\(name): \(value)" }
}

/// Field lines in the order in which they stood.
package struct FieldList: Sendable, Equatable, ExpressibleByArrayLiteral {
  package var lines: [FieldLine]

  package init(_ lines: [FieldLine] = []) { self.lines = lines }
  package init(_ pairs: [(String, String)]) { lines = pairs.map { FieldLine($0.0, $0.1) } }
  package init(arrayLiteral elements: FieldLine...) { lines = elements }

  /// The values of every line of that name, in any case.
  package func all(_ name: String) -> [String] {
    lines.filter { Self.isSame($0.name, name) }.map(\.value)
  }

  /// The first value of that name, in any case.
  package subscript(_ name: String) -> String? { lines.first { Self.isSame($0.name, name) }?.value }

  package func contains(_ name: String) -> Bool { self[name] != nil }

  package mutating func add(_ name: String, _ value: String) { lines.append(FieldLine(name, value)) }

  /// The elements of a list field (`Connection: close, x`), lower case.
  package func elements(_ name: String) -> [String] {
    all(name).flatMap { $0.split(separator: ",") }.map { Ascii.trimmed($0).lowercased() }.filter { !$0.isEmpty }
  }

  static func isSame(_ a: String, _ b: String) -> Bool {
    a.utf8.count == b.utf8.count && zip(a.utf8, b.utf8).allSatisfy { Ascii.lower($0) == Ascii.lower($1) }
  }
}

/// Bytes and their classes in HTTP.
enum Ascii {
  static let carriageReturn: UInt8 = 13
  static let lineFeed: UInt8 = 10
  static let space: UInt8 = 32
  static let tab: UInt8 = 9

  static func lower(_ byte: UInt8) -> UInt8 { byte >= 65 && byte <= 90 ? byte + 32 : byte }

  static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }

  /// RFC 9110 §5.6.2.
  static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 97...122: true
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
      UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
      true
    default: false
    }
  }

  static func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
  }

  static func trimmed(_ text: Substring) -> String {
    var rest = text
    while let first = rest.utf8.first, first == space || first == tab { rest = rest.dropFirst() }
    while let last = rest.utf8.last, last == space || last == tab { rest = rest.dropLast() }
    return String(rest)
  }
}
