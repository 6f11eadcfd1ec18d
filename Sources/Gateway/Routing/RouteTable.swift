// Which route a request takes, decided on raw bytes without an allocation. The exchange asks it once for the path as
// sent and once for its normal form, and refuses the request when the answers differ.
package import HTTPWire

/// The routes of a configuration, ordered so that the first one that fits is the best. Every data loop makes its own
/// (`init`), so that no loop touches reference counts of another's memory. Confined to its loop.
package struct RouteTable: Sendable {
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
    /// Empty: any host.
    var host: Range<Int>
    var prefix: Range<Int>
    /// Bit per `Method`; the bit of `.other` means any method that has none of its own.
    var methods: UInt16
    /// Into `bytes`: names of methods that `Method` does not tell apart.
    var otherMethods: [Range<Int>]
  }

  private struct Target: Sendable {
    /// Bytes of the path that are taken off.
    var stripped: Int
    var basePath: Range<Int>
    var basePathAndSlash: Range<Int>
  }

  /// Best first: routes with a host before those without, then the longer prefix.
  private let entries: [Entry]
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
    var entries: [Entry] = []
    var targets: [Target] = []
    for (index, route) in routes.enumerated() {
      let match = route.match
      var methods: UInt16 = match.methods.isEmpty ? .max : 0
      var otherMethods: [Range<Int>] = []
      for name in match.methods {
        if let method = Self.known[name] {
          methods |= 1 << UInt16(method.rawValue)
        } else {
          otherMethods.append(store(name))
        }
      }
      entries.append(
        Entry(
          route: index, listener: match.listener, host: store(match.host ?? ""), prefix: store(match.pathPrefix),
          methods: methods, otherMethods: otherMethods))
      let base = store(route.upstream.basePath + "/")
      targets.append(
        Target(
          stripped: route.stripPrefix ? match.pathPrefix.utf8.count : 0,
          basePath: base.lowerBound..<base.upperBound - 1,
          basePathAndSlash: base))
    }
    self.bytes = bytes
    self.targets = targets
    self.entries = entries.sorted { a, b in
      if a.host.isEmpty != b.host.isEmpty { return b.host.isEmpty }
      if a.prefix.count != b.prefix.count { return a.prefix.count > b.prefix.count }
      return a.route < b.route
    }
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
    let host = HostName.range(in: authority)
    var index = 0
    while index < entries.count {
      if fits(index, listener, authority, host, path, method, methodName) { return entries[index].route }
      index += 1
    }
    return nil
  }

  @inline(__always)
  private func fits(
    _ index: Int, _ listener: Int, _ authority: Span<UInt8>, _ host: Range<Int>, _ path: Span<UInt8>,
    _ method: Method, _ methodName: Span<UInt8>
  ) -> Bool {
    if let only = entries[index].listener, only != listener { return false }
    let wantedHost = entries[index].host
    if !wantedHost.isEmpty {
      guard wantedHost.count == host.count else { return false }
      for offset in 0..<host.count
      where HostName.lower(authority[host.lowerBound + offset]) != bytes[wantedHost.lowerBound + offset] {
        return false
      }
    }
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
