// The Hosts that a listener takes requests for: what keeps a browser page from talking to a loopback listener.

/// A set of hosts, or all. Ports are ignored.
package struct HostSet: Sendable, Equatable {
  /// Lower-case bytes of each; nil: any host.
  private let names: [[UInt8]]?

  /// Every host.
  package static let any = HostSet(names: nil)

  private init(names: [[UInt8]]?) { self.names = names }

  /// Hosts as `HostName.normal` leaves them.
  package init(_ hosts: [String]) { names = Set(hosts).sorted().map { Array($0.utf8) } }

  /// Whether requests with that Host are taken. Allocates nothing.
  package func contains(_ authority: Span<UInt8>) -> Bool {
    guard let names else { return true }
    let range = HostName.range(in: authority)
    var index = 0
    next: while index < names.count {
      defer { index += 1 }
      guard names[index].count == range.count else { continue }
      for position in range where HostName.lower(authority[position]) != names[index][position] { continue next }
      return true
    }
    return false
  }

  /// Whether a host in the form of `HostName.normal` is in the set.
  package func contains(_ host: String) -> Bool { names?.contains(Array(host.utf8)) ?? true }
}
