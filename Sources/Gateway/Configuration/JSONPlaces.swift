// Where the values of a JSON text stand, as line and column: for messages.
internal import TokenKit

/// The places of one text's values.
struct JSONPlaces {
  private static let block = 4096

  private let bytes: [UInt8]
  /// By JSON path: where the key begins, for an element of an array where the value does.
  private let offsets: [String: Int]
  private let lineStarts: [Int]
  /// How many bytes before each block go on a scalar that was begun: columns count scalars.
  private let continuations: [Int]

  init(_ bytes: [UInt8], offsets: [String: Int]) {
    self.bytes = bytes
    self.offsets = offsets
    var lineStarts = [bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0]
    var continuations: [Int] = []
    var count = 0
    for index in bytes.indices {
      if index % Self.block == 0 { continuations.append(count) }
      if bytes[index] == 0x0a { lineStarts.append(index + 1) }
      if bytes[index] & 0xc0 == 0x80 { count += 1 }
    }
    if bytes.count % Self.block == 0 { continuations.append(count) }
    self.lineStarts = lineStarts
    self.continuations = continuations
  }

  /// The place of a path, or of the nearest object or array around it that is there.
  func position(of path: String) -> SettingsPosition? {
    var path: Substring? = Substring(path)
    while let known = path {
      if let offset = offsets[String(known)] { return position(at: offset) }
      path = Self.parent(known)
    }
    return nil
  }

  /// What a path stands in; nil for the document, whose path is empty.
  static func parent(_ path: Substring) -> Substring? {
    if path.isEmpty { return nil }
    guard let cut = path.utf8.lastIndex(where: { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") }) else {
      return path.prefix(0)
    }
    return path[..<cut]
  }

  /// Where the first bytes are that are no UTF-8.
  static func firstMalformed(_ bytes: [UInt8]) -> SettingsPosition? {
    if String(validating: bytes, as: UTF8.self) != nil { return nil }
    var position = SettingsPosition(line: 1, column: 1)
    var parser = Unicode.UTF8.ForwardParser()
    var rest = bytes.makeIterator()
    while case .valid(let scalar) = parser.parseScalar(from: &rest) {
      switch Unicode.UTF8.decode(scalar) {
      case "\n": position = SettingsPosition(line: position.line + 1, column: 1)
      case "\u{feff}" where position == SettingsPosition(line: 1, column: 1): break
      default: position.column += 1
      }
    }
    return position
  }

  /// The place of a byte.
  func position(at offset: Int) -> SettingsPosition {
    var (low, high) = (0, lineStarts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle }
    }
    let start = lineStarts[low]
    let column = max(0, offset - start) - (continuations(before: offset) - continuations(before: start)) + 1
    return SettingsPosition(line: low + 1, column: column)
  }

  private func continuations(before offset: Int) -> Int {
    let block = offset / Self.block
    let begun = bytes[block * Self.block..<min(offset, bytes.count)].count { $0 & 0xc0 == 0x80 }
    return continuations[block] + begun
  }
}
