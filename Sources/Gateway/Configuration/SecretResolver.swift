// Where secrets come from: the environment, files that nobody else can read, systemd, or the configuration file itself.
internal import Synchronization
internal import TokenKit

/// The secrets of a configuration that a command could not read: another process may have them, in its environment or
/// from systemd.
package final class UnreadSecrets: Sendable {
  private let list = Mutex<[String]>([])

  package init() {}

  /// Their JSON paths.
  package var paths: [String] { list.withLock { $0 } }

  /// Something in a secret's place: no two are alike, and all pass for what is asked of secrets.
  fileprivate func standIn(for path: String) -> Secret {
    let count = list.withLock { list in
      list.append(path)
      return list.count
    }
    if path == "store.url" { return Secret("postgres://unread@127.0.0.1/unread?sslmode=verify-full") }
    let digits = String(count, radix: 16)
    return Secret(String(repeating: "0", count: 64 - digits.count) + digits)
  }
}

/// Resolves the configuration's secret references. Relative file names count from the configuration's directory.
struct SecretResolver: SecretSource, Sendable {
  var environment: [String: String]
  var directory: String
  /// For who does not need the secrets; nil: one that can't be read is an error.
  var unread: UnreadSecrets?

  private static let largestFile = 64 * 1024
  private static let forms = #"{"env": "NAME"}, {"file": "path"}, {"credential": "NAME"} or {"value": "…"}"#

  private enum Key {
    static let variable = SettingsKey.text(
      "env", "The environment variable that holds it.", SettingsText(length: 1 ... .max)
    ).examples("CLIENT_SECRET")
    static let file = SettingsKey.text(
      "file", "The file that holds it: for its owner alone; one line end at its end does not count.",
      SettingsText(length: 1 ... .max)
    ).examples("/run/secrets/client-secret")
    static let credential = SettingsKey.text(
      "credential",
      "The name of a systemd credential (LoadCredential); without systemd, a file of that name in the folder "
        + "`credentials` beside gateway.json.",
      SettingsText(#"^[^/\u0000-\u001f]+$"#, refused: [#"^\.{1,2}$"#])
    ).examples("client-secret")
    static let value = SettingsKey.text(
      "value", "The secret itself, for trials: it stands in every copy of the file.", SettingsText(length: 1 ... .max))
  }

  /// Whether a key of a reference says where the secret is, which may be shown.
  static func namesPlace(_ key: String) -> Bool { key != Key.value.name && settings[name: key] != nil }

  /// The keys of a reference.
  static let settings = SettingsObject(
    [Key.variable.entry, Key.file.entry, Key.credential.entry, Key.value.entry],
    rules: [
      SettingsRule(
        "Exactly one of the keys is set.",
        .exactlyOne([Key.variable.name, Key.file.name, Key.credential.name, Key.value.name]))
    ])

  func secret(from value: JSONValue, path: String, problems: SettingsProblems) -> Secret? {
    func reject(_ message: String) -> Secret? {
      problems.add(SettingsProblem(path: path, message: message))
      return nil
    }
    func lacking(_ message: String) -> Secret? { unread?.standIn(for: path) ?? reject(message) }
    guard case .object(let members) = value else { return reject("must be \(Self.forms), not \(value.kind)") }
    let settings = SettingsReader(path: path, members: members, problems: problems, secrets: self)
    let before = problems.all.count
    let variable = settings.read(Key.variable)
    let file = settings.read(Key.file)
    let credential = settings.read(Key.credential)
    let text = settings.read(Key.value)
    settings.finish(Self.settings)
    if problems.all.count > before { return nil }
    switch (variable, file, credential, text) {
    case (let variable?, nil, nil, nil):
      guard let content = environment[variable] else { return lacking("environment variable \(variable) is not set") }
      return content.isEmpty ? lacking("environment variable \(variable) is empty") : Secret(content)
    case (nil, let file?, nil, nil):
      let (secret, refusal) = content(of: SystemFile.resolve(file, in: directory))
      return refusal.map { lacking($0) } ?? secret
    case (nil, nil, let name?, nil):
      let (secret, refusal) = self.credential(name)
      return refusal.map { lacking($0) } ?? secret
    case (nil, nil, nil, let text?):
      if text.isEmpty { return reject("is empty") }
      problems.add(
        SettingsProblem(
          path: path,
          message: #"is written into the file; {"env": …} or {"file": …} keeps it out of backups and diffs"#,
          severity: .warning))
      return Secret(text)
    default:
      return reject("must be one of \(Self.forms)")
    }
  }

  /// A file's content without one newline at its end, or why it is refused.
  func content(of path: String) -> (Secret?, refusal: String?) {
    let file: SystemFile
    do {
      file = try SystemFile.read(path, limit: Self.largestFile)
    } catch {
      return (nil, "file \(path) \(error.message)")
    }
    if let refusal = Self.refusal(of: file.status, path: path) { return (nil, refusal) }
    var bytes = file.bytes[...]
    if bytes.last == 0x0a {
      bytes.removeLast()
      if bytes.last == 0x0d { bytes.removeLast() }
    }
    if bytes.isEmpty { return (nil, "file \(path) is empty") }
    guard let text = String(validating: bytes, as: UTF8.self) else { return (nil, "file \(path) is not UTF-8 text") }
    return (Secret(text), nil)
  }

  /// Why a file may not hold a secret, with the command that mends it; nil: it may. Nobody but the owner may have any
  /// permission, save that root may let one group read (0640, 0440): so do systemd's credentials and Kubernetes'
  /// `fsGroup`, and so a package gives a service its secrets.
  static func refusal(of status: SystemFile.Status, path: String) -> String? {
    let quoted = "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
    if status.mode & 0o007 != 0 {
      let keepsGroup = status.owner == 0 && status.mode & 0o070 == 0o040
      return "file \(path) can be used by every user of the machine (mode \(status.octalMode)); run: "
        + "chmod \(keepsGroup ? "640" : "600") \(quoted)"
    }
    let groupMayRead = status.owner == 0 && status.mode & 0o030 == 0
    if status.mode & 0o070 != 0, !groupMayRead {
      return "file \(path) can be used by its group (mode \(status.octalMode)); run: chmod 600 \(quoted)"
    }
    return nil
  }
}
