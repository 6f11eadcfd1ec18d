// What gateway.json may say, as data: the reader of the file, its JSON Schema and the tables of the documentation are made
// from the same values.

/// Which texts a key takes, in terms of a JSON Schema. Patterns are regular expressions of ECMA-262 without lookaround,
/// so that every validator knows them.
public struct SettingsText: Sendable {
  /// What the whole text must match; nil: anything.
  public var pattern: String?
  /// What it must not match.
  public var refused: [String]
  /// Least and most characters.
  public var length: ClosedRange<Int>
  /// Texts that are taken besides, and that editors offer.
  public var always: [String]

  /// A rule; without arguments any text passes.
  public init(
    _ pattern: String? = nil, refused: [String] = [], length: ClosedRange<Int> = 0 ... .max, always: [String] = []
  ) {
    self.pattern = pattern
    self.refused = refused
    self.length = length
    self.always = always
  }
}

/// What the value of a key is.
public indirect enum SettingsKind: Sendable {
  case text(SettingsText)
  case flag
  case integer(ClosedRange<Int>)
  case number(ClosedRange<Double>)
  /// A text such as `"10s"`.
  case duration(ClosedRange<Duration>)
  /// A text such as `"64KiB"`, in bytes.
  case size(ClosedRange<Int>)
  case choice([String])
  /// A reference to a secret; the rule is for one that stands in the file itself.
  case secret(SettingsText)
  /// Either of them, by the same rule.
  case textOrSecret(SettingsText)
  case array(SettingsKind, least: Int, unique: Bool)
  case object(SettingsObject)
  /// An object whose keys are names.
  case map(SettingsKind, names: SettingsText)
  /// An object whose keys depend on the value of one of them.
  case variants(key: String, [(value: String, object: SettingsObject)])
}

/// One key of an object.
public struct SettingsEntry: Sendable {
  /// When a key has to be there.
  public enum Presence: Sendable {
    /// It may be left out, and `null` is the same as that.
    case optional
    /// It must be there and not be `null`.
    case required
    /// It must be there; `null` says something.
    case written
  }

  /// The key.
  public var name: String
  /// What its value is.
  public var kind: SettingsKind
  /// What it is for, with the unit of a number; one or two sentences.
  public var meaning: String
  /// Whether it must be there.
  public var presence: Presence
  /// What counts when it is left out; nil: see `otherwise`, or nothing.
  public var fallback: JSONValue?
  /// What counts when it is left out, in words.
  public var otherwise: String?
  /// Values for editors and people.
  public var examples: [JSONValue]

  /// A key.
  public init(
    _ name: String, _ kind: SettingsKind, _ meaning: String, presence: Presence = .optional, fallback: JSONValue? = nil,
    otherwise: String? = nil, examples: [JSONValue] = []
  ) {
    self.name = name
    self.kind = kind
    self.meaning = meaning
    self.presence = presence
    self.fallback = fallback
    self.otherwise = otherwise
    self.examples = examples
  }
}

/// The keys of one object, and what they have to do with each other.
public struct SettingsObject: Sendable {
  /// In the order in which people read them.
  public var entries: [SettingsEntry]
  /// What holds between the keys.
  public var rules: [SettingsRule]
  let names: Set<String>

  /// An object. A key that stands twice counts once.
  public init(_ entries: [SettingsEntry], rules: [SettingsRule] = []) {
    var names: Set<String> = []
    self.entries = entries.filter { names.insert($0.name).inserted }
    self.rules = rules
    self.names = names
  }

  /// Keys behind these, and their rules.
  public func with(_ more: SettingsObject) -> SettingsObject {
    SettingsObject(entries + more.entries, rules: rules + more.rules)
  }

  /// The key of that name.
  public subscript(name name: String) -> SettingsEntry? { entries.first { $0.name == name } }
}

/// What must hold between the keys of an object.
public struct SettingsRule: Sendable {
  /// The rule in words, for a schema's reader.
  public var meaning: String
  /// When it counts; nil: always.
  public var condition: SettingsClaim?
  /// What must be true then.
  public var claim: SettingsClaim

  /// A rule.
  public init(_ meaning: String, when condition: SettingsClaim? = nil, _ claim: SettingsClaim) {
    self.meaning = meaning
    self.condition = condition
    self.claim = claim
  }
}

/// Something that an object's keys make true or false.
public indirect enum SettingsClaim: Sendable {
  /// The key is there and not `null`.
  case isSet(String)
  /// The key is there, if only as `null`.
  case isThere(String)
  /// The key is there with that value.
  case equals(String, JSONValue)
  /// The key is there with a text by the rule.
  case matches(String, SettingsText)
  /// The key is there with an array of texts, all by the rule.
  case allMatch(String, SettingsText)
  /// The key is there with an array that has the value among others.
  case containsBesides(String, JSONValue)
  /// One of the keys is set, and no other.
  case exactlyOne([String])
  case not(SettingsClaim)
  case all([SettingsClaim])
  case any([SettingsClaim])
}
