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
  /// The configuration has it no more: its connections end with the requests that they carry.
  let isRemoved: Bool

  init(
    index: Int, name: String, address: SocketAddress, hosts: HostSet, allow: [CIDR], callerToken: [UInt8],
    halfClose: Bool, headLimits: HeadLimits, requestHeadTimeout: Int64, idleTimeout: Int64, rate: RateTerms,
    dropsUnderscoreFields: Bool, isRemoved: Bool = false
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
    self.isRemoved = isRemoved
  }

  /// The same after its listener was taken away.
  var removed: ListenerPlan {
    ListenerPlan(
      index: index, name: name, address: address, hosts: hosts, allow: allow, callerToken: callerToken,
      halfClose: halfClose, headLimits: headLimits, requestHeadTimeout: requestHeadTimeout, idleTimeout: idleTimeout,
      rate: rate, dropsUnderscoreFields: dropsUnderscoreFields, isRemoved: true)
  }
}
