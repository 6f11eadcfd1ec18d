// Reads a configuration file's text as JSON (RFC 8259), with the line and column of everything in it. The library's
// decoder keeps one of two equal keys silently and forgets where values stood, so this is a parser of our own.
internal import TokenKit

/// A JSON document.
struct JSONDocument: Sendable {
  var value: JSONValue
  /// Where the members of the deferred object stand, whose values are `null` in `value`.
  fileprivate(set) var deferred: [String: Range<Int>] = [:]
  fileprivate let text: [UInt8]

  /// The values of the deferred object's members, one at a time: nobody has all of them at once.
  var deferredValues: JSONDeferredValues { JSONDeferredValues(text: text, ranges: deferred) }

  /// Where these paths stand. The text is read once more for it: most files have nothing to complain of.
  func places(of paths: some Sequence<String>) -> JSONPlaces { JSONText.places(of: paths, in: text) }

  /// The place of one path; see `JSONPlaces`.
  func position(of path: String) -> SettingsPosition? { places(of: [path]).position(of: path) }
}

/// Values of a text that was parsed before, made when they are asked for.
struct JSONDeferredValues {
  fileprivate let text: [UInt8]
  fileprivate let ranges: [String: Range<Int>]
  /// Texts that many of them have are kept once.
  private var known: Set<String> = []

  fileprivate init(text: [UInt8], ranges: [String: Range<Int>]) {
    self.text = text
    self.ranges = ranges
  }

  /// The value of a member, if there is one.
  mutating func value(of key: String) -> JSONValue? {
    ranges[key].flatMap { JSONText.value(at: $0, in: text, known: &known) }
  }
}

/// The parser. A key that stands twice in one object is reported and the first one counts; a syntax error ends it. Files
/// of hundreds of megabytes are fine: texts that stand in them many times are kept once, and nobody counts columns who
/// does not need them.
struct JSONText {
  /// Where the text stopped being JSON.
  struct SyntaxError: Error, Equatable {
    var message: String
    var position: SettingsPosition
  }

  private static let greatestDepth = 64

  private let bytes: [UInt8]
  private var index = 0
  /// Where each path's key or element begins, if that is to be known.
  private var offsets: [String: Int]?
  /// Of which paths, with everything that they stand in; nil: of all.
  private var wanted: Set<String>?
  private var hasRepetitions = false
  /// How many repeated keys' values the index is in.
  private var repetitions = 0
  /// The member of the top object whose members are not kept, but where they stand.
  private var deferredKey: String?
  private var deferred: [String: Range<Int>] = [:]
  private var problems: [(path: String, first: Int, offset: Int)] = []
  /// Longer texts that may come again.
  fileprivate var known: Set<String> = []

  /// - Parameter key: of a member of the top object that is an object with very many members, if it has one.
  /// - Throws: `SyntaxError`.
  static func parse(
    _ bytes: [UInt8], deferring key: String? = nil, problems: SettingsProblems
  ) throws(SyntaxError) -> JSONDocument {
    var text = JSONText(bytes: bytes, offsets: nil)
    text.deferredKey = key
    let value = try text.document()
    if text.hasRepetitions {
      var again = JSONText(bytes: bytes, offsets: [:])
      _ = try again.document()
      let places = JSONPlaces(bytes, offsets: again.offsets ?? [:])
      for (path, first, offset) in again.problems {
        problems.add(
          SettingsProblem(
            path: path, message: "stands twice in its object, first on line \(places.position(at: first).line)",
            position: places.position(at: offset)))
      }
    }
    return JSONDocument(value: value, deferred: text.deferred, text: bytes)
  }

  /// One value of a text that was parsed before.
  fileprivate static func value(at range: Range<Int>, in bytes: [UInt8], known: inout Set<String>) -> JSONValue? {
    var text = JSONText(bytes: bytes, offsets: nil)
    text.index = range.lowerBound
    swap(&text.known, &known)
    defer { swap(&text.known, &known) }
    return try? text.value(path: nil, depth: 0)
  }

  /// The places in a text that was parsed before.
  fileprivate static func places(of paths: some Sequence<String>, in bytes: [UInt8]) -> JSONPlaces {
    var text = JSONText(bytes: bytes, offsets: [:])
    text.wanted = []
    for path in paths {
      var path: Substring? = Substring(path)
      while let known = path, text.wanted?.insert(String(known)).inserted == true { path = JSONPlaces.parent(known) }
    }
    _ = try? text.document()
    return JSONPlaces(bytes, offsets: text.offsets ?? [:])
  }

  private init(bytes: [UInt8], offsets: [String: Int]?) {
    self.bytes = bytes
    self.offsets = offsets
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { index = 3 }
  }

  private mutating func document() throws(SyntaxError) -> JSONValue {
    if let position = JSONPlaces.firstMalformed(bytes) {
      throw SyntaxError(message: "the file is not UTF-8 text; save it as UTF-8", position: position)
    }
    try skipSpace()
    if index == bytes.count { throw error("the file is empty; it must hold a JSON object") }
    offsets?[""] = index
    let value = try value(path: offsets == nil ? nil : "", depth: 0)
    try skipSpace()
    if index < bytes.count { throw error("\(shown) stands behind the end of the document") }
    return value
  }

