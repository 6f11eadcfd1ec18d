// Where a socket is or goes: IPv4, IPv6 or a Unix path, and its way into and out of the system's structures.
internal import CLinux
internal import Glibc

package enum SocketAddress: Sendable, Hashable {
  /// Address in network order of its bytes, most significant first.
  case ipv4(UInt32, port: UInt16)
  case ipv6(high: UInt64, low: UInt64, scope: UInt32, port: UInt16)
  case unix(path: String)

  /// From a numeric literal (`127.0.0.1`, `::1`), without asking anybody; nil for anything else.
  package init?(numeric host: String, port: UInt16) {
    // A C string would end there.
    if host.utf8.contains(0) { return nil }
    var four = in_addr()
    if unsafe inet_pton(AF_INET, host, &four) == 1 {
      self = .ipv4(UInt32(bigEndian: four.s_addr), port: port)
      return
    }
    var six = in6_addr()
    guard unsafe inet_pton(AF_INET6, host, &six) == 1 else { return nil }
    self = Self.ipv6(six, scope: 0, port: port)
  }

  /// `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/gateway.sock`; nil for anything else.
  package init?(text: String) {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      guard !path.isEmpty, path.utf8.count < 108, !path.utf8.contains(0) else { return nil }
      self = .unix(path: path)
      return
    }
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
      return nil
    }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard host.contains(":") else { return nil }
    } else if host.contains(":") {
      return nil
    }
    self.init(numeric: String(host), port: port)
  }

  package var port: UInt16 {
    switch self {
    case .ipv4(_, let port), .ipv6(_, _, _, let port): port
    case .unix: 0
    }
  }

  /// 127.0.0.0/8, ::1 (also mapped), or a Unix socket.
  package var isLoopback: Bool {
    switch self {
    case .ipv4(let address, _): address >> 24 == 127
    case .ipv6(let high, let low, _, _): high == 0 && (low == 1 || low >> 24 == 0xffff_7f)
    case .unix: true
    }
  }

  var family: Int32 {
    switch self {
    case .ipv4: AF_INET
    case .ipv6: AF_INET6
    case .unix: AF_UNIX
    }
  }

  private static func ipv6(_ address: in6_addr, scope: UInt32, port: UInt16) -> SocketAddress {
    // Safety: in6_addr is 16 plain bytes.
    let (high, low) = unsafe withUnsafeBytes(of: address) { bytes in
      unsafe (
        UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
    return .ipv6(high: high, low: low, scope: scope, port: port)
  }

  /// Hands the address to a system call. Safety: the pointer is good within `body` only.
  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    switch self {
    case .ipv4(let address, let port):
      var raw = sockaddr_in()
      raw.sin_family = sa_family_t(AF_INET)
      raw.sin_port = port.bigEndian
      raw.sin_addr.s_addr = address.bigEndian
      return unsafe Self.hand(&raw, body)
    case .ipv6(let high, let low, let scope, let port):
      var raw = sockaddr_in6()
      raw.sin6_family = sa_family_t(AF_INET6)
      raw.sin6_port = port.bigEndian
      raw.sin6_scope_id = scope
      unsafe withUnsafeMutableBytes(of: &raw.sin6_addr) { bytes in
        unsafe bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
        unsafe bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      return unsafe Self.hand(&raw, body)
    case .unix(let path):
      var raw = sockaddr_un()
      raw.sun_family = sa_family_t(AF_UNIX)
      unsafe withUnsafeMutableBytes(of: &raw.sun_path) { bytes in
        for (index, byte) in path.utf8.prefix(bytes.count - 1).enumerated() { unsafe bytes[index] = byte }
      }
      return unsafe Self.hand(&raw, body)
    }
  }

  private static func hand<Raw, Result>(
    _ raw: inout Raw, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    unsafe withUnsafePointer(to: &raw) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe body(address, socklen_t(MemoryLayout<Raw>.size))
      }
    }
  }

  /// From what the system filled in; nil for a family that is none of ours. An unnamed Unix peer has an empty path.
  init?(_ storage: sockaddr_storage, length: socklen_t) {
    var storage = storage
    switch Int32(storage.ss_family) {
    case AF_INET:
      self = unsafe withUnsafePointer(to: &storage) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { raw in
          unsafe .ipv4(UInt32(bigEndian: raw.pointee.sin_addr.s_addr), port: UInt16(bigEndian: raw.pointee.sin_port))
        }
      }
    case AF_INET6:
      self = unsafe withUnsafePointer(to: &storage) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { raw in
          unsafe Self.ipv6(
            raw.pointee.sin6_addr, scope: raw.pointee.sin6_scope_id, port: UInt16(bigEndian: raw.pointee.sin6_port))
        }
      }
    case AF_UNIX:
      let prefix = MemoryLayout<sa_family_t>.size
      let path = unsafe withUnsafeBytes(of: &storage) { bytes in
        unsafe String(decoding: bytes[prefix..<max(prefix, Int(length))].prefix { $0 != 0 }, as: UTF8.self)
      }
      self = .unix(path: path)
    default:
      return nil
    }
  }
}

extension SocketAddress: CustomStringConvertible {
  /// Without the port: for X-Forwarded-For and access lists.
  package var host: String {
    switch self {
    case .ipv4(let address, _):
      return "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    case .ipv6(let high, let low, _, _):
      var raw = (high.bigEndian, low.bigEndian)
      var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
      // Safety: the tuple is the 16 bytes that inet_ntop reads, the array the bytes that it writes.
      unsafe withUnsafePointer(to: &raw) { _ = unsafe inet_ntop(AF_INET6, $0, &text, socklen_t(text.count)) }
      return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    case .unix:
      return "unix"
    }
  }

  package var description: String {
    switch self {
    case .ipv4: "\(host):\(port)"
    case .ipv6: "[\(host)]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}
