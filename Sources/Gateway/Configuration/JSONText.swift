// Reads a configuration file's text as JSON (RFC 8259), with the line and column of everything in it. The library's
// decoder keeps one of two equal keys silently and forgets where values stood, so this is a parser of our own.
internal import TokenKit

/// A JSON document with the places of its values.
struct JSONDocument: Sendable {
  var value: JSONValue
  /// By JSON path: where the key stands, for an element of an array where the value does.
  var positions: [String: SettingsPosition]

  /// The place of a path, or of the nearest object or array around it that is there.
  func position(of path: String) -> SettingsPosition? {
    var path = Substring(path)
    while true {
      if let position = positions[String(path)] { return position }
      guard let cut = path.lastIndex(where: { $0 == "." || $0 == "[" }) else { return nil }
      path = path[..<cut]
    }
  }
}

/// The parser. A key that stands twice in one object is reported and the first one counts; a syntax error ends it.
struct JSONText {
  /// Where the text stopped being JSON.
  struct SyntaxError: Error, Equatable {
    var message: String
    var position: SettingsPosition
  }

  private static let greatestDepth = 64

  private let bytes: [UInt8]
  private var index = 0
  private var line = 1
  private var lineStart = 0
  private var positions: [String: SettingsPosition] = [:]
  private let problems: SettingsProblems

  /// - Throws: `SyntaxError`.
  static func parse(_ bytes: [UInt8], problems: SettingsProblems) throws(SyntaxError) -> JSONDocument {
    var text = JSONText(bytes: bytes, problems: problems)
    return try text.document()
  }

