// Reads `listeners` and `admin`, and refuses what would be an open relay by accident.
internal import EventLoop
internal import TokenKit

/// A listener as read: its hosts are known once the routes are.
struct ListenerReading {
  var listener: ListenerConfiguration
  /// As written; nil: the default.
  var hosts: [String]?
  var path: String

  private enum Key {
    static let address = SettingsKey.requiredText(
      "address", "Where callers connect: 127.0.0.1:8080, [::1]:8080 or unix:/path.", ConfigurationPatterns.address
    ).examples("127.0.0.1:8080", "[::1]:8080", "unix:/run/gateway/gateway.sock")
    static let name = SettingsKey.text(
      "name", "For routes, logs and metrics.", ConfigurationPatterns.listenerName
    ).otherwise("the address")
    static let hosts = SettingsKey.texts(
      "hosts", "Hosts that requests may name, without port; others get 421. \"*\" alone: any.",
      ConfigurationPatterns.hosts, least: 1
    ).otherwise("on loopback: loopback names, its own address and the routes' hosts; elsewhere any")
    static let allow = SettingsKey.texts(
      "allow", "Address blocks (CIDR) that may connect; others get 403.", ConfigurationPatterns.block, least: 1
    ).otherwise("everybody")
    static let callerToken = SettingsKey.secret(
      "caller_token", "A secret that callers send as X-Gateway-Token; it is never forwarded.",
      SettingsText(SettingsPatterns.fieldText, length: 1...8192))
    static let open = SettingsKey.flag(
      "open", "Must be true for a listener that other machines reach, without \"allow\" and \"caller_token\".")
    static let halfClose = SettingsKey.flag(
      "half_close", "Whether a caller that ended its sending direction still gets its answer.")
    static let adminAddress = SettingsKey.text(
      "address", "Where /healthz, /readyz, /metrics and /api are served.", ConfigurationPatterns.address,
      default: "127.0.0.1:9901")
    static let adminToken = SettingsKey.secret(
      "token", "What callers of the admin listener send as a bearer token; needed when other machines reach it.",
      SettingsText("^[!-~]+$", length: 1...16384))
  }

  /// The keys of a listener.
  static let settings = SettingsObject(
    [
      Key.name.entry, Key.address.entry, Key.hosts.entry, Key.allow.entry, Key.callerToken.entry, Key.open.entry,
      Key.halfClose.entry,
    ],
    rules: [
      SettingsRule(
        "A listener that other machines reach needs \"allow\", \"caller_token\" or \"open\": true.",
        when: .not(.matches("address", ConfigurationPatterns.ownAddress)),
        .any([.isSet("allow"), .isSet("caller_token"), .equals("open", .bool(true))])),
      SettingsRule(
        "\"allow\" means nothing on a Unix socket.", when: .matches("address", SettingsText("^unix:")),
        .not(.isSet("allow"))),
      SettingsRule("\"*\" in \"hosts\" stands alone.", .not(.containsBesides("hosts", .string("*")))),
      SettingsRule(
        "An address that is no name needs \"name\".", when: .not(.isSet("name")),
        .matches("address", ConfigurationPatterns.listenerName)),
    ])

  /// The keys of `admin`.
  static let adminSettings = SettingsObject(
    [Key.adminAddress.entry, Key.adminToken.entry],
    rules: [
      SettingsRule(
        "An admin listener that other machines reach needs \"token\".",
        when: .all([.isSet("address"), .not(.matches("address", ConfigurationPatterns.ownAddress))]), .isSet("token"))
    ])

  /// Reads one entry of `listeners`; nil when its address can't be used.
  init(_ settings: SettingsReader) {
    path = settings.path
    let text = settings.read(Key.address)
    let address = Self.address(settings, "address", text)
    let name = settings.read(Key.name) ?? text
    if !name.isEmpty || settings.has("name"), !Self.isName(name) {
      settings.reject(
        "name", "\"\(name)\" is not a name: use up to 128 letters, digits and the characters _ . : / [ ] -")
    }
    hosts = Self.hosts(settings)
    let allow = CIDR.list(settings, Key.allow)
    let callerToken = settings.read(Key.callerToken)
    if let callerToken, !HeaderText.isValue(callerToken.reveal()) {
      settings.reject("caller_token", "has characters that a header field can't carry")
    }
    let isOpen = settings.read(Key.open)
    listener = ListenerConfiguration(
      name: name, address: address ?? .unix(path: ""), allow: allow ?? [], callerToken: callerToken,
      halfClose: settings.read(Key.halfClose))
    settings.finish(Self.settings)

    guard let address else { return }
    if case .unix = address {
      if allow != nil {
        settings.reject(
          "allow", "means nothing on a Unix socket: the permissions of its directory decide who may connect")
      }
    } else if !address.isLoopback, allow == nil, !settings.isSet("caller_token"), !isOpen {
      settings.reject(
        nil,
        "\(address) can be reached from other machines, and whoever reaches it uses your credentials: set \"allow\" "
          + "(address blocks) or \"caller_token\" (a secret), or \"open\": true if that is what you want")
    }
    if settings.value("allow") == .array([]) {
      settings.reject("allow", "lets nobody in; leave the key out to let everybody in")
    }
  }

