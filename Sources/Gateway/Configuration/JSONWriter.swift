// Writes a JSON value as text: what is kept of a credential whose secret files may be read again.
internal import TokenKit

enum JSONWriter {
  /// The shortest text that `JSONText` reads as the same value.
  static func text(_ value: JSONValue) -> [UInt8] {
    var text: [UInt8] = []
    write(value, to: &text)
    // Growing has left room behind it.
    return Array(text[...])
  }

  private static func write(_ value: JSONValue, to text: inout [UInt8]) {
    switch value {
    case .null: text += "null".utf8
    case .bool(let flag): text += (flag ? "true" : "false").utf8
    case .number(let number): text += "\(number)".utf8
    case .string(let string): write(string, to: &text)
    case .array(let elements):
      text.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { text.append(UInt8(ascii: ",")) }
        write(element, to: &text)
      }
      text.append(UInt8(ascii: "]"))
    case .object(let members):
      text.append(UInt8(ascii: "{"))
      for (index, key) in members.keys.sorted().enumerated() {
        if index > 0 { text.append(UInt8(ascii: ",")) }
        write(key, to: &text)
        text.append(UInt8(ascii: ":"))
        if let member = members[key] { write(member, to: &text) }
      }
      text.append(UInt8(ascii: "}"))
    }
  }

  private static func write(_ string: String, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    for byte in string.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        text += "\\u00".utf8
        text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
  }
}
