// What a reload changes, for those who asked for it: names of things and of settings, never their values.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// The difference between two configurations that were in force one after the other.
struct ConfigurationChanges: Sendable, Equatable, Decodable {
  /// Names, of which the first are told; there may be very many.
  struct Names: Sendable, Equatable, Decodable {
    private static let told = 20
    private(set) var count = 0
    private(set) var names: [String] = []

    init() {}
    init(_ names: some Sequence<String>) { for name in names { append(name) } }

    mutating func append(_ name: String) {
      count += 1
      if names.count < Self.told { names.append(name) }
    }

    fileprivate var json: String {
      "{\"count\":\(count),\"names\":[\(names.map(ProblemResponse.quoted).joined(separator: ","))]}"
    }
  }

  /// Things of one kind, by their names.
  struct Part: Sendable, Equatable, Decodable {
    var added = Names()
    var changed = Names()
    var removed = Names()

    fileprivate var json: String { "{\"added\":\(added.json),\"changed\":\(changed.json),\"removed\":\(removed.json)}" }
  }

  var listeners = Part()
  var routes = Part()
  var credentials = Part()
  /// JSON paths at the top level: `timeouts.idle`.
  var settings: [String] = []

  /// As an object.
  var json: String {
    let parts = "\"listeners\":\(listeners.json),\"routes\":\(routes.json),\"credentials\":\(credentials.json)"
    return "{\(parts),\"settings\":[\(settings.map(ProblemResponse.quoted).joined(separator: ","))]}"
  }
}

extension ConfigurationChanges {
  /// What is compared.
  struct Side {
    var configuration: GatewayConfiguration
    var places: PlanPlaces
    /// The authorities of upstream servers, by place: a file of them may have been replaced.
    var authorities: [Int: TLSClientContext]
  }

  /// - Parameter credentials: what the manager found, by place.
  init(from old: Side, to new: Side, credentials: CredentialChanges) {
    let (before, after) = (old.configuration, new.configuration)
    listeners = Self.part(
      before.listeners.map { ($0.name, $0) }, after.listeners.map { ($0.name, $0) }, isSame: ==)
    routes = Self.part(
      before.routes.indices.map { (before.routes[$0].name, $0) },
      after.routes.indices.map { (after.routes[$0].name, $0) }
    ) {
      Self.isSameRoute(old, $0, new, $1)
    }
    let names = new.places.credentials
    self.credentials = Part(
      added: Names(credentials.added.map { names[$0] }), changed: Names(credentials.changed.map { names[$0] }),
      removed: Names(credentials.removed.map { names[$0] }))
    settings = Timeouts.changes(from: before.timeouts, to: after.timeouts).map { "timeouts.\($0)" }
    settings += Limits.changes(from: before.limits, to: after.limits).map { "limits.\($0)" }
    func note(_ path: String, _ isSame: Bool) { if !isSame { settings.append(path) } }
    note("admin.token", before.adminToken == after.adminToken)
    note("trusted_proxies", before.trustedProxies == after.trustedProxies)
    note("via", before.via == after.via)
    note("underscore_fields", before.underscoreFields == after.underscoreFields)
    note("log.level", before.log.level == after.log.level)
    note("log.access", before.log.access == after.log.access)
    note("log.format", before.log.format == after.log.format)
    note("log.redact", before.log.redact == after.log.redact)
    note("otlp", before.otlp == after.otlp)
  }

  private static func part<Value>(
    _ old: [(name: String, value: Value)], _ new: [(name: String, value: Value)], isSame: (Value, Value) -> Bool
  ) -> Part {
    var part = Part()
    let before = Dictionary(old.map { ($0.name, $0.value) }) { first, _ in first }
    for (name, value) in new {
      if let known = before[name] {
        if !isSame(known, value) { part.changed.append(name) }
      } else {
        part.added.append(name)
      }
    }
    let after = Set(new.map(\.name))
    for (name, _) in old where !after.contains(name) { part.removed.append(name) }
    return part
  }

  /// A route's own settings; those of the top level that it takes over are no change of it.
  private static func isSameRoute(_ old: Side, _ oldIndex: Int, _ new: Side, _ newIndex: Int) -> Bool {
    let (before, after) = (old.configuration.routes[oldIndex], new.configuration.routes[newIndex])
    func listener(_ side: Side, _ route: RouteConfiguration) -> String? {
      route.match.listener.map { side.configuration.listeners[$0].name }
    }
    func credential(_ side: Side, _ index: Int) -> String { side.places.routes[side.places.ofRoutes[index]].credential }
    func authorities(_ side: Side, _ index: Int) -> Set<ObjectIdentifier> {
      Set(side.places.ofUpstreams[index].compactMap { side.authorities[$0] }.map { ObjectIdentifier($0) })
    }
    var (match, otherMatch) = (before.match, after.match)
    match.listener = nil
    otherMatch.listener = nil
    return match == otherMatch && listener(old, before) == listener(new, after)
      && before.stripPrefix == after.stripPrefix && before.preserveHost == after.preserveHost
      && before.upstream == after.upstream && authorities(old, oldIndex) == authorities(new, newIndex)
      && credential(old, oldIndex) == credential(new, newIndex)
      && Timeouts.areSame(
        before.timeouts, over: old.configuration.timeouts, after.timeouts, over: new.configuration.timeouts)
      && Limits.areSame(before.limits, over: old.configuration.limits, after.limits, over: new.configuration.limits)
  }
}

// MARK: For people

extension ConfigurationChanges {
  /// One line for each kind of thing that has changed: `routes: added a, b; removed c`. Empty: nothing has.
  var lines: [String] {
    var lines: [String] = []
    for (kind, part) in [("listeners", listeners), ("routes", routes), ("credentials", credentials)] {
      let said = [("added", part.added), ("changed", part.changed), ("removed", part.removed)].compactMap {
        verb, names in names.count == 0 ? nil : "\(verb) \(Self.list(names))"
      }
      if !said.isEmpty { lines.append("\(kind): \(said.joined(separator: "; "))") }
    }
    if !settings.isEmpty { lines.append("settings: \(settings.joined(separator: ", "))") }
    return lines
  }

  private static func list(_ names: Names) -> String {
    let told = names.names.map { Printable.text($0) }.joined(separator: ", ")
    return names.count > names.names.count ? "\(told) and \(names.count - names.names.count) more" : told
  }
}
