// One key of gateway.json: how it is described, and how it is read. Whoever reads an object lists its keys as constants,
// and takes both from them.

/// A key and the type of what it gives.
public struct SettingsKey<Value>: Sendable {
  /// The key as documents show it.
  public var entry: SettingsEntry
  let read: @Sendable (SettingsReader) -> Value

  /// The key's name.
  public var name: String { entry.name }

  init(_ entry: SettingsEntry, _ read: @escaping @Sendable (SettingsReader) -> Value) {
    self.entry = entry
    self.read = read
  }

  /// The same key where something else is meant by leaving it out.
  public func otherwise(_ text: String) -> SettingsKey {
    var key = self
    key.entry.otherwise = text
    return key
  }

  /// The same key with examples.
  public func examples(_ texts: String...) -> SettingsKey {
    var key = self
    key.entry.examples = texts.map(JSONValue.string)
    return key
  }
}

extension SettingsReader {
  /// The value of a key, read as its description says. Problems are reported.
  public func read<Value>(_ key: SettingsKey<Value>) -> Value { key.read(self) }

  /// Reports every key that the description does not have, with the nearest that it has.
  public func finish(_ object: SettingsObject) {
    if keysAreAll(in: object.names) { return }
    for key in keys where !object.names.contains(key) {
      let nearest = EditDistance.nearest(to: key, among: object.entries.map(\.name))
      reject(key, "unknown key\(nearest.map { "; did you mean \"\($0)\"?" } ?? "")")
    }
  }
}

extension SettingsKey where Value == String? {
  /// A text.
  public static func text(
    _ name: String, _ meaning: String, _ rule: SettingsText = SettingsText(), default fallback: String? = nil
  ) -> SettingsKey {
    SettingsKey(SettingsEntry(name, .text(rule), meaning, fallback: fallback.map(JSONValue.string))) { $0.string(name) }
  }
}

extension SettingsKey where Value == String {
  /// A text that must be there and not be empty; an empty one stands for a reported error.
  public static func requiredText(
    _ name: String, _ meaning: String, _ rule: SettingsText = SettingsText(length: 1 ... .max)
  ) -> SettingsKey {
    SettingsKey(SettingsEntry(name, .text(rule), meaning, presence: .required)) { $0.requiredString(name) }
  }
}

extension SettingsKey where Value == Bool {
  /// `true` or `false`.
  public static func flag(_ name: String, _ meaning: String, default fallback: Bool = false) -> SettingsKey {
    SettingsKey(SettingsEntry(name, .flag, meaning, fallback: .bool(fallback))) { $0.flag(name, default: fallback) }
  }
}

extension SettingsKey where Value == Int? {
  /// A whole number.
  public static func integer(
    _ name: String, _ meaning: String, in bounds: ClosedRange<Int>, default fallback: Int? = nil
  ) -> SettingsKey {
    SettingsKey(
      SettingsEntry(name, .integer(bounds), meaning, fallback: fallback.map { .number(Double($0)) })
    ) { $0.integer(name, in: bounds) }
  }

  /// A size in bytes.
  public static func size(
    _ name: String, _ meaning: String, in bounds: ClosedRange<Int>, default fallback: Int? = nil
  ) -> SettingsKey {
    SettingsKey(
      SettingsEntry(name, .size(bounds), meaning, fallback: fallback.map { .string(SettingsUnits.text(bytes: $0)) })
    ) { $0.size(name, in: bounds) }
  }
}

extension SettingsKey where Value == Double? {
  /// A number.
  public static func number(
    _ name: String, _ meaning: String, in bounds: ClosedRange<Double>, default fallback: Double? = nil
  ) -> SettingsKey {
    SettingsKey(SettingsEntry(name, .number(bounds), meaning, fallback: fallback.map(JSONValue.number))) {
      $0.number(name, in: bounds)
    }
  }
}

