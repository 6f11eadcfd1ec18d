// What a key takes, in words: for the schema's descriptions, the documentation's tables and the lines below an error.
internal import TokenKit

enum SettingsWords {
  /// Meaning, unit, bounds and default.
  static func description(_ entry: SettingsEntry) -> String {
    var text = entry.meaning
    switch entry.kind {
    case .duration, .size, .integer, .number: text += " \(capitalized(value(entry.kind)))."
    default: break
    }
    if let otherwise = entry.otherwise { text += " When left out: \(otherwise)." }
    return text
  }

  /// The sort of value, with unit and bounds.
  static func value(_ kind: SettingsKind) -> String {
    switch kind {
    case .text: "text"
    case .flag: "true or false"
    case .integer(let bounds): "whole number from \(bounds.lowerBound) to \(bounds.upperBound)"
    case .number(let bounds): "number from \(bounds.lowerBound) to \(bounds.upperBound)"
    case .duration(let bounds):
      "duration (ms, s, m, h, d) from \(SettingsUnits.text(bounds.lowerBound)) to \(SettingsUnits.text(bounds.upperBound))"
    case .size(let bounds):
      "size (B, KiB, MiB, GiB) from \(SettingsUnits.text(bytes: bounds.lowerBound)) to "
        + SettingsUnits.text(bytes: bounds.upperBound)
    case .choice(let names): names.map { "\"\($0)\"" }.joined(separator: ", ")
    case .secret: "secret"
    case .textOrSecret: "text or secret"
    case .array(.object, _, _): "array of objects"
    case .array(let element, _, _): "array: \(value(element))"
    case .object, .variants: "object"
    case .map: "object: name, then value"
    }
  }

  /// Values for an entry that has no examples of its own.
  static func examples(_ kind: SettingsKind) -> [JSONValue] {
    switch kind {
    case .duration(let bounds):
      let usual: [Duration] = [.milliseconds(500), .seconds(10), .seconds(300), .seconds(3600)]
      return usual.filter(bounds.contains).map { .string(SettingsUnits.text($0)) }
    case .size(let bounds):
      return [1 << 10, 64 << 10, 10 << 20].filter(bounds.contains).map { .string(SettingsUnits.text(bytes: $0)) }
    case .secret: return [.object(["env": .string("NAME")]), .object(["file": .string("/run/secrets/name")])]
    default: return []
    }
  }

  /// What to write for the key: its meaning, what it takes, and an example. For the line below an error.
  static func help(_ entry: SettingsEntry) -> String {
    var text = "\(entry.name): \(value(entry.kind)). \(entry.meaning)"
    let examples = entry.examples.isEmpty ? examples(entry.kind) : entry.examples
    if let example = examples.first {
      text += " For example \(inline(example))."
    } else if let fallback = entry.fallback {
      text += " Default: \(inline(fallback))."
    }
    return text
  }

  /// A value on one line.
  static func inline(_ value: JSONValue) -> String {
    switch value {
    case .object(let members):
      let parts = members.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \(inline($0.value))" }
      return "{ \(parts.joined(separator: ", ")) }"
    case .array(let elements): return "[\(elements.map(inline).joined(separator: ", "))]"
    default: return SchemaJSON(value).text
    }
  }

  private static func capitalized(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }
}
