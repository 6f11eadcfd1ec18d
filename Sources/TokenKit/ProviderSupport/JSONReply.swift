// JSON of token endpoints: decoding that tolerates what servers do to scalars, and the quoting of strings to send.
import FoundationEssentials

/// A member of a reply, in whichever spelling the server chose (`3600`, `"3600"`). Decoding one never fails: what it
/// is not is the reader's business, so that one odd member does not lose a whole reply.
public enum JSONScalar: Sendable, Equatable, Decodable {
  /// A string.
  case string(String)
  /// A number that fits a Double.
  case number(Double)
  /// `true` or `false`.
  case bool(Bool)
  /// An object, an array, or a number beyond a Double.
  case other

  /// Takes what is there.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    // A failed attempt only says that the member is of another kind.
    if let text = try? container.decode(String.self) {
      self = .string(text)
    } else if let flag = try? container.decode(Bool.self) {
      self = .bool(flag)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else {
      self = .other
    }
  }

  /// The text of a string.
  public var text: String? { if case .string(let text) = self { text } else { nil } }

  /// A number, also one written as a string; nil for what is none, not even infinite.
  public var numeric: Double? {
    switch self {
    case .number(let number): return number.isFinite ? number : nil
    case .string(let text):
      // Double's own parser also takes "nan", "inf" and hexadecimal.
      let trimmed = text.utf8.drop { $0 == 0x20 }
      guard trimmed.count <= 32, trimmed.allSatisfy({ (0x30...0x39).contains($0) || [0x2b, 0x2d, 0x2e].contains($0) })
      else { return nil }
      return Double(String(decoding: trimmed, as: UTF8.self))
    case .bool, .other: return nil
    }
  }
}

/// JSON text.
public enum JSONReply {
  /// Decodes the members that `type` names, and only those: a large reply costs one scan. nil when the text is not
  /// JSON or not of that shape. The reason is dropped on purpose, since it may quote a token.
  public static func decode<Reply: Decodable>(_ type: Reply.Type, from text: ArraySlice<UInt8>) -> Reply? {
    try? JSONDecoder().decode(type, from: Data(text))
  }

  /// A string as JSON text, quotes included.
  public static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
