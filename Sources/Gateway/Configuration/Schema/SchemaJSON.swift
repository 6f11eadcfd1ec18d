// JSON whose members keep their order, as text for people.
internal import TokenKit

/// A value of the schema.
indirect enum SchemaJSON {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([SchemaJSON])
  case object([(key: String, value: SchemaJSON)])

  init(_ value: JSONValue) {
    self =
      switch value {
      case .null: .null
      case .bool(let value): .bool(value)
      case .number(let value): .number(value)
      case .string(let text): .string(text)
      case .array(let elements): .array(elements.map(SchemaJSON.init))
      case .object(let members):
        .object(members.sorted { $0.key < $1.key }.map { ($0.key, SchemaJSON($0.value)) })
      }
  }

  static func strings(_ texts: [String]) -> SchemaJSON { .array(texts.map(SchemaJSON.string)) }
  static func whole(_ number: Int) -> SchemaJSON { .number(Double(number)) }

  /// With two spaces a level; arrays of plain values on one line.
  var text: String {
    var output = ""
    write(to: &output, indent: "")
    return output
  }

  private var isPlain: Bool {
    switch self {
    case .array, .object: false
    default: true
    }
  }

  private func write(to output: inout String, indent: String) {
    let inner = indent + "  "
    switch self {
    case .null: output += "null"
    case .bool(let value): output += value ? "true" : "false"
    case .number(let value): output += Int(exactly: value).map(String.init) ?? "\(value)"
    case .string(let text): Self.write(text, to: &output)
    case .array(let elements) where elements.allSatisfy(\.isPlain):
      output += "["
      for (index, element) in elements.enumerated() {
        if index > 0 { output += ", " }
        element.write(to: &output, indent: inner)
      }
      output += "]"
    case .array(let elements):
      output += "[\n"
      for (index, element) in elements.enumerated() {
        output += inner
        element.write(to: &output, indent: inner)
        output += index < elements.count - 1 ? ",\n" : "\n"
      }
      output += indent + "]"
    case .object(let members) where members.isEmpty: output += "{}"
    case .object(let members) where members.count == 1 && members[0].value.isPlain:
      output += "{ "
      Self.write(members[0].key, to: &output)
      output += ": "
      members[0].value.write(to: &output, indent: inner)
      output += " }"
    case .object(let members):
      output += "{\n"
      for (index, member) in members.enumerated() {
        output += inner
        Self.write(member.key, to: &output)
        output += ": "
        member.value.write(to: &output, indent: inner)
        output += index < members.count - 1 ? ",\n" : "\n"
      }
      output += indent + "}"
    }
  }

  private static func write(_ text: String, to output: inout String) {
    output += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": output += "\\\(scalar)"
      case "\n": output += "\\n"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: output.unicodeScalars.append(scalar)
      }
    }
    output += "\""
  }
}
