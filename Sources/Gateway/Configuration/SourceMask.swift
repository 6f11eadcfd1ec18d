// Which bytes of a configuration file may not be shown: values of secrets, and what might be one. Reads any bytes; it is
// asked only when something is wrong with the file.
internal import TokenKit

/// Hides what an error message must not quote.
struct SourceMask {
  /// In the order of the file; strings with their quotes.
  private(set) var hidden: [Range<Int>] = []

  /// What the description says of a place. Of a credential whose provider isn't known yet it may say several things.
  private enum Place {
    case known([SettingsKind])
    case insideSecret(key: String)
    case unknown
  }

  private struct Frame {
    var isObject: Bool
    var place: Place
    var key = ""
    var expectsKey: Bool
  }

  private let bytes: [UInt8]
  private let root: Place
  private var frames: [Frame] = []

  /// - Parameter end: where the text stops being JSON; nothing is known about what stands there and behind.
  init(_ bytes: [UInt8], settings: SettingsObject, end: Int?) {
    self.bytes = bytes
    root = .known([.object(settings)])
    let end = end ?? bytes.count
    var index = 0
    while index < end {
      let start = index
      switch bytes[index] {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        let isObject = bytes[index] == UInt8(ascii: "{")
        frames.append(Frame(isObject: isObject, place: place, expectsKey: isObject))
        index += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        _ = frames.popLast()
        index += 1
      case UInt8(ascii: ","), UInt8(ascii: ":"):
        if !frames.isEmpty {
          let last = frames.count - 1
          frames[last].expectsKey = bytes[index] == UInt8(ascii: ",") && frames[last].isObject
        }
        index += 1
      case 0x20, 0x09, 0x0a, 0x0d: index += 1
      case UInt8(ascii: "\""):
        let isClosed = skipString(&index)
        if !isClosed || index > end {
          hidden.append(start..<index)
        } else if frames.last?.expectsKey == true {
          frames[frames.count - 1].key = String(decoding: bytes[start + 1..<index - 1], as: UTF8.self)
        } else if !mayShow(String(decoding: bytes[start + 1..<index - 1], as: UTF8.self)) {
          hidden.append(start..<index)
        }
      default:
        // At least one byte, also of those that stand nowhere in JSON.
        repeat { index += 1 } while index < bytes.count && !Self.ends(bytes[index])
        let word = String(decoding: bytes[start..<index], as: UTF8.self)
        if index > end || !(["true", "false", "null"].contains(word) || mayShow(word)) { hidden.append(start..<index) }
      }
    }
  }

  /// Goes behind a string's closing quote, or to where it breaks off.
  private func skipString(_ index: inout Int) -> Bool {
    index += 1
    while index < bytes.count, bytes[index] >= 0x20 {
      let byte = bytes[index]
      index += 1
      if byte == UInt8(ascii: "\"") { return true }
      if byte == UInt8(ascii: "\\"), index < bytes.count, bytes[index] >= 0x20 { index += 1 }
    }
    return false
  }

  private static func ends(_ byte: UInt8) -> Bool { byte <= 0x20 || "{}[],:\"".utf8.contains(byte) }

  /// Where the next value stands.
  private var place: Place {
    guard let frame = frames.last else { return root }
    guard case .known(let kinds) = frame.place else { return .unknown }
    if frame.isObject, kinds.contains(where: Self.isSecret) { return .insideSecret(key: frame.key) }
    let inner = kinds.flatMap { kind -> [SettingsKind] in
      switch kind {
      case .object(let object): frame.isObject ? object[name: frame.key].map { [$0.kind] } ?? [] : []
      case .variants(_, let variants):
        frame.isObject ? variants.compactMap { $0.object[name: frame.key]?.kind } : []
      case .map(let element, _): frame.isObject ? [element] : []
      case .array(let element, _, _): frame.isObject ? [] : [element]
      default: []
      }
    }
    return inner.isEmpty ? .unknown : .known(inner)
  }

  private static func isSecret(_ kind: SettingsKind) -> Bool {
    switch kind {
    case .secret, .textOrSecret: true
    default: false
    }
  }

  /// Whether a plain value at this place can be shown: one that the description knows and that is no secret.
  private func mayShow(_ text: String) -> Bool {
    switch place {
    case .unknown: return false
    case .insideSecret(let key): return SecretResolver.namesPlace(key)
    case .known(let kinds):
      let isPlain = kinds.allSatisfy { kind in
        switch kind {
        case .text, .flag, .integer, .number, .duration, .size, .choice: true
        case .secret, .textOrSecret, .array, .object, .map, .variants: false
        }
      }
      // A URL with a password or parameters.
      return isPlain && !text.contains("@") && !(text.contains("://") && text.contains("?"))
    }
  }
}
