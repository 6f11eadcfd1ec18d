// A gateway.json in parts, for tests to change.
import EventLoop
import GatewayTesting

/// Starts as the gateway.json at the top of the repository with the ports of a sandbox.
struct GatewayConfiguration {
  /// Keys of the top level besides those below.
  var more: [String: OrderedJSON] = ["workers": 2]
  /// Keys of the listener besides name and address.
  var listener: [String: OrderedJSON] = [:]
  var credentials: [String: OrderedJSON] = [:]
  var routes: [OrderedJSON] = []
  var timeouts: [String: OrderedJSON] = [:]
  var limits: [String: OrderedJSON] = [:]

  /// No credential and no route.
  static let empty = GatewayConfiguration()

  /// `/vinid/`, `/cukcuk/` and `/oauth2/` with a credential each, all on that sandbox.
  static func standard(_ sandbox: Sandbox.Addresses) -> GatewayConfiguration {
    var configuration = GatewayConfiguration()
    configuration.credentials = [
      "vinid": vinid(sandbox), "cukcuk": cukcuk(sandbox), "oauth2": oauth2(sandbox),
    ]
    configuration.routes = [
      route("vinid", prefix: "/vinid/", to: sandbox.vinid, credential: "vinid"),
      route("cukcuk", prefix: "/cukcuk/", to: sandbox.cukcuk, credential: "cukcuk"),
      route("oauth2", prefix: "/oauth2/", to: sandbox.oauth2, credential: "oauth2"),
    ]
    return configuration
  }

  /// One of the three only.
  static func only(_ api: SandboxAPI, _ sandbox: Sandbox.Addresses) -> GatewayConfiguration {
    var configuration = standard(sandbox)
    configuration.credentials = configuration.credentials.filter { $0.key == api.rawValue }
    configuration.routes = configuration.routes.filter { $0["name"]?.stringValue == api.rawValue }
    return configuration
  }

  static func vinid(_ sandbox: Sandbox.Addresses, refreshToken: String = "sandbox-vinid-refresh-token") -> OrderedJSON {
    [
      "provider": "vinid", "token_url": .string("http://\(sandbox.token)/vinid/oauth2/token"),
      "client_id": "sandbox-app", "redirect_uri": "http://127.0.0.1/callback",
      "refresh_token": ["value": .string(refreshToken)],
    ]
  }

  static func cukcuk(
    _ sandbox: Sandbox.Addresses, format: String = "json", refreshToken: String = "sandbox-cukcuk-refresh-token"
  ) -> OrderedJSON {
    [
      "provider": "misa-cukcuk", "token_url": .string("http://\(sandbox.token)/cukcuk/Authen/v2/RefreshToken"),
      "company_code": "SANDBOX", "format": .string(format), "refresh_token": ["value": .string(refreshToken)],
    ]
  }

  static func oauth2(_ sandbox: Sandbox.Addresses) -> OrderedJSON {
    [
      "provider": "oauth2", "token_url": .string("http://\(sandbox.token)/oauth2/token"),
      "grant": "refresh_token", "client_id": "sandbox-client", "client_secret": ["value": "sandbox-secret"],
      "client_auth": "basic", "refresh_token": ["value": "sandbox-oauth2-refresh-token"],
    ]
  }

  /// - Parameter credential: nil forwards without one.
  static func route(
    _ name: String, prefix: String, to upstream: SocketAddress, credential: String?,
    more: [(String, OrderedJSON)] = []
  ) -> OrderedJSON {
    .object(
      [
        ("name", .string(name)), ("match", ["path_prefix": .string(prefix)]), ("strip_prefix", true),
        ("upstream", ["url": .string("http://\(upstream)")]),
        ("credential", credential.map { .string($0) } ?? .null),
      ] + more)
  }

  /// The file's text.
  func text(listenerPort: UInt16, adminPort: UInt16, storePath: String) -> String {
    func object(_ members: [String: OrderedJSON]) -> OrderedJSON {
      .object(members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }
    var listener = listener
    listener["name"] = "main"
    listener["address"] = listener["address"] ?? .string("127.0.0.1:\(listenerPort)")
    var top = more
    top["listeners"] = top["listeners"] ?? [object(listener)]
    top["admin"] = top["admin"] ?? ["address": .string("127.0.0.1:\(adminPort)")]
    top["store"] = top["store"] ?? ["kind": "sqlite", "path": .string(storePath)]
    top["credentials"] = top["credentials"] ?? object(credentials)
    top["routes"] = top["routes"] ?? .array(routes)
    var timeouts = timeouts
    if Pace.slowness > 1 {
      // The defaults, of which a slow gateway or sandbox needs more.
      for (key, seconds) in [("connect", 5), ("token", 5), ("park", 10)] where timeouts[key] == nil {
        timeouts[key] = .string("\(seconds * Pace.slowness)s")
      }
    }
    if !timeouts.isEmpty { top["timeouts"] = object(timeouts) }
    if !limits.isEmpty { top["limits"] = object(limits) }
    return object(top).text
  }
}

extension OrderedJSON {
  /// A member of an object; setting nil takes it out.
  subscript(_ key: String) -> OrderedJSON? {
    get {
      if case .object(let members) = self { members.first { $0.0 == key }?.1 } else { nil }
    }
    set {
      guard case .object(var members) = self else { return }
      members.removeAll { $0.0 == key }
      if let newValue { members.append((key, newValue)) }
      self = .object(members)
    }
  }

  /// What a string holds.
  var stringValue: String? { if case .string(let text) = self { text } else { nil } }
}