extension SettingsKey where Value == Duration? {
  /// A duration.
  public static func duration(
    _ name: String, _ meaning: String, in bounds: ClosedRange<Duration>, default fallback: Duration? = nil
  ) -> SettingsKey {
    SettingsKey(
      SettingsEntry(name, .duration(bounds), meaning, fallback: fallback.map { .string(SettingsUnits.text($0)) })
    ) { $0.duration(name, in: bounds) }
  }
}

extension SettingsKey where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
  /// One of the raw values of an enumeration.
  public static func choice(_ name: String, _ meaning: String, default fallback: Value) -> SettingsKey {
    SettingsKey(
      SettingsEntry(name, .choice(Value.allCases.map(\.rawValue)), meaning, fallback: .string(fallback.rawValue))
    ) { $0.choice(name, default: fallback) }
  }

  /// One of the raw values, which must be there; `standIn` stands for a reported error.
  public static func requiredChoice(_ name: String, _ meaning: String, standIn: Value) -> SettingsKey {
    let names = Value.allCases.map(\.rawValue)
    return SettingsKey(SettingsEntry(name, .choice(names), meaning, presence: .required)) { settings in
      if !settings.isSet(name) {
        settings.reject(name, "is missing: \(names.map { "\"\($0)\"" }.joined(separator: " or "))")
      }
      return settings.choice(name, default: standIn)
    }
  }
}

extension SettingsKey where Value == Secret? {
  /// A reference to a secret.
  public static func secret(
    _ name: String, _ meaning: String, _ rule: SettingsText = SettingsText(length: 1 ... .max)
  ) -> SettingsKey {
    SettingsKey(SettingsEntry(name, .secret(rule), meaning)) { $0.secret(name) }
  }
}

extension SettingsKey where Value == HTTPURL? {
  /// An http or https URL.
  public static func url(
    _ name: String, _ meaning: String, _ rule: SettingsText = SettingsText(SettingsPatterns.url)
  ) -> SettingsKey {
    SettingsKey(SettingsEntry(name, .text(rule), meaning)) { $0.url(name) }
  }
}

extension SettingsKey where Value == [String]? {
  /// An array of texts.
  public static func texts(
    _ name: String, _ meaning: String, _ rule: SettingsText = SettingsText(), least: Int = 0, unique: Bool = false,
    default fallback: [String]? = nil
  ) -> SettingsKey {
    SettingsKey(
      SettingsEntry(
        name, .array(.text(rule), least: least, unique: unique), meaning,
        fallback: fallback.map { .array($0.map(JSONValue.string)) })
    ) { $0.strings(name) }
  }
}

extension SettingsKey where Value == SettingsReader? {
  /// A nested object; the caller finishes it.
  public static func object(
    _ name: String, _ meaning: String, _ object: SettingsObject, presence: SettingsEntry.Presence = .optional
  ) -> SettingsKey {
    SettingsKey(SettingsEntry(name, .object(object), meaning, presence: presence)) { $0.object(name) }
  }

  /// An object whose keys are names; the caller reads each.
  public static func map(
    _ name: String, _ meaning: String, _ kind: SettingsKind, names: SettingsText
  ) -> SettingsKey {
    SettingsKey(SettingsEntry(name, .map(kind, names: names), meaning)) { $0.object(name) }
  }
}

extension SettingsKey where Value == [SettingsReader] {
  /// An array of objects that must have one at least; the caller finishes each, and reports when there is none.
  public static func requiredObjects(_ name: String, _ meaning: String, _ object: SettingsObject) -> SettingsKey {
    SettingsKey(
      SettingsEntry(name, .array(.object(object), least: 1, unique: false), meaning, presence: .required)
    ) { $0.objects(name) }
  }
}

extension SettingsKey {
  /// A key of a sort of its own.
  public static func special(
    _ entry: SettingsEntry, _ read: @escaping @Sendable (SettingsReader) -> Value
  ) -> SettingsKey { SettingsKey(entry, read) }
}
