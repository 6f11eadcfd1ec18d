// A block of IP addresses, for `allow` and `trusted_proxies`.
package import EventLoop

/// `10.0.0.0/8`, `fd00::/8`, or one address. An IPv4 address that comes mapped into IPv6 counts as IPv4.
package struct CIDR: Sendable, Hashable {
  private enum Family: Sendable, Hashable { case ipv4, ipv6 }

  private let family: Family
  private let high: UInt64
  private let low: UInt64
  private let highMask: UInt64
  private let lowMask: UInt64

  /// What is wrong with a text that is not a block, worded to follow the text in quotes.
  package struct Malformed: Error, Sendable, Equatable {
    package var message: String
  }

  /// Takes a text apart.
  package static func parse(_ text: String) -> Result<CIDR, Malformed> {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let literal = parts.first, let address = SocketAddress(numeric: String(literal), port: 0),
      let (family, high, low) = bits(of: address)
    else {
      return .failure(Malformed(message: "is not an address block; write for example \"10.0.0.0/8\" or \"fd00::/8\""))
    }
    let longest = family == .ipv4 ? 32 : 128
    var length = longest
    if parts.count == 2 {
      // Mapped IPv4 (::ffff:10.0.0.0/104) has its length in IPv6's terms.
      let written = literal.contains(":") ? 128 : 32
      guard let number = Int(parts[1]), parts[1].allSatisfy(\.isNumber), (0...written).contains(number),
        number >= written - longest
      else {
        return .failure(Malformed(message: "needs a prefix length between 0 and \(written)"))
      }
      length = number - (written - longest)
    }
    // IPv4 stands in the top 32 bits of `high`.
    let highMask = length == 0 ? 0 : UInt64.max << UInt64(64 - min(length, 64))
    let lowMask = length <= 64 ? 0 : UInt64.max << UInt64(128 - length)
    guard high & ~highMask == 0, low & ~lowMask == 0 else {
      return .failure(Malformed(message: "has bits set behind its prefix length; write the network's own address"))
    }
    return .success(CIDR(family: family, high: high, low: low, highMask: highMask, lowMask: lowMask))
  }

  /// Whether the address lies in the block; a Unix socket lies in none.
  package func contains(_ address: SocketAddress) -> Bool {
    guard let (family, high, low) = Self.bits(of: address) else { return false }
    return family == self.family && high & highMask == self.high && low & lowMask == self.low
  }

  private static func bits(of address: SocketAddress) -> (Family, high: UInt64, low: UInt64)? {
    switch address {
    case .ipv4(let bits, _): (.ipv4, UInt64(bits) << 32, 0)
    case .ipv6(0, let low, _, _) where low >> 32 == 0xffff: (.ipv4, low << 32, 0)
    case .ipv6(let high, let low, _, _): (.ipv6, high, low)
    case .unix: nil
    }
  }
}
