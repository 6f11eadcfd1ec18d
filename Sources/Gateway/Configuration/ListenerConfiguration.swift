// One entry of `listeners`: where callers connect, and who may.
package import EventLoop
package import TokenKit

/// One address that callers connect to.
package struct ListenerConfiguration: Sendable, Equatable {
  package var name: String
  /// Port 0 lets the system choose (tests).
  package var address: SocketAddress
  /// The Hosts that requests may name; others get 421.
  package var hosts: HostSet
  /// Peers that may connect; empty: all. Never set on a Unix socket, where file permissions decide.
  package var allow: [CIDR]
  /// What callers send as `X-Gateway-Token`; nil: nothing is asked for.
  package var callerToken: Secret?
  /// Whether a client that has sent FIN still gets its answer; else it counts as gone.
  package var halfClose: Bool

  package init(
    name: String, address: SocketAddress, hosts: HostSet = .any, allow: [CIDR] = [], callerToken: Secret? = nil,
    halfClose: Bool = false
  ) {
    self.name = name
    self.address = address
    self.hosts = hosts
    self.allow = allow
    self.callerToken = callerToken
    self.halfClose = halfClose
  }
}
