// Reads `store` and says what is wrong with it.
internal import TokenKit
internal import TokenService

struct StoreReading {
  /// Where relative paths count from.
  var directory: String
  var problems: SettingsProblems

  private enum Kind: String, CaseIterable { case sqlite, postgres }

  private enum Key {
    static let kind = SettingsKey.choice(
      "kind", "A file for one process, or a PostgreSQL database that replicas share.", default: Kind.sqlite)
    static let path = SettingsKey.text(
      "path",
      "The SQLite file, mode 0600, in a directory for its owner alone, which is made when it is missing.",
      SettingsText(refused: ["/$"], length: 1 ... .max), default: "gateway.db")
    static let url = SettingsKey.secret(
      "url", "The PostgreSQL database, as a secret: postgres://user:password@host:5432/database.",
      SettingsText("^postgres(?:ql)?://"))
    static let key = SettingsKey.secret(
      "encryption_key",
      "32 bytes in base64 or as 64 hexadecimal digits (openssl rand -base64 32): tokens at rest are encrypted with "
        + "AES-256-GCM.", keyText)
    static let previous = SettingsKey.secret(
      "encryption_key_previous", "The key before it, which is only read with.", keyText)
    private static let keyText = SettingsText("^(?:[0-9A-Fa-f]{64}|[A-Za-z0-9+/_-]{43}={0,2})$")
  }

  /// The keys of `store`.
  static let settings = SettingsObject(
    [Key.kind.entry, Key.path.entry, Key.url.entry, Key.key.entry, Key.previous.entry],
    rules: [
      SettingsRule(
        "\"kind\": \"postgres\" needs \"url\" and has no \"path\".", when: isShared,
        .all([.isSet("url"), .not(.isThere("path"))])),
      SettingsRule("\"kind\": \"sqlite\" has no \"url\".", when: .not(isShared), .not(.isThere("url"))),
      SettingsRule(
        "\"encryption_key_previous\" needs \"encryption_key\".", when: .isSet("encryption_key_previous"),
        .isSet("encryption_key")),
    ])
  private static let isShared = SettingsClaim.equals("kind", .string(Kind.postgres.rawValue))

  /// The default is a file beside the configuration.
  func read(_ settings: SettingsReader?) -> StoreConfiguration {
    let kind = settings?.read(Key.kind) ?? .sqlite
    let place: StoreConfiguration.Place
    switch kind {
    case .sqlite: place = file(settings)
    case .postgres: place = database(settings)
    }
    let cipher = settings.map(cipher) ?? .none
    settings?.finish(Self.settings)
    return StoreConfiguration(place: place, cipher: cipher)
  }

  private func file(_ settings: SettingsReader?) -> StoreConfiguration.Place {
    let path = settings?.read(Key.path) ?? "gateway.db"
    if path.isEmpty || path.hasSuffix("/") { settings?.reject("path", "must name a file") }
    if let settings, settings.has("url") {
      settings.reject("url", "belongs to \"kind\": \"postgres\"; an SQLite store has a \"path\"")
    }
    let resolved = SystemFile.resolve(path, in: directory)
    warnOfDirectory(SystemFile.directory(of: resolved))
    return .sqlite(path: resolved)
  }

  private func database(_ settings: SettingsReader?) -> StoreConfiguration.Place {
    let none = StoreConfiguration.Place.sqlite(path: "")
    guard let settings else { return none }
    if settings.has("path") {
      settings.reject("path", "belongs to \"kind\": \"sqlite\"; a PostgreSQL store has a \"url\"")
    }
    guard settings.isSet("url") else {
      settings.reject(
        "url",
        "is missing; write for example {\"env\": \"GATEWAY_STORE_URL\"} and set that to "
          + "postgres://user:password@host:5432/database")
      return none
    }
    guard let text = settings.read(Key.url) else { return none }
    do throws(PostgresURL.Malformed) {
      let url = try PostgresURL(text)
      if url.trustsTheNetwork {
        settings.warn(
          "url", "does not check who the server is, and tokens may cross the network in clear: add sslmode=verify-full")
      }
      return .postgres(url)
    } catch {
      settings.reject("url", error.message)
      return none
    }
  }

  private func cipher(_ settings: SettingsReader) -> TokenCipher {
    let key = key(Key.key, settings)
    let previous = self.key(Key.previous, settings)
    if settings.isSet("encryption_key_previous") {
      if !settings.isSet("encryption_key") {
        settings.reject(
          "encryption_key_previous", "is only read: give the key to write with in \"encryption_key\"")
      } else if let key, key == previous {
        settings.warn("encryption_key_previous", "is the same key as \"encryption_key\"; leave it out")
      }
    }
    return TokenCipher(key: key, previous: previous)
  }

  private func key(_ described: SettingsKey<Secret?>, _ settings: SettingsReader) -> EncryptionKey? {
    guard let text = settings.read(described) else { return nil }
    if let key = EncryptionKey(text) { return key }
    settings.reject(described.name, "must be \(EncryptionKey.form)")
    return nil
  }

  /// The store itself decides when it is opened, and makes a directory that is not there; `check` may run on another
  /// machine than `serve`. So this is a warning.
  private func warnOfDirectory(_ directory: String) {
    let message: String
    do {
      let status = try SystemFile.status(directory)
      if !status.isDirectory {
        message = "\(directory) is not a directory"
      } else if status.mode & 0o066 != 0 {
        message =
          "others can read or write the directory \(directory) (mode \(status.octalMode)), so the store will not open: "
          + "run chmod 700 \(directory), or name a directory that does not exist yet, which is made with mode 700"
      } else {
        return
      }
    } catch {
      if error.isMissing { return }
      message = "directory \(directory) \(error.message)"
    }
    problems.add(SettingsProblem(path: "store.path", message: message, severity: .warning))
  }
}
