// What became of a reload, for those who asked for it, and for people who look later.
internal import TokenKit

/// One reload that is over. Holds no secret.
struct ReloadRecord: Sendable {
  /// Why it was made. Raw values stand in logs and answers.
  enum Cause: String, Sendable { case signal, admin }

  enum Result: Sendable {
    /// The new configuration is in force.
    case taken
    /// Nothing has changed.
    case refused
  }

  var time: WallTime
  var cause: Cause
  var took: Duration
  var result: Result
  /// Errors of a refused file, and warnings of either.
  var problems: [SettingsProblem]
  /// The file, as it was named.
  var file: String
  /// nil: nothing has.
  var changes: ConfigurationChanges?

  /// As an object.
  var json: String {
    var members = ["\"result\":\"\(result == .taken ? "success" : "refused")\"", "\"cause\":\"\(cause.rawValue)\""]
    members.append(CredentialReport.time("time", time))
    members.append("\"took_ms\":\(took.nanoseconds / 1_000_000)")
    members.append("\"file\":\(ProblemResponse.quoted(file))")
    if let changes { members.append("\"changes\":\(changes.json)") }
    members.append("\"problems\":[\(problems.map(Self.json).joined(separator: ",\n "))]")
    return "{\(members.joined(separator: ","))}"
  }

  private static func json(_ problem: SettingsProblem) -> String {
    var members = ["\"severity\":\"\(problem.severity.rawValue)\"", "\"path\":\(ProblemResponse.quoted(problem.path))"]
    if let position = problem.position {
      members.append("\"line\":\(position.line),\"column\":\(position.column)")
    }
    members.append("\"message\":\(ProblemResponse.quoted(problem.message))")
    if !problem.excerpt.isEmpty {
      members.append("\"excerpt\":[\(problem.excerpt.map(ProblemResponse.quoted).joined(separator: ","))]")
    }
    return "{\(members.joined(separator: ","))}"
  }
}
