// Reads the whole document: the top level's keys, then what only shows when all parts are known.
internal import TokenKit

/// Reads one document. Every problem is collected; a snapshot made beside errors must not be used.
struct ConfigurationReader {
  /// The file's, without its directory.
  var name: String
  /// Where relative paths count from.
  var directory: String
  var registry: ProviderRegistry
  var environment: [String: String]
  var problems: SettingsProblems
  /// Everything that the file may say.
  var settings: SettingsObject
  /// For who does not need the secrets.
  var unread: UnreadSecrets?

  private enum Key {
    static let schema = SettingsKey.text(
      "$schema", "The JSON Schema of this file, for editors; the gateway ignores it.")
    static let workers = SettingsKey.integer("workers", "Data loops, a thread each.", in: 1...1024)
      .otherwise("CPUs allowed by affinity and control group")
    static let timeouts = SettingsKey.object("timeouts", "Time-outs.", Timeouts.settings)
    static let limits = SettingsKey.object("limits", "Limits.", Limits.settings)
    static let admin = SettingsKey.object(
      "admin", "The listener for operators: loopback or a Unix socket, or with a token.", ListenerReading.adminSettings)
    static let store = SettingsKey.object("store", "Where tokens are kept.", StoreReading.settings)
    static let handover = SettingsKey.text(
      "handover", "The Unix socket by which another process takes this one's place; its path has at most 107 bytes.",
      SettingsText(length: 1...107)
    ).otherwise("the store's path, with postgres this file's, and .handover")
    static let log = SettingsKey.object("log", "Logs.", LogConfiguration.settings)
    static let otlp = SettingsKey.object(
      "otlp", "Tracing: where spans are sent, by OTLP over HTTP; without it there is none.", OTLPConfiguration.settings)
    static let trustedProxies = SettingsKey.texts(
      "trusted_proxies", "Address blocks (CIDR) of proxies whose X-Forwarded-* fields are kept.",
      ConfigurationPatterns.block
    ).otherwise("none")
    static let via = SettingsKey.flag("via", "Whether Via goes on requests.", default: true)
    static let underscoreFields = SettingsKey.choice(
      "underscore_fields", "What happens to callers' fields with _ in their names.", default: UnderscoreFields.drop)
    static let listeners = SettingsKey.requiredObjects(
      "listeners", "Where callers connect; names and addresses are unique.", ListenerReading.settings)
    static let routes = SettingsKey.requiredObjects(
      "routes", "Which requests go where; their order does not matter.", RouteReading.settings)
  }

  /// Everything that the file may say.
  static func settings(_ registry: ProviderRegistry) -> SettingsObject {
    SettingsObject([
      Key.schema.entry, Key.listeners.entry, Key.admin.entry, Key.store.entry, Key.handover.entry,
      CredentialKeys.map(registry).entry, Key.routes.entry, Key.timeouts.entry, Key.limits.entry, Key.log.entry,
      Key.otlp.entry, Key.workers.entry, Key.trustedProxies.entry, Key.via.entry, Key.underscoreFields.entry,
    ])
  }

