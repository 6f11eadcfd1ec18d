// The tables of docs/configuration.md: every key with what it takes, its default and its meaning.
internal import TokenKit

enum SettingsTables {
  private struct Table {
    var title: String
    var text: String?
    var object: SettingsObject
  }

  /// All of the file.
  static func document(_ root: SettingsObject) -> String {
    var lines = [
      "# Configuration", "",
      "All keys of `gateway.json`. This page is what `gateway schema --markdown` prints; `gateway schema` prints the same as",
      "a JSON Schema. Durations are texts such as `\"500ms\"`, `\"10s\"`, `\"5m\"`, `\"720h\"`, `\"30d\"`; sizes such as",
      "`\"512B\"`, `\"64KiB\"`, `\"10MiB\"`, `\"1GiB\"`. `null` is the same as leaving a key out where nothing else is said.",
      "Relative paths count from the directory of the file. Unknown keys are errors.",
    ]
    let secret = Table(
      title: "Secrets", text: "Wherever a value is a *secret*, write an object with one of these keys.",
      object: SecretResolver.settings)
    for table in [Table(title: "Top level", text: nil, object: root)] + tables(root, path: "") + [secret] {
      lines += ["", "## \(table.title)", ""]
      if let text = table.text { lines += [text, ""] }
      lines += ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
      lines += table.object.entries.map(row)
      if !table.object.rules.isEmpty { lines += [""] + table.object.rules.map { "- \(cell($0.meaning))" } }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func tables(_ object: SettingsObject, path: String) -> [Table] {
    object.entries.flatMap { entry -> [Table] in
      let name = SettingsPath.member(entry.name, of: path)
      switch entry.kind {
      case .object(let inner): return table("`\(name)`", entry, inner) + tables(inner, path: name)
      case .array(.object(let inner), _, _):
        return table("`\(name)[]`", entry, inner) + tables(inner, path: "\(name)[]")
      case .map(.variants(let key, let variants), _):
        return variants.flatMap { variant in
          table("`\(name).NAME` with `\"\(key)\": \"\(variant.value)\"`", entry, variant.object)
        }
      default: return []
      }
    }
  }

  private static func table(_ title: String, _ entry: SettingsEntry, _ object: SettingsObject) -> [Table] {
    [Table(title: title, text: entry.meaning, object: object)]
  }

  private static func row(_ entry: SettingsEntry) -> String {
    let fallback =
      entry.fallback.map { "`\(SettingsWords.inline($0))`" } ?? entry.otherwise
      ?? (entry.presence == .optional ? "" : "must be there")
    let cells = ["`\(entry.name)`", SettingsWords.value(entry.kind), fallback, entry.meaning]
    return "| \(cells.map(cell).joined(separator: " | ")) |"
  }

  private static func cell(_ text: String) -> String {
    text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }
}
