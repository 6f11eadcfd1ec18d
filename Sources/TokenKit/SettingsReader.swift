// Reads one JSON object of gateway.json, strictly. Providers read their own keys with it, the gateway all others; each
// describes its keys as `SettingsKey` values and reads them by these.

/// Where a secret's content comes from; the gateway implements it with the environment and files.
public protocol SecretSource {
  /// Resolves `{"env": …}`, `{"file": …}` or `{"value": …}`. Problems go to `problems` under `path`.
  func secret(from value: JSONValue, path: String, problems: SettingsProblems) -> Secret?
}

/// One JSON object that is being read. Every key is asked for by name; `finish()` reports those that nobody asked for,
/// with the nearest known key. A reader is confined to the thread that reads.
public final class SettingsReader {
  /// JSON path of the object, empty at the top.
  public let path: String
  /// Where problems go; shared by all readers of a file.
  public let problems: SettingsProblems
  let secrets: any SecretSource
  private var members: [String: JSONValue]
  /// Every key that was asked for, as often as it was.
  private var known: [String] = []

  /// A reader over the members of one object.
  public init(path: String, members: [String: JSONValue], problems: SettingsProblems, secrets: any SecretSource) {
    self.path = path
    self.members = members
    self.problems = problems
    self.secrets = secrets
  }

  /// All keys that the object has, sorted.
  public var keys: [String] { members.keys.sorted() }

  func keysAreAll(in names: Set<String>) -> Bool { members.keys.allSatisfy(names.contains) }

  /// The JSON path of a key.
  public func path(of key: String) -> String { SettingsPath.member(key, of: path) }

  /// Reports an error at a key, or at the object itself.
  public func reject(_ key: String?, _ message: String) {
    problems.add(SettingsProblem(path: key.map(path(of:)) ?? path, message: message))
  }

  /// Reports a warning at a key, or at the object itself.
  public func warn(_ key: String?, _ message: String) {
    problems.add(SettingsProblem(path: key.map(path(of:)) ?? path, message: message, severity: .warning))
  }

  /// Whether the object has the key; asking makes it known.
  public func has(_ key: String) -> Bool { value(key) != nil }

  /// Whether the key has a value other than `null`; asking makes it known.
  public func isSet(_ key: String) -> Bool { value(key).map { $0 != .null } ?? false }

  /// The raw value of a key, nil when absent. `null` is a value.
  public func value(_ key: String) -> JSONValue? {
    known.append(key)
    return members[key]
  }

  /// Like `value`, but `null` counts as absent and a value of another kind is an error.
  private func typed<T>(_ key: String, _ expected: String, _ convert: (JSONValue) -> T?) -> T? {
    guard let value = value(key), value != .null else { return nil }
    if let converted = convert(value) { return converted }
    reject(key, "must be \(expected), not \(value.kind)")
    return nil
  }

  /// A string, nil when absent.
  public func string(_ key: String) -> String? {
    typed(key, "a string") { if case .string(let text) = $0 { text } else { nil } }
  }

  /// A string that must be there and not be empty; an empty string stands for a reported error.
  public func requiredString(_ key: String) -> String {
    if let value = members[key], value != .null {
      guard let text = string(key) else { return "" }
      if text.isEmpty { reject(key, "must not be empty") }
      return text
    }
    _ = value(key)
    reject(key, "is missing")
    return ""
  }

  /// A boolean.
  public func flag(_ key: String, default fallback: Bool) -> Bool {
    typed(key, "true or false") { if case .bool(let value) = $0 { value } else { nil } } ?? fallback
  }

  /// A number within bounds, nil when absent.
  public func number(_ key: String, in bounds: ClosedRange<Double>) -> Double? {
    guard let value = typed(key, "a number", { if case .number(let value) = $0 { value } else { nil } }) else {
      return nil
    }
    guard bounds.contains(value) else {
      reject(key, "must be between \(bounds.lowerBound) and \(bounds.upperBound)")
      return nil
    }
    return value
  }

  /// A whole number within bounds, nil when absent.
  public func integer(_ key: String, in bounds: ClosedRange<Int>) -> Int? {
    guard let value = typed(key, "a whole number", { if case .number(let value) = $0 { value } else { nil } }) else {
      return nil
    }
    guard let whole = Int(exactly: value), bounds.contains(whole) else {
      reject(key, "must be a whole number between \(bounds.lowerBound) and \(bounds.upperBound)")
      return nil
    }
    return whole
  }

  /// A duration such as `"10s"`, `"500ms"`, `"5m"`, `"720h"`, nil when absent.
  public func duration(_ key: String) -> Duration? {
    guard let text = typed(key, "a duration such as \"10s\"", { if case .string(let text) = $0 { text } else { nil } })
    else { return nil }
    guard let duration = SettingsUnits.duration(text) else {
      reject(key, "\"\(text)\" is not a duration; write for example \"500ms\", \"10s\", \"5m\" or \"720h\"")
      return nil
    }
    return duration
  }

