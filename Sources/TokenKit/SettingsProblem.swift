// What is wrong with the configuration: collected while it is read, shown all at once.

/// One thing that is wrong with the configuration.
public struct SettingsProblem: Sendable, Hashable {
  /// How bad it is.
  public enum Severity: String, Sendable {
    /// The gateway does not start.
    case error
    /// `gateway check` mentions it.
    case warning
  }

  /// A JSON path such as `credentials.vinid.client_id` or `routes[2].upstream.url`.
  public var path: String
  /// What is wrong and what to do.
  public var message: String
  /// Error or warning.
  public var severity: Severity

  /// A problem at a place.
  public init(path: String, message: String, severity: Severity = .error) {
    self.path = path
    self.message = message
    self.severity = severity
  }
}

/// Collects what is wrong while a configuration is read. One per file; confined to the thread that reads.
public final class SettingsProblems {
  /// In the order found.
  public private(set) var all: [SettingsProblem] = []

  /// Nothing wrong yet.
  public init() {}

  /// Adds a problem.
  public func add(_ problem: SettingsProblem) { all.append(problem) }
}
