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
  /// Where in the file; filled in when all of it has been read, nil when the file as a whole is meant.
  public var position: SettingsPosition?

  /// What people see below it, filled in with the position: the line of the file with a mark below the column, and what
  /// the key is for. Values of secrets are not in it.
  public var excerpt: [String] = []

  /// A problem at a place.
  public init(path: String, message: String, severity: Severity = .error, position: SettingsPosition? = nil) {
    self.path = path
    self.message = message
    self.severity = severity
    self.position = position
  }
}

/// A place in the text of a configuration file.
public struct SettingsPosition: Sendable, Hashable, Comparable {
  /// From 1.
  public var line: Int
  /// In characters (Unicode scalars), from 1.
  public var column: Int

  /// A place from its line and column.
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  /// Order in the file.
  public static func < (a: SettingsPosition, b: SettingsPosition) -> Bool { (a.line, a.column) < (b.line, b.column) }
}

/// JSON paths as problems name them.
public enum SettingsPath {
  /// `path.key`, or `path["a key"]` where the key is not made of letters, digits, `_` and `-` alone.
  public static func member(_ key: String, of path: String) -> String {
    let plain = key.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    if plain, !key.isEmpty { return path.isEmpty ? key : "\(path).\(key)" }
    var quoted = ""
    for scalar in key.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { quoted.append("\\") }
      quoted.unicodeScalars.append(scalar)
    }
    return "\(path)[\"\(quoted)\"]"
  }

  /// `path[index]`.
  public static func element(_ index: Int, of path: String) -> String { "\(path)[\(index)]" }
}

/// Collects what is wrong while a configuration is read. One per file; confined to the thread that reads.
public final class SettingsProblems {
  /// So many warnings of one wording say enough: the last one speaks for those that follow.
  private static let likeWarnings = 100

  /// In the order found; all errors.
  public private(set) var all: [SettingsProblem] = []
  private var warnings: [String: Int] = [:]

  /// Nothing wrong yet.
  public init() {}

  /// Adds a problem.
  public func add(_ problem: SettingsProblem) {
    guard problem.severity == .warning else { return all.append(problem) }
    let count = warnings[problem.message, default: 0] + 1
    warnings[problem.message] = count
    if count <= Self.likeWarnings { all.append(problem) }
    guard count == Self.likeWarnings else { return }
    all[all.count - 1].message += " (and so may be others: this is shown \(Self.likeWarnings) times at most)"
  }
}