  /// A duration within bounds, nil when absent.
  public func duration(_ key: String, in bounds: ClosedRange<Duration>) -> Duration? {
    guard let duration = duration(key) else { return nil }
    guard bounds.contains(duration) else {
      let (least, most) = (SettingsUnits.text(bounds.lowerBound), SettingsUnits.text(bounds.upperBound))
      reject(key, "must be between \"\(least)\" and \"\(most)\"")
      return nil
    }
    return duration
  }

  /// A size within bounds, in bytes, nil when absent.
  public func size(_ key: String, in bounds: ClosedRange<Int>) -> Int? {
    guard let size = size(key) else { return nil }
    guard bounds.contains(size) else {
      let (least, most) = (SettingsUnits.text(bytes: bounds.lowerBound), SettingsUnits.text(bytes: bounds.upperBound))
      reject(key, "must be between \"\(least)\" and \"\(most)\"")
      return nil
    }
    return size
  }

  /// A size in bytes such as `"64KiB"`, nil when absent.
  public func size(_ key: String) -> Int? {
    guard let text = typed(key, "a size such as \"64KiB\"", { if case .string(let text) = $0 { text } else { nil } })
    else { return nil }
    guard let size = SettingsUnits.size(text) else {
      reject(key, "\"\(text)\" is not a size; write for example \"512B\", \"64KiB\" or \"10MiB\"")
      return nil
    }
    return size
  }

  /// One of the raw values of an enumeration.
  public func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, default fallback: Choice) -> Choice
  where Choice.RawValue == String {
    guard let text = string(key) else { return fallback }
    if let choice = Choice(rawValue: text) { return choice }
    let names = Choice.allCases.map(\.rawValue)
    let nearest = EditDistance.nearest(to: text, among: names).map { ", did you mean \"\($0)\"?" } ?? ""
    reject(key, "\"\(text)\" is not one of \(names.map { "\"\($0)\"" }.joined(separator: ", "))\(nearest)")
    return fallback
  }

  /// A secret reference (`{"env": …}`, `{"file": …}`, `{"value": …}`), nil when absent or unreadable.
  public func secret(_ key: String) -> Secret? {
    guard let value = value(key), value != .null else { return nil }
    return secrets.secret(from: value, path: path(of: key), problems: problems)
  }

  /// An array of strings, nil when absent.
  public func strings(_ key: String) -> [String]? {
    typed(key, "an array of strings") { value in
      guard case .array(let elements) = value else { return nil }
      var texts: [String] = []
      for element in elements {
        guard case .string(let text) = element else { return nil }
        texts.append(text)
      }
      return texts
    }
  }

  /// An http or https URL; nil when absent or malformed (then reported).
  public func url(_ key: String) -> HTTPURL? {
    guard let text = string(key) else { return nil }
    switch HTTPURL.parse(text) {
    case .success(let url): return url
    case .failure(let problem):
      // What may be a password (user information) or a secret parameter (query) is not repeated.
      let shown = text.contains("@") ? "the URL" : "\"\(text.prefix { $0 != "?" })\""
      reject(key, "\(shown) \(problem.message)")
      return nil
    }
  }

  /// A nested object, nil when absent. The caller finishes it.
  public func object(_ key: String) -> SettingsReader? {
    guard let members = typed(key, "an object", { if case .object(let members) = $0 { members } else { nil } }) else {
      return nil
    }
    return SettingsReader(path: path(of: key), members: members, problems: problems, secrets: secrets)
  }

  /// An array of objects, empty when absent. The caller finishes each.
  public func objects(_ key: String) -> [SettingsReader] {
    let elements: [JSONValue] =
      typed(key, "an array of objects") { if case .array(let elements) = $0 { elements } else { nil } } ?? []
    var readers: [SettingsReader] = []
    for (index, element) in elements.enumerated() {
      let elementPath = SettingsPath.element(index, of: path(of: key))
      if case .object(let members) = element {
        readers.append(SettingsReader(path: elementPath, members: members, problems: problems, secrets: secrets))
      } else {
        problems.add(SettingsProblem(path: elementPath, message: "must be an object, not \(element.kind)"))
      }
    }
    return readers
  }

  /// Reports every key that was not asked for.
  public func finish() {
    let unknown: [String]
    if members.count > 32 {
      let all = Set(known)
      unknown = members.keys.filter { !all.contains($0) }
    } else {
      unknown = members.keys.filter { !known.contains($0) }
    }
    if unknown.isEmpty { return }
    let names = Set(known).sorted()
    for key in unknown.sorted() {
      let nearest = EditDistance.nearest(to: key, among: names).map { "; did you mean \"\($0)\"?" } ?? ""
      reject(key, "unknown key\(nearest)")
    }
  }
}
