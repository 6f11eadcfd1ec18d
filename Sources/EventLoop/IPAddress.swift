// An address without a port: what a name resolves to.

/// An IPv4 or IPv6 address.
package enum IPAddress: Sendable, Hashable, CustomStringConvertible {
  /// Most significant byte first.
  case ipv4(UInt32)
  case ipv6(high: UInt64, low: UInt64, scope: UInt32)

  /// From a numeric literal (`127.0.0.1`, `::1`, without brackets); nil for anything else.
  package init?(_ text: String) {
    guard let address = SocketAddress(numeric: text, port: 0) else { return nil }
    self.init(address)
  }

  /// nil for a Unix path.
  package init?(_ address: SocketAddress) {
    switch address {
    case .ipv4(let address, _): self = .ipv4(address)
    case .ipv6(let high, let low, let scope, _): self = .ipv6(high: high, low: low, scope: scope)
    case .unix: return nil
    }
  }

  /// Where a service on this address is reached.
  package func at(port: UInt16) -> SocketAddress {
    switch self {
    case .ipv4(let address): .ipv4(address, port: port)
    case .ipv6(let high, let low, let scope): .ipv6(high: high, low: low, scope: scope, port: port)
    }
  }

  package var description: String { at(port: 0).host }
}
