// What the gateway says of itself on forwarded messages, rendered once per process: Via, Proxy-Status, request ids.
internal import EventLoop
internal import HTTPWire

/// Immutable. Each loop has its own copy of the process's one, so that loops do not contend for reference counts.
final class Forwarding: Sendable {
  /// Whole line, or empty when `via` is off.
  let via: [UInt8]
  /// Our name in Via: random per process, so that only our own requests coming back look like ours.
  private let pseudonym: [UInt8]
  /// Our name in Proxy-Status.
  let proxyName: String
  let trustedProxies: [CIDR]

  init(sendsVia: Bool, trustedProxies: [CIDR]) {
    let id = String(UInt64.random(in: .min ... .max), radix: 36)
    proxyName = "gateway-\(id)"
    pseudonym = Array(proxyName.utf8)
    via = sendsVia ? Self.via(proxyName) : []
    self.trustedProxies = trustedProxies
  }

  /// The same process with other settings.
  init(_ other: Forwarding, sendsVia: Bool, trustedProxies: [CIDR]) {
    pseudonym = other.pseudonym
    proxyName = other.proxyName
    via = sendsVia ? Self.via(other.proxyName) : []
    self.trustedProxies = trustedProxies
  }

  private static func via(_ name: String) -> [UInt8] { Array("Via: 1.1 \(name)\r\n".utf8) }

  /// A copy for one loop, which shares no storage with this one.
  init(copying other: Forwarding) {
    via = other.via.map { $0 }
    pseudonym = other.pseudonym.map { $0 }
    proxyName = other.proxyName
    trustedProxies = other.trustedProxies.map { $0 }
  }

  /// Whether a Via value names us.
  func isOwnVia(_ value: Span<UInt8>) -> Bool {
    let count = pseudonym.count
    if value.count < count { return false }
    var start = 0
    while start + count <= value.count {
      var index = 0
      while index < count, value[start + index] == pseudonym[index] { index += 1 }
      if index == count { return true }
      start += 1
    }
    return false
  }
}

extension SocketAddress {
  /// The address without its port, as X-Forwarded-For has it; at most 39 bytes.
  func writeHost(into out: inout OutputSpan<UInt8>) {
    switch self {
    case .ipv4(let address, _):
      for part in 0..<4 {
        if part > 0 { out.append(UInt8(ascii: ".")) }
        out.appendDecimal(UInt64(address >> UInt32(24 - 8 * part) & 255))
      }
    case .ipv6(let high, let low, _, _):
      for group in 0..<8 {
        let word = group < 4 ? high : low
        if group > 0 { out.append(UInt8(ascii: ":")) }
        out.appendHex(word >> UInt64(48 - 16 * (group & 3)) & 0xffff)
      }
    case .unix: out.append("unknown")
    }
  }
}
