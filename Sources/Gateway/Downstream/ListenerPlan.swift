// A listener as the data plane uses it.
internal import EventLoop
internal import HTTPWire

/// Immutable. Each loop has its own.
final class ListenerPlan: Sendable {
  let index: Int
  let name: String
  let address: SocketAddress
  let hosts: HostSet
  /// Empty: everybody.
  let allow: [CIDR]
  /// What callers must send in X-Gateway-Token; empty: nothing.
  let callerToken: [UInt8]
  let halfClose: Bool
  let headLimits: HeadLimits
  let requestHeadTimeout: Int64
  let idleTimeout: Int64
  let rate: RateTerms
  let dropsUnderscoreFields: Bool

  init(
    index: Int, name: String, address: SocketAddress, hosts: HostSet, allow: [CIDR], callerToken: [UInt8],
    halfClose: Bool, headLimits: HeadLimits, requestHeadTimeout: Int64, idleTimeout: Int64, rate: RateTerms,
    dropsUnderscoreFields: Bool
  ) {
    self.index = index
    self.name = name
    self.address = address
    self.hosts = hosts
    self.allow = allow
    self.callerToken = callerToken
    self.halfClose = halfClose
    self.headLimits = headLimits
    self.requestHeadTimeout = requestHeadTimeout
    self.idleTimeout = idleTimeout
    self.rate = rate
    self.dropsUnderscoreFields = dropsUnderscoreFields
  }
}
