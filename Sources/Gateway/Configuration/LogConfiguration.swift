// The `log` part of the configuration: the operational log on standard error, and the access log.
internal import HTTPWire
package import Logging
internal import TokenKit

/// What is logged, and how.
package struct LogConfiguration: Sendable {
  /// How log lines look. The operational log knows no `combined` and stays JSON with it; the access log knows no `text`
  /// and takes `combined`, which is the text that its readers know.
  package enum Format: String, Sendable, CaseIterable { case json, text, combined }

  /// How lines of the access log look.
  package enum AccessFormat: Sendable { case json, combined }

  /// Where the access log goes.
  package enum AccessDestination: Sendable, Equatable {
    case off
    case standardOutput
    case standardError
    /// Absolute once loaded.
    case file(String)
  }

  /// Query parameters that carry tokens or passwords by RFC 6749, RFC 6750, RFC 7521 or OpenID Connect.
  package static let usualSecrets = [
    "access_token", "refresh_token", "id_token", "client_secret", "client_assertion", "assertion", "password",
  ]

  package var level: Logger.Level
  package var format: Format
  package var access: AccessDestination
  /// Query parameters whose values do not stand in the access log; letters in either case.
  package var redact: [String]

  package init(
    level: Logger.Level = .info, format: Format = .json, access: AccessDestination = .off,
    redact: [String] = usualSecrets
  ) {
    self.level = level
    self.format = format
    self.access = access
    self.redact = redact
  }

  private enum Key {
    static let level = SettingsKey.choice(
      "level", "Least severity in the operational log, which goes to standard error.", default: Logger.Level.info)
    static let format = SettingsKey.choice(
      "format",
      "How lines look. text: the operational log for people, the access log as combined; combined: the access log only.",
      default: Format.json)
    static let access = SettingsKey.text(
      "access",
      "Where the access log goes: off, stdout, stderr, or the path of a file (with a / or a . in it).",
      SettingsText(#"[/.]"#, refused: ["/$", #"\u0000"#], always: ["off", "stdout", "stderr"]), default: "off")
    static let redact = SettingsKey.texts(
      "redact", "Query parameters whose values do not stand in the access log; letters in either case.",
      SettingsText(length: 1 ... .max), default: usualSecrets)
  }

  /// The keys of `log`.
  static let settings = SettingsObject([Key.level.entry, Key.format.entry, Key.access.entry, Key.redact.entry])

  var accessFormat: AccessFormat { format == .json ? .json : .combined }

  /// - Parameter directory: where relative paths count from.
  init(_ settings: SettingsReader?, directory: String) {
    self.init()
    guard let settings else { return }
    level = settings.read(Key.level)
    format = settings.read(Key.format)
    redact = settings.read(Key.redact) ?? redact
    if redact.contains("") { settings.reject("redact", "must name query parameters, and one of the names is empty") }
    access = Self.destination(settings, directory)
    settings.finish(Self.settings)
  }

  private static func destination(_ settings: SettingsReader, _ directory: String) -> AccessDestination {
    guard let text = settings.read(Key.access) else { return .off }
    switch text {
    case "off": return .off
    case "stdout": return .standardOutput
    case "stderr": return .standardError
    default: break
    }
    // A bare word is a mistake sooner than a file.
    guard text.contains("/") || text.contains("."), !text.hasSuffix("/"), !text.utf8.contains(0) else {
      settings.reject(
        "access",
        "\"\(text)\" is not one of \"off\", \"stdout\", \"stderr\"; the path of a file has a \"/\" or a \".\" in it")
      return .off
    }
    let path = SystemFile.resolve(text, in: directory)
    if let problem = AccessLogFile.problem(path: path) { settings.reject("access", problem) }
    return .file(path)
  }
}