  /// - Parameter credentials: the values of the members of `credentials`, which are not in `members`.
  func read(_ members: [String: JSONValue], credentials values: JSONDeferredValues) -> GatewayConfiguration {
    let secrets = SecretResolver(environment: environment, directory: directory, unread: unread)
    let top = SettingsReader(path: "", members: members, problems: problems, secrets: secrets)
    var configuration = GatewayConfiguration()
    configuration.workers = top.read(Key.workers) ?? CPUQuota.cpus()
    configuration.isWorkerCountWritten = top.isSet(Key.workers.name)
    configuration.timeouts = Timeouts(top.read(Key.timeouts), over: nil)
    configuration.limits = Limits(top.read(Key.limits), over: nil)
    (configuration.admin, configuration.adminToken) = ListenerReading.admin(top.read(Key.admin))
    configuration.store = StoreReading(directory: directory, problems: problems).read(top.read(Key.store))
    configuration.handover = handover(top, configuration.store)
    configuration.log = LogConfiguration(top.read(Key.log), directory: directory)
    configuration.otlp = top.read(Key.otlp).flatMap { OTLPConfiguration.read($0, directory: directory) }
    configuration.trustedProxies = CIDR.list(top, Key.trustedProxies) ?? []
    configuration.via = top.read(Key.via)
    configuration.underscoreFields = top.read(Key.underscoreFields)

    let listeners = top.read(Key.listeners).map(ListenerReading.init)
    if listeners.isEmpty, isMissing("listeners", members) {
      top.reject("listeners", "is missing; write for example [{\"address\": \"127.0.0.1:8080\"}]")
    }
    ListenerReading.checkConflicts(listeners, admin: configuration.admin, problems: problems)

    let credentials = self.credentials(top, secrets, values)
    configuration.credentials = credentials.compactMap(\.credential)
    CredentialReading.checkSeeds(configuration.credentials, problems: problems)

    let reading = RouteReading(
      directory: directory, listeners: listeners.map(\.listener.name), credentials: credentials.map(\.name),
      timeouts: configuration.timeouts, limits: configuration.limits)
    let routes = top.read(Key.routes).map(reading.read)
    if routes.isEmpty, isMissing("routes", members) {
      top.reject("routes", "is missing; without a route every request would get 404")
    }
    RouteConflicts.check(routes, problems: problems)
    configuration.routes = routes.map(\.route)
    configuration.listeners = withHosts(listeners, routes)
    warnOfUnused(credentials.map(\.name), routes)
    _ = top.read(Key.schema)
    top.finish(settings)
    return configuration
  }

  private func handover(_ top: SettingsReader, _ store: StoreConfiguration) -> String {
    if let path = top.read(Key.handover) {
      let whole = SystemFile.resolve(path, in: directory)
      let length = max(path.utf8.count, whole.utf8.count)
      if path.isEmpty { top.reject("handover", "is empty") }
      if length > 107 {
        top.reject("handover", "has \(length) bytes with its directory; a Unix socket's path has at most 107")
      }
      return whole
    }
    return switch store.place {
    case .sqlite(let path): path + ".handover"
    case .postgres: SystemFile.resolve(name + ".handover", in: directory)
    }
  }

  private func warnOfUnused(_ credentials: [String], _ routes: [RouteReading.Reading]) {
    // A route with a mistyped name means one of them.
    if problems.all.contains(where: { $0.path.hasPrefix("routes[") && $0.path.hasSuffix("].credential") }) { return }
    let used = Set(routes.compactMap(\.route.credential))
    for (index, name) in credentials.enumerated() where !used.contains(index) {
      problems.add(
        SettingsProblem(
          path: SettingsPath.member(name, of: "credentials"), message: "is used by no route", severity: .warning))
    }
  }

  /// Absent, null, or an empty array.
  private func isMissing(_ key: String, _ members: [String: JSONValue]) -> Bool {
    switch members[key] {
    case nil, .null, .array([]): true
    default: false
    }
  }

  private func credentials(
    _ top: SettingsReader, _ secrets: SecretResolver, _ values: JSONDeferredValues
  ) -> [(name: String, credential: CredentialConfiguration?)] {
    guard let object = top.object(CredentialKeys.all) else { return [] }
    let reading = CredentialReading(registry: registry, secrets: secrets)
    var values = values
    return object.keys.map { name in
      let value = values.value(of: name)
      guard case .object(let members) = value else {
        object.reject(name, "must be an object, not \(value?.kind ?? "nothing")")
        return (name, nil)
      }
      return (name, reading.read(name: name, members: members, problems: problems))
    }
  }

  /// The listeners with the hosts that they take, and warnings for routes whose host none of them takes.
  private func withHosts(
    _ readings: [ListenerReading], _ routes: [RouteReading.Reading]
  ) -> [ListenerConfiguration] {
    let listeners = readings.enumerated().map { index, reading in
      let hosts = routes.map(\.route.match).filter { $0.listener == nil || $0.listener == index }.compactMap(\.host)
      var listener = reading.listener
      listener.hosts = reading.hostSet(routeHosts: hosts)
      return listener
    }
    for reading in routes {
      guard let host = reading.route.match.host else { continue }
      let candidates = reading.route.match.listener.map { [listeners[$0]] } ?? listeners
      if !candidates.contains(where: { $0.hosts.contains(host) }) {
        problems.add(
          SettingsProblem(
            path: reading.path + ".match.host",
            message: "\"\(host)\" is not among the hosts of any listener: no request gets here",
            severity: .warning))
      }
    }
    return listeners
  }
}
