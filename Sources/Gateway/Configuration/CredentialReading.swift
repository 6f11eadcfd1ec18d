// Reads one entry of `credentials`: the keys that all have are read here, the provider reads its own.
internal import TokenKit

/// Reads credentials; can read one again later, when its secret files may have changed.
struct CredentialReading: Sendable {
  private let registry: ProviderRegistry
  private let secrets: SecretResolver
  /// The keys of each provider's credentials: there may be very many credentials.
  private let keys: [String: SettingsObject]

  init(registry: ProviderRegistry, secrets: SecretResolver) {
    self.registry = registry
    self.secrets = secrets
    keys = Dictionary(registry.types.map { ($0.id, CredentialKeys.settings(of: $0)) }) { first, _ in first }
  }

  /// Reads one credential. Nil when its provider is not known; every other problem leaves a value that must not be used.
  func read(name: String, members: [String: JSONValue], problems: SettingsProblems) -> CredentialConfiguration? {
    let settings = SettingsReader(
      path: SettingsPath.member(name, of: "credentials"), members: members, problems: problems, secrets: secrets)
    if !Self.isName(name) {
      settings.reject(nil, "\"\(name)\" is not a name: use up to 64 letters, digits and the characters _ . -")
    }
    let id = settings.requiredString(CredentialKeys.provider)
    guard let type = registry.provider(id) else {
      // Without the provider nobody knows which of the other keys are right.
      if !id.isEmpty {
        let ids = registry.types.map { $0.id }.sorted()
        let nearest = EditDistance.nearest(to: id, among: ids).map { "; did you mean \"\($0)\"?" }
        settings.reject(
          "provider", "\"\(id)\" is not a provider\(nearest ?? "; there are \(ids.joined(separator: ", "))")")
      }
      return nil
    }

    let before = problems.all.count
    let provider = type.init(settings: settings)
    let providerIsSound = !problems.all[before...].contains { $0.severity == .error }
    let traits = provider.traits
    var credential = CredentialConfiguration(name: name, providerID: id, provider: provider)
    credential.seed = seed(settings, provider)
    readFields(settings, into: &credential, traits)
    readPolicy(settings, into: &credential, traits)
    readTransport(settings, into: &credential)
    if providerIsSound {
      checkTokenURLs(settings, traits, allowPlaintext: credential.allowPlaintext)
      checkAuthorizationURL(settings, provider, allowPlaintext: credential.allowPlaintext)
    }
    if let known = keys[id] { settings.finish(known) }
    credential.readsFiles = members.values.contains(where: Self.readsFile)
    // What is kept for it is text: a tree of values takes several times as much.
    let text = credential.readsFiles ? JSONWriter.text(.object(members)) : []
    credential.remake = { [self] in
      let problems = SettingsProblems()
      guard case .object(let members)? = try? JSONText.parse(text, problems: problems).value,
        let again = read(name: name, members: members, problems: problems),
        !problems.all.contains(where: { $0.severity == .error })
      else { return nil }
      return RemadeCredential(provider: again.provider, seed: again.seed, extraFields: again.extraFields)
    }
    return credential
  }

  /// Whether there is a secret in a file in this, at any depth; systemd's credentials are files too.
  private static func readsFile(_ value: JSONValue) -> Bool {
    guard case .object(let members) = value else { return false }
    return members["file"] != nil || members["credential"] != nil || members.values.contains(where: readsFile)
  }

  private func seed(_ settings: SettingsReader, _ provider: any TokenProvider) -> Secret? {
    let isThere = settings.isSet("refresh_token")
    guard provider.traits.usesRefreshToken else {
      if isThere { settings.reject("refresh_token", "is not used by this grant; take it away") }
      return nil
    }
    guard isThere else {
      // Whoever has written down where to log in means to do that.
      if settings.isSet("authorization_url") { return nil }
      let form = #"write {"env": "NAME"} or {"file": "path"}"#
      if let login = provider as? any AuthorizationCodeProvider, case .success = login.authorization {
        settings.warn("refresh_token", "is missing: until somebody runs gateway login there is no token; or \(form)")
      } else {
        settings.reject("refresh_token", "is missing; \(form)")
      }
      return nil
    }
    return settings.read(CredentialKeys.refreshToken)
  }

  /// How the token and what goes with it are put on requests.
  private func readFields(
    _ settings: SettingsReader, into credential: inout CredentialConfiguration, _ traits: ProviderTraits
  ) {
    credential.header = settings.read(CredentialKeys.header) ?? credential.header
    if let problem = FieldRules.problem(ofName: credential.header) {
      settings.reject("header", "\"\(credential.header)\" \(problem)")
    }
    credential.scheme = settings.read(CredentialKeys.scheme) ?? credential.scheme
    if !credential.scheme.isEmpty, !HeaderText.isToken(credential.scheme) {
      settings.reject(
        "scheme", "\"\(credential.scheme)\" is not a scheme such as \"Bearer\"; \"\" sends the bare token")
    }
    var taken: Set<String> = [HeaderText.folded(credential.header)]
    if let extra = settings.read(CredentialKeys.extraHeaders) {
      for name in extra.keys {
        let value: Secret?
        switch extra.value(name) {
        case .string(let text): value = Secret(text)
        case .object: value = extra.secret(name)
        case let other:
          value = nil
          extra.reject(name, "must be a string or a secret, not \(other?.kind ?? "nothing")")
        }
        if let problem = FieldRules.problem(ofName: name) {
          extra.reject(name, "\"\(name)\" \(problem)")
        } else if !taken.insert(HeaderText.folded(name)).inserted {
          extra.reject(name, "stands for a field that is set already")
        }
        if let value, !HeaderText.isValue(value.reveal()) {
          extra.reject(name, "has characters that a header field can't carry")
        } else if let value {
          credential.extraFields.append((name, value))
        }
      }
    }
    // What the file sets itself wins over the provider's field of that name.
    for field in traits.requestFields where taken.insert(HeaderText.folded(field.name)).inserted {
      if !HeaderText.isValue(field.value) {
        settings.reject(nil, "the value for the field \(field.name) has characters that a header field can't carry")
      }
      credential.extraFields.append((field.name, Secret(field.value)))
    }
  }

