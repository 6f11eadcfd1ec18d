// Which route a request takes, decided on raw bytes without an allocation. The exchange asks it once for the path as
// sent and once for its normal form, and refuses the request when the answers differ.
package import HTTPWire

/// The routes of a configuration, ordered so that the first one that fits is the best. Every data loop makes its own
/// (`init`), so that no loop touches reference counts of another's memory. Confined to its loop. A class, because each
/// request holds it, and a structure would be held array by array.
package final class RouteTable: Sendable {
  /// What goes to the upstream as path: `table.bytes[prefix]`, then `path[kept]`.
  package struct Rewrite: Sendable, Equatable {
    /// Into `RouteTable.bytes`: the upstream's base path, and a slash where nothing else of the path is left.
    package var prefix: Range<Int>
    /// Into the path that was matched.
    package var kept: Range<Int>
    /// Whether what is kept begins with two slashes (`/a//b` without its prefix `/a`): to be refused.
    package var beginsWithTwoSlashes: Bool
  }

  private struct Entry: Sendable {
    var route: Int
    var listener: Int?
    var prefix: Range<Int>
    /// Bit per `Method`; the bit of `.other` means any method that has none of its own.
    var methods: UInt16
    /// Into `bytes`: names of methods that `Method` does not tell apart.
    var otherMethods: [Range<Int>]
  }

  private struct HostGroup: Sendable {
    /// Into `bytes`: lower case.
    var name: Range<Int>
    /// Into `entries`.
    var entries: Range<Int>
  }

  private struct Target: Sendable {
    /// Bytes of the path that are taken off.
    var stripped: Int
    var basePath: Range<Int>
    var basePathAndSlash: Range<Int>
  }

  /// Grouped by host, those without one last; in a group the longer prefix first.
  private let entries: [Entry]
  /// By length, then bytes: searched by halves.
  private let hosts: [HostGroup]
  private let anyHost: Range<Int>
  /// By route.
  private let targets: [Target]
  /// What all ranges of the table point into.
  package let bytes: [UInt8]

  /// The table of a configuration's routes.
  package init(_ routes: [RouteConfiguration]) {
    var bytes: [UInt8] = []
    func store(_ text: String) -> Range<Int> {
      let start = bytes.count
      bytes.append(contentsOf: text.utf8)
      return start..<bytes.count
    }
    targets = routes.map { route in
      let base = store(route.upstream.basePath + "/")
      return Target(
        stripped: route.stripPrefix ? route.match.pathPrefix.utf8.count : 0,
        basePath: base.lowerBound..<base.upperBound - 1, basePathAndSlash: base)
    }
    var entries: [Entry] = []
    var hosts: [HostGroup] = []
    let groups = Dictionary(grouping: routes.indices) { routes[$0].match.host ?? "" }
    let withHost = groups.keys.filter { !$0.isEmpty }.sorted { Self.isBefore(Array($0.utf8), Array($1.utf8)) }
    for host in withHost + [""] {
      let start = entries.count
      for index in (groups[host] ?? []).sorted(by: { Self.isBetter(routes[$0], routes[$1]) }) {
        let match = routes[index].match
        let named = match.methods.map { Self.known[$0] }
        entries.append(
          Entry(
            route: index, listener: match.listener, prefix: store(match.pathPrefix),
            methods: match.methods.isEmpty
              ? .max : named.compactMap(\.self).reduce(0) { $0 | 1 << UInt16($1.rawValue) },
            otherMethods: zip(match.methods, named).filter { $0.1 == nil }.map { store($0.0) }))
      }
      if !host.isEmpty { hosts.append(HostGroup(name: store(host), entries: start..<entries.count)) }
    }
    anyHost = (hosts.last?.entries.upperBound ?? 0)..<entries.count
    self.entries = entries
    self.hosts = hosts
    self.bytes = bytes
  }

  private static func isBefore(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count ? a.lexicographicallyPrecedes(b) : a.count < b.count
  }

  private static func isBetter(_ a: RouteConfiguration, _ b: RouteConfiguration) -> Bool {
    a.match.pathPrefix.utf8.count > b.match.pathPrefix.utf8.count
  }

  private static var known: [String: Method] {
    [
      "GET": .get, "HEAD": .head, "POST": .post, "PUT": .put, "DELETE": .delete, "OPTIONS": .options, "PATCH": .patch,
    ]
  }

  /// The best route's index in the configuration; nil: there is none (404).
  /// - Parameters:
  ///   - listener: index of the listener in the configuration.
  ///   - authority: Host as sent, in any case, with or without port.
  ///   - path: without query; `*` for `OPTIONS *`, which only routes for every path take.
  ///   - method: as parsed; `methodName` is looked at only when it is `.other`.
  package func match(
    listener: Int, authority: Span<UInt8>, path: Span<UInt8>, method: Method, methodName: Span<UInt8>
  ) -> Int? {
    if let route = best(hosts(authority), listener, path, method, methodName) { return route }
    return best(anyHost, listener, path, method, methodName)
  }

  /// The entries of the routes for exactly that host.
  private func hosts(_ authority: Span<UInt8>) -> Range<Int> {
    if hosts.isEmpty { return 0..<0 }
    let host = HostName.range(in: authority)
    var (low, high) = (0, hosts.count)
    while low < high {
      let middle = (low + high) / 2
      let name = hosts[middle].name
      var order = name.count - host.count
      var offset = 0
      while order == 0, offset < host.count {
        order = Int(bytes[name.lowerBound + offset]) - Int(HostName.lower(authority[host.lowerBound + offset]))
        offset += 1
      }
      if order == 0 { return hosts[middle].entries }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return 0..<0
  }

  private func best(
    _ range: Range<Int>, _ listener: Int, _ path: Span<UInt8>, _ method: Method, _ methodName: Span<UInt8>
  ) -> Int? {
    var index = range.lowerBound
    while index < range.upperBound {
      if fits(index, listener, path, method, methodName) { return entries[index].route }
      index += 1
    }
    return nil
  }

  @inline(__always)
  private func fits(
    _ index: Int, _ listener: Int, _ path: Span<UInt8>, _ method: Method, _ methodName: Span<UInt8>
  ) -> Bool {
    if let only = entries[index].listener, only != listener { return false }
    let prefix = entries[index].prefix
    guard path.count >= prefix.count else { return false }
    if path.count > prefix.count, !prefix.isEmpty, path[prefix.count] != UInt8(ascii: "/") { return false }
    for offset in 0..<prefix.count where path[offset] != bytes[prefix.lowerBound + offset] { return false }
    if entries[index].methods & (1 << UInt16(method.rawValue)) != 0 { return true }
    guard method == .other else { return false }
    return namesOther(index, methodName)
  }

  private func namesOther(_ index: Int, _ methodName: Span<UInt8>) -> Bool {
    var other = 0
    next: while other < entries[index].otherMethods.count {
      let range = entries[index].otherMethods[other]
      other += 1
      guard range.count == methodName.count else { continue }
      for offset in 0..<range.count where methodName[offset] != bytes[range.lowerBound + offset] { continue next }
      return true
    }
    return false
  }

  /// What a matched path becomes. `*` stays as it is.
  package func rewrite(route: Int, path: Span<UInt8>) -> Rewrite {
    if path.count == 1, path[0] == UInt8(ascii: "*") {
      return Rewrite(prefix: 0..<0, kept: 0..<1, beginsWithTwoSlashes: false)
    }
    let kept = min(targets[route].stripped, path.count)..<path.count
    let slash = UInt8(ascii: "/")
    return Rewrite(
      prefix: kept.isEmpty ? targets[route].basePathAndSlash : targets[route].basePath, kept: kept,
      beginsWithTwoSlashes: kept.count > 1 && path[kept.lowerBound] == slash && path[kept.lowerBound + 1] == slash)
  }
}