  /// The listener's own address, as Hosts name it; nil for a Unix socket.
  private var ownHost: String? {
    if case .unix = listener.address { return nil }
    return HostName.normal(listener.address.host)
  }

  /// The Hosts that the listener takes. On loopback only the known ones by default, so that no web page can reach it by
  /// a name of its own that resolves to 127.0.0.1.
  func hostSet(routeHosts: [String]) -> HostSet {
    if let hosts { return hosts.contains("*") ? .any : HostSet(hosts) }
    guard listener.address.isLoopback, let ownHost else { return .any }
    return HostSet(["localhost", "127.0.0.1", "[::1]", ownHost] + routeHosts)
  }

  private static func hosts(_ settings: SettingsReader) -> [String]? {
    guard let written = settings.read(Key.hosts) else { return nil }
    if written.isEmpty { settings.reject("hosts", "lets no request in; write [\"*\"] for any host") }
    if written.contains("*"), written.count > 1 {
      settings.reject("hosts", "\"*\" takes every host already; it must stand alone")
    }
    return written.enumerated().compactMap { index, text in
      if text == "*" { return text }
      if let host = HostName.normal(text) { return host }
      settings.problems.add(
        SettingsProblem(
          path: SettingsPath.element(index, of: settings.path(of: "hosts")),
          message: "\"\(text)\" is not a host; write it without scheme, port and path"))
      return nil
    }
  }

  /// `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`.
  static func address(_ settings: SettingsReader, _ key: String, _ text: String) -> SocketAddress? {
    if text.isEmpty { return nil }
    if let address = SocketAddress(text: text) {
      guard case .unix(let path) = address, !path.hasPrefix("/") else { return address }
      settings.reject(key, "\"\(text)\" must be absolute: unix:/path")
      return nil
    }
    let hint = text.hasPrefix("localhost:") ? "; for localhost write 127.0.0.1" : ""
    settings.reject(
      key, "\"\(text)\" is not an address; write \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/path\"\(hint)")
    return nil
  }

  /// The admin listener's address and token.
  static func admin(_ settings: SettingsReader?) -> (address: SocketAddress, token: Secret?) {
    let fallback = GatewayConfiguration().admin
    guard let settings else { return (fallback, nil) }
    defer { settings.finish(adminSettings) }
    let token = settings.read(Key.adminToken)
    if let token, !HeaderText.isAccessToken(token.reveal()) {
      settings.reject("token", "has characters that a bearer token can't have: use visible ASCII without spaces")
    }
    if settings.value("address") == .string("") { settings.reject("address", "must not be empty") }
    guard let text = settings.read(Key.adminAddress), let address = address(settings, "address", text) else {
      return (fallback, token)
    }
    if !address.isLoopback, !settings.isSet("token") {
      settings.reject(
        "address",
        "\(address) can be reached from other machines: set \"token\" (a secret that callers send as a bearer token), or "
          + "use loopback or a Unix socket")
    }
    return (address, token)
  }

  private static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 128
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "_.:/[]-".utf8.contains(byte)
        }
      }
  }

  /// Reports names and addresses that stand twice, `admin` included.
  static func checkConflicts(_ readings: [ListenerReading], admin: SocketAddress, problems: SettingsProblems) {
    for (index, reading) in readings.enumerated() {
      func report(_ key: String, _ message: String) {
        problems.add(SettingsProblem(path: SettingsPath.member(key, of: reading.path), message: message))
      }
      let listener = reading.listener
      for earlier in readings[..<index] {
        if conflict(listener.address, earlier.listener.address) {
          report("address", "\(listener.address) is taken by \(earlier.path)")
        } else if listener.name == earlier.listener.name {
          report("name", "\"\(listener.name)\" is also the name of \(earlier.path)")
        }
      }
      if conflict(listener.address, admin) { report("address", "\(listener.address) is taken by the admin listener") }
    }
  }

  /// Whether both can't be bound: the same address, or all addresses of a family and one of it.
  private static func conflict(_ a: SocketAddress, _ b: SocketAddress) -> Bool {
    switch (a, b) {
    case (.unix(let a), .unix(let b)): a == b && !a.isEmpty
    case (.ipv4(let hostA, let portA), .ipv4(let hostB, let portB)):
      portA == portB && portA != 0 && (hostA == hostB || hostA == 0 || hostB == 0)
    case (.ipv6(let highA, let lowA, _, let portA), .ipv6(let highB, let lowB, _, let portB)):
      portA == portB && portA != 0
        && ((highA, lowA) == (highB, lowB) || (highA, lowA) == (0, 0) || (highB, lowB) == (0, 0))
    default: false
    }
  }
}

extension CIDR {
  /// An array of address blocks, nil when absent.
  static func list(_ settings: SettingsReader, _ key: SettingsKey<[String]?>) -> [CIDR]? {
    settings.read(key)?.enumerated().compactMap { index, text in
      switch CIDR.parse(text) {
      case .success(let block): return block
      case .failure(let problem):
        settings.problems.add(
          SettingsProblem(
            path: SettingsPath.element(index, of: settings.path(of: key.name)),
            message: "\"\(text)\" \(problem.message)"))
        return nil
      }
    }
  }
}
