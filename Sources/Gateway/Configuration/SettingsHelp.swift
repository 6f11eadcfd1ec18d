// What the description says of the key that a problem is about: the last line below an error.
internal import TokenKit

enum SettingsHelp {
  /// One line; nil when there is nothing to say.
  static func line(_ problem: SettingsProblem, _ settings: SettingsObject) -> String? {
    guard !problem.path.isEmpty else { return nil }
    var kinds: [SettingsKind] = [.object(settings)]
    var entry: SettingsEntry?
    let steps = steps(problem.path)
    for (index, step) in steps.enumerated() {
      let found = kinds.flatMap { inner($0, step) }
      if found.isEmpty {
        return index == steps.count - 1 && !problem.message.contains("did you mean") ? names(kinds) : nil
      }
      kinds = found.map(\.kind)
      entry = found.first?.entry
    }
    return entry.map(SettingsWords.help)
  }

  private static func inner(_ kind: SettingsKind, _ step: String?) -> [(kind: SettingsKind, entry: SettingsEntry?)] {
    switch (kind, step) {
    case (.object(let object), let name?): object[name: name].map { [($0.kind, $0)] } ?? []
    case (.variants(_, let variants), let name?):
      variants.compactMap { $0.object[name: name].map { ($0.kind, $0) } }
    case (.map(let element, _), _?): [(element, nil)]
    case (.array(let element, _, _), nil): [(element, nil)]
    case (.secret, let name?), (.textOrSecret, let name?):
      SecretResolver.settings[name: name].map { [($0.kind, $0)] } ?? []
    default: []
    }
  }

  /// The keys that there are.
  private static func names(_ kinds: [SettingsKind]) -> String? {
    let names = kinds.flatMap { kind -> [String] in
      switch kind {
      case .object(let object): object.entries.map(\.name)
      case .secret, .textOrSecret: SecretResolver.settings.entries.map(\.name)
      // Which of them are right depends on the provider: too many to be of help.
      default: []
      }
    }
    var seen: Set<String> = []
    let unique = names.filter { seen.insert($0).inserted }
    return unique.isEmpty ? nil : "keys here: \(unique.joined(separator: ", "))"
  }

  /// A JSON path's keys, with nil for the elements of arrays.
  private static func steps(_ path: String) -> [String?] {
    var steps: [String?] = []
    var rest = Substring(path)
    while let first = rest.first {
      if first == "." {
        rest = rest.dropFirst()
      } else if rest.hasPrefix("[\"") {
        var name = ""
        rest = rest.dropFirst(2)
        while let character = rest.popFirst(), character != "\"" {
          name.append(character == "\\" ? rest.popFirst() ?? "\\" : character)
        }
        rest = rest.dropFirst()
        steps.append(name)
      } else if first == "[" {
        rest = rest.drop { $0 != "]" }.dropFirst()
        steps.append(nil)
      } else {
        let name = rest.prefix { $0 != "." && $0 != "[" }
        rest = rest.dropFirst(name.count)
        steps.append(String(name))
      }
    }
    return steps
  }
}
