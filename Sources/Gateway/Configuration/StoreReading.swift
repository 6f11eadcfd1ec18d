// Reads `store` and says what is wrong with it.
internal import TokenKit
internal import TokenService

struct StoreReading {
  /// Where relative paths count from.
  var directory: String
  var problems: SettingsProblems

  private enum Kind: String, CaseIterable { case sqlite, postgres }

  /// The default is a file beside the configuration.
  func read(_ settings: SettingsReader?) -> StoreConfiguration {
    let kind = settings?.choice("kind", default: Kind.sqlite) ?? .sqlite
    let place: StoreConfiguration.Place
    switch kind {
    case .sqlite: place = file(settings)
    case .postgres: place = database(settings)
    }
    let cipher = settings.map(cipher) ?? .none
    settings?.finish()
    return StoreConfiguration(place: place, cipher: cipher)
  }

  private func file(_ settings: SettingsReader?) -> StoreConfiguration.Place {
    let path = settings?.string("path") ?? "gateway.db"
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
    guard let text = settings.secret("url") else { return none }
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
    let key = key("encryption_key", settings)
    let previous = self.key("encryption_key_previous", settings)
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

  private func key(_ name: String, _ settings: SettingsReader) -> EncryptionKey? {
    guard let text = settings.secret(name) else { return nil }
    if let key = EncryptionKey(text) { return key }
    settings.reject(name, "must be \(EncryptionKey.form)")
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