  /// When tokens are refreshed.
  private func readPolicy(
    _ settings: SettingsReader, into credential: inout CredentialConfiguration, _ traits: ProviderTraits
  ) {
    credential.refreshAt = settings.read(CredentialKeys.refreshAt) ?? credential.refreshAt
    credential.minRefreshInterval =
      settings.read(CredentialKeys.minRefreshInterval) ?? credential.minRefreshInterval
    credential.maxPerMinute = settings.read(CredentialKeys.maxPerMinute)
    credential.defaultLifetime =
      settings.read(CredentialKeys.defaultLifetime) ?? credential.defaultLifetime
    credential.refreshTokenLifetime =
      settings.read(CredentialKeys.refreshTokenLifetime) ?? traits.refreshTokenLifetime
    if let written = settings.value(CredentialKeys.rejectionStatus.name), written != .null {
      if let statuses = Self.statuses(written) {
        credential.rejectionStatuses = statuses
      } else {
        settings.reject(
          CredentialKeys.rejectionStatus.name, "must be an array of HTTP statuses between 400 and 599, such as [401]")
      }
    }
  }

  /// How the token endpoint is reached.
  private func readTransport(_ settings: SettingsReader, into credential: inout CredentialConfiguration) {
    credential.caFile = CertificateFile.read(settings, CredentialKeys.caFile, directory: secrets.directory)
    credential.allowPlaintext = settings.read(CredentialKeys.allowPlaintext)
    credential.proxy = settings.read(CredentialKeys.proxy)
    if let proxy = credential.proxy, proxy.pathAndQuery != "/" {
      settings.reject("proxy", "must be scheme, host and port alone")
    }
  }

  private func checkTokenURLs(_ settings: SettingsReader, _ traits: ProviderTraits, allowPlaintext: Bool) {
    for text in traits.tokenURLs {
      // Providers call the key `token_url`; one that makes its URL otherwise is reported as a whole.
      let key = settings.keys.contains("token_url") ? "token_url" : nil
      switch HTTPURL.parse(text) {
      case .failure(let problem): settings.reject(key, "the token URL \(problem.message)")
      case .success(let url):
        if !url.isTLS, !url.isLoopback, !allowPlaintext {
          settings.reject(
            key,
            "http://\(url.authority) would carry secrets over the network unencrypted; use https, or write "
              + "\"allow_plaintext\": true")
        }
      }
    }
  }

  /// The code that comes back from there is as good as a token to whoever has the verifier, and people type passwords.
  private func checkAuthorizationURL(_ settings: SettingsReader, _ provider: any TokenProvider, allowPlaintext: Bool) {
    guard let login = provider as? any AuthorizationCodeProvider, case .success(let endpoint) = login.authorization,
      settings.isSet("authorization_url"), !endpoint.url.isTLS, !endpoint.url.isLoopback, !allowPlaintext
    else { return }
    settings.reject(
      "authorization_url",
      "people would log in at http://\(endpoint.url.authority) over an unencrypted network; use https, or write "
        + "\"allow_plaintext\": true")
  }

  private static func statuses(_ value: JSONValue) -> [UInt16]? {
    guard case .array(let elements) = value else { return nil }
    var statuses: [UInt16] = []
    for element in elements {
      guard case .number(let number) = element, let status = UInt16(exactly: number), (400...599).contains(status),
        !statuses.contains(status)
      else { return nil }
      statuses.append(status)
    }
    return statuses.sorted()
  }

  /// Names stand in URLs, logs and metrics.
  private static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 64
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  /// Reports credentials that start from one refresh token: the first to use it would spend it for both.
  static func checkSeeds(_ credentials: [CredentialConfiguration], problems: SettingsProblems) {
    var owners: [Secret: String] = [:]
    for credential in credentials {
      guard let seed = credential.seed else { continue }
      if let owner = owners.updateValue(credential.name, forKey: seed) {
        problems.add(
          SettingsProblem(
            path: SettingsPath.member(
              "refresh_token", of: SettingsPath.member(credential.name, of: "credentials")),
            message: "is the refresh token of credential \"\(owner)\" too; two credentials can't share one: use one "
              + "credential in several routes, or log in twice"))
      }
    }
  }
}

/// `ca_file`, for upstreams and token endpoints.
enum CertificateFile {
  /// The key.
  static func key(_ meaning: String) -> SettingsKey<String?> {
    SettingsKey.text("ca_file", meaning, SettingsText(length: 1 ... .max)).otherwise("the system's")
  }

  /// The absolute path, nil when absent. A file without any certificate is reported now, not at the first connection.
  static func read(_ settings: SettingsReader, _ key: SettingsKey<String?>, directory: String) -> String? {
    guard let written = settings.read(key) else { return nil }
    let path = SystemFile.resolve(written, in: directory)
    do {
      let file = try SystemFile.read(path, limit: 16 << 20)
      if !String(decoding: file.bytes, as: UTF8.self).contains("-----BEGIN ") {
        settings.reject(key.name, "file \(path) has no certificates in PEM form")
      }
    } catch {
      settings.reject(key.name, "file \(path) \(error.message)")
    }
    return path
  }
}