  private init(bytes: [UInt8], problems: SettingsProblems) {
    self.bytes = bytes
    self.problems = problems
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) {
      index = 3
      lineStart = 3
    }
  }

  private mutating func document() throws(SyntaxError) -> JSONDocument {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw error("the file is not UTF-8 text") }
    try skipSpace()
    if index == bytes.count { throw error("the file is empty; it must hold a JSON object") }
    let value = try value(path: "", depth: 0)
    try skipSpace()
    if index < bytes.count { throw error("\(shown) stands behind the end of the document") }
    return JSONDocument(value: value, positions: positions)
  }

  private mutating func value(path: String, depth: Int) throws(SyntaxError) -> JSONValue {
    if depth > Self.greatestDepth { throw error("objects and arrays are nested more than \(Self.greatestDepth) deep") }
    switch peek {
    case UInt8(ascii: "{"): return try object(path: path, depth: depth)
    case UInt8(ascii: "["): return try array(path: path, depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "-"): return .number(try number())
    case _ where isDigit: return .number(try number())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: throw error("a value was expected, not \(shown)")
    }
  }

  private mutating func object(path: String, depth: Int) throws(SyntaxError) -> JSONValue {
    var members: [String: JSONValue] = [:]
    index += 1
    try skipSpace()
    if take(UInt8(ascii: "}")) { return .object(members) }
    while true {
      guard peek == UInt8(ascii: "\"") else { throw error("a key in double quotes was expected, not \(shown)") }
      let position = position
      let key = try string()
      let memberPath = SettingsPath.member(key, of: path)
      let first = members[key] == nil ? nil : positions[memberPath]
      if first == nil { positions[memberPath] = position }
      try skipSpace()
      guard take(UInt8(ascii: ":")) else { throw error("a colon was expected behind the key, not \(shown)") }
      try skipSpace()
      // What stands in a repeated key's value must not overwrite the places of the first one's.
      let outer = first == nil ? nil : positions
      let value = try value(path: memberPath, depth: depth + 1)
      if let first, let outer {
        positions = outer
        problems.add(
          SettingsProblem(
            path: memberPath, message: "stands twice in its object, first on line \(first.line)", position: position))
      } else {
        members[key] = value
      }
      try skipSpace()
      if take(UInt8(ascii: "}")) { return .object(members) }
      guard take(UInt8(ascii: ",")) else { throw error("a comma or a closing brace was expected, not \(shown)") }
      try skipSpace()
      if peek == UInt8(ascii: "}") { throw error("a comma stands before the closing brace; take it away") }
    }
  }

  private mutating func array(path: String, depth: Int) throws(SyntaxError) -> JSONValue {
    var elements: [JSONValue] = []
    index += 1
    try skipSpace()
    if take(UInt8(ascii: "]")) { return .array(elements) }
    while true {
      let elementPath = SettingsPath.element(elements.count, of: path)
      positions[elementPath] = position
      elements.append(try value(path: elementPath, depth: depth + 1))
      try skipSpace()
      if take(UInt8(ascii: "]")) { return .array(elements) }
      guard take(UInt8(ascii: ",")) else { throw error("a comma or a closing bracket was expected, not \(shown)") }
      try skipSpace()
      if peek == UInt8(ascii: "]") { throw error("a comma stands before the closing bracket; take it away") }
    }
  }

  private mutating func string() throws(SyntaxError) -> String {
    let opening = position
    var text: [UInt8] = []
    index += 1
    while let byte = peek {
      index += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): text.append(contentsOf: String(try escape()).utf8)
      case 0..<0x20:
        index -= 1
        throw error(
          byte == 0x0a ? "a string is not closed on its line" : "a control character stands in a string unescaped")
      default: text.append(byte)
      }
    }
    throw SyntaxError(message: "the string that begins here is not closed", position: opening)
  }

  private mutating func escape() throws(SyntaxError) -> Unicode.Scalar {
    guard let byte = peek else { throw error("the file ends within a string") }
    index += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      var code = UInt32(try hexQuad())
      if (0xd800..<0xdc00).contains(code), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
        let low = UInt32(try hexQuad())
        if (0xdc00..<0xe000).contains(low) { code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00) }
      }
      guard let scalar = Unicode.Scalar(code) else { throw error("half of a surrogate pair stands alone") }
      return scalar
    default:
      index -= 1
      throw error("\\\(shown) is not an escape of JSON")
    }
  }

  private mutating func hexQuad() throws(SyntaxError) -> UInt16 {
    var code: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw error("\\u needs four hexadecimal digits")
      }
      code = code << 4 | UInt16(digit)
      index += 1
    }
    return code
  }

  private mutating func number() throws(SyntaxError) -> Double {
    let start = index
    _ = take(UInt8(ascii: "-"))
    if take(UInt8(ascii: "0")) {
      if isDigit { throw error("a number must not begin with 0") }
    } else {
      try digits()
    }
    if take(UInt8(ascii: ".")) { try digits() }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      try digits()
    }
    guard let number = Double(String(decoding: bytes[start..<index], as: UTF8.self)), number.isFinite else {
      throw error("a number is too large")
    }
    return number
  }

  private mutating func digits() throws(SyntaxError) {
    guard isDigit else { throw error("a digit was expected, not \(shown)") }
    while isDigit { index += 1 }
  }

  private mutating func literal(_ word: String, _ value: JSONValue) throws(SyntaxError) -> JSONValue {
    guard bytes[index...].starts(with: word.utf8) else { throw error("a value was expected, not \(shown)") }
    index += word.utf8.count
    return value
  }

  private mutating func skipSpace() throws(SyntaxError) {
    while let byte = peek {
      switch byte {
      case 0x0a:
        index += 1
        line += 1
        lineStart = index
      case 0x20, 0x09, 0x0d: index += 1
      case UInt8(ascii: "/"), UInt8(ascii: "#"): throw error("JSON has no comments")
      default: return
      }
    }
  }

  private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }
  private var isDigit: Bool { peek.map { (0x30...0x39).contains($0) } ?? false }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    index += 1
    return true
  }

  /// Columns count scalars: every byte but the continuations of UTF-8.
  private var position: SettingsPosition {
    SettingsPosition(line: line, column: bytes[lineStart..<index].count { $0 & 0xc0 != 0x80 } + 1)
  }

  /// The character at the index, for messages.
  private var shown: String {
    guard let byte = peek else { return "the end of the file" }
    return (0x21..<0x7f).contains(byte) ? "\"\(Character(Unicode.Scalar(byte)))\"" : "this character"
  }

  private func error(_ message: String) -> SyntaxError { SyntaxError(message: message, position: position) }
}
