// Shows people what is wrong with a configuration file.
package import TokenKit

/// Lines such as `gateway.json:12:7: credentials.vinid.client_id: is missing`.
package enum ProblemReport {
  /// In the order of the file; what has no place in it comes first. Each problem once.
  package static func sorted(_ problems: [SettingsProblem]) -> [SettingsProblem] {
    let start = SettingsPosition(line: 0, column: 0)
    var seen: Set<SettingsProblem> = []
    return problems.filter { seen.insert($0).inserted }.enumerated().sorted { a, b in
      let (first, second) = (a.element.position ?? start, b.element.position ?? start)
      return first == second ? a.offset < b.offset : first < second
    }.map(\.element)
  }

  /// One line for each problem, without a newline at its end.
  package static func lines(_ problems: [SettingsProblem], file: String) -> [String] {
    problems.map { problem in
      var line = file
      if let position = problem.position { line += ":\(position.line):\(position.column)" }
      line += ": "
      if problem.severity == .warning { line += "warning: " }
      if !problem.path.isEmpty { line += problem.path + ": " }
      return printable(line + problem.message)
    }
  }

  /// The same with what belongs below each: the line of the file, a mark below the column, what the key is for.
  package static func excerpts(_ problems: [SettingsProblem], file: String) -> [String] {
    zip(lines(problems, file: file), problems).flatMap { [$0] + $1.excerpt }
  }

  /// `2 errors, 1 warning`; nil when there is nothing to count.
  package static func summary(_ problems: [SettingsProblem]) -> String? {
    let errors = problems.count { $0.severity == .error }
    let warnings = problems.count - errors
    let parts = [
      errors == 0 ? nil : errors == 1 ? "1 error" : "\(errors) errors",
      warnings == 0 ? nil : warnings == 1 ? "1 warning" : "\(warnings) warnings",
    ].compactMap(\.self)
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }

  /// Names and values come from the file: control characters must not reach a terminal.
  static func printable(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        shown += "\\u{\(String(scalar.value, radix: 16))}"
      default: shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }
}
