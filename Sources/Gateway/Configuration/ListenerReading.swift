// Reads `listeners` and `admin`, and refuses what would be an open relay by accident.
internal import EventLoop
internal import TokenKit

/// A listener as read: its hosts are known once the routes are.
struct ListenerReading {
  var listener: ListenerConfiguration
  /// As written; nil: the default.
  var hosts: [String]?
  var path: String

  /// Reads one entry of `listeners`; nil when its address can't be used.
  init(_ settings: SettingsReader) {
    path = settings.path
    let text = settings.requiredString("address")
    let address = Self.address(settings, "address", text)
    let name = settings.string("name") ?? text
    if !name.isEmpty || settings.has("name"), !Self.isName(name) {
      settings.reject(
        "name", "\"\(name)\" is not a name: use up to 128 letters, digits and the characters _ . : / [ ] -")
    }
    hosts = Self.hosts(settings)
    let allow = CIDR.list(settings, "allow")
    let callerToken = settings.secret("caller_token")
    if let callerToken, !HeaderText.isValue(callerToken.reveal()) {
      settings.reject("caller_token", "has characters that a header field can't carry")
    }
    let isOpen = settings.flag("open", default: false)
    listener = ListenerConfiguration(
      name: name, address: address ?? .unix(path: ""), allow: allow ?? [], callerToken: callerToken,
      halfClose: settings.flag("half_close", default: false))
    settings.finish()

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
    guard let written = settings.strings("hosts") else { return nil }
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
    defer { settings.finish() }
    let token = settings.secret("token")
    if let token, !HeaderText.isAccessToken(token.reveal()) {
      settings.reject("token", "has characters that a bearer token can't have: use visible ASCII without spaces")
    }
    guard let text = settings.string("address"), let address = address(settings, "address", text) else {
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
  static func list(_ settings: SettingsReader, _ key: String) -> [CIDR]? {
    settings.strings(key)?.enumerated().compactMap { index, text in
      switch CIDR.parse(text) {
      case .success(let block): return block
      case .failure(let problem):
        settings.problems.add(
          SettingsProblem(
            path: SettingsPath.element(index, of: settings.path(of: key)), message: "\"\(text)\" \(problem.message)"))
        return nil
      }
    }
  }
}