  private mutating func value(
    path: String?, depth: Int, isDeferred: Bool = false
  ) throws(SyntaxError) -> JSONValue {
    if depth > Self.greatestDepth { throw error("objects and arrays are nested more than \(Self.greatestDepth) deep") }
    switch peek {
    case UInt8(ascii: "{"): return try object(path: path, depth: depth, isDeferred: isDeferred)
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

  private mutating func object(
    path: String?, depth: Int, isDeferred: Bool
  ) throws(SyntaxError) -> JSONValue {
    var members: [String: JSONValue] = [:]
    index += 1
    try skipSpace()
    if take(UInt8(ascii: "}")) { return .object(members) }
    while true {
      guard peek == UInt8(ascii: "\"") else { throw error("a key in double quotes was expected, not \(shown)") }
      let offset = index
      let key = try string()
      let memberPath = recorded(path.map { SettingsPath.member(key, of: $0) })
      let isRepeated = members[key] != nil
      let first = isRepeated ? memberPath.flatMap { offsets?[$0] } : nil
      if !isRepeated, let memberPath {
        offsets?[memberPath] = offset
        // All that are wanted are known, among them the document itself.
        if let wanted, let offsets, offsets.count >= wanted.count, repetitions == 0 { throw Self.enough }
      }
      try skipSpace()
      guard take(UInt8(ascii: ":")) else { throw error("a colon was expected behind the key, not \(shown)") }
      try skipSpace()
      // What stands in a repeated key's value must not overwrite the places of the first one's.
      let outer = isRepeated ? offsets : nil
      if isRepeated { repetitions += 1 }
      let start = index
      let value = try value(
        path: memberPath, depth: depth + 1, isDeferred: depth == 0 && deferredKey != nil && key == deferredKey)
      if isRepeated {
        hasRepetitions = true
        repetitions -= 1
        if let first, let memberPath { problems.append((memberPath, first, offset)) }
        offsets = outer
      } else {
        members[key] = isDeferred ? .null : value
        if isDeferred { deferred[key] = start..<index }
      }
      try skipSpace()
      if take(UInt8(ascii: "}")) { return .object(members) }
      guard take(UInt8(ascii: ",")) else { throw error("a comma or a closing brace was expected, not \(shown)") }
      try skipSpace()
      if peek == UInt8(ascii: "}") { throw error("a comma stands before the closing brace; take it away") }
    }
  }

  /// Ends a search for places.
  private static let enough = SyntaxError(message: "", position: SettingsPosition(line: 1, column: 1))

  /// The path, if places at it or within it are wanted.
  private func recorded(_ path: String?) -> String? {
    guard let path, wanted?.contains(path) ?? true else { return nil }
    return path
  }

  private mutating func array(path: String?, depth: Int) throws(SyntaxError) -> JSONValue {
    var elements: [JSONValue] = []
    index += 1
    try skipSpace()
    if take(UInt8(ascii: "]")) { return .array(elements) }
    while true {
      let elementPath = recorded(path.map { SettingsPath.element(elements.count, of: $0) })
      if let elementPath { offsets?[elementPath] = index }
      elements.append(try value(path: elementPath, depth: depth + 1))
      try skipSpace()
      if take(UInt8(ascii: "]")) { return .array(elements) }
      guard take(UInt8(ascii: ",")) else { throw error("a comma or a closing bracket was expected, not \(shown)") }
      try skipSpace()
      if peek == UInt8(ascii: "]") { throw error("a comma stands before the closing bracket; take it away") }
    }
  }

  private mutating func string() throws(SyntaxError) -> String {
    if let plain = plainString() { return plain }
    let opening = index
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
    index = opening
    throw error("the string that begins here is not closed")
  }

  /// A string without escapes, which is nearly every one; nil: it is not one.
  private mutating func plainString() -> String? {
    var end = index + 1
    while end < bytes.count, bytes[end] != UInt8(ascii: "\""), bytes[end] != UInt8(ascii: "\\"), bytes[end] >= 0x20 {
      end += 1
    }
    guard end < bytes.count, bytes[end] == UInt8(ascii: "\"") else { return nil }
    let text = String(decoding: bytes[index + 1..<end], as: UTF8.self)
    index = end + 1
    // Up to 15 bytes need no storage of their own.
    return text.utf8.count > 15 && text.utf8.count < 512 ? known.insert(text).memberAfterInsert : text
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
      case 0x20, 0x09, 0x0a, 0x0d: index += 1
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

  private var position: SettingsPosition { JSONPlaces(bytes, offsets: [:]).position(at: index) }

  /// The character at the index, for messages.
  private var shown: String {
    guard let byte = peek else { return "the end of the file" }
    return (0x21..<0x7f).contains(byte) ? "\"\(Character(Unicode.Scalar(byte)))\"" : "this character"
  }

  private func error(_ message: String) -> SyntaxError { SyntaxError(message: message, position: position) }
}
