// The few blocking socket calls of the test clients. The gateway's own sockets are in EventLoop.
package import EventLoop
internal import Glibc
internal import Synchronization
internal import TokenKit

enum TCP {
  /// Connects and waits for it. Loopback answers at once, so this may stand on a loop of a test client.
  /// - Parameter receiveBuffer: bytes that the kernel takes for a client that does not read; nil: megabytes.
  /// - Returns: a non-blocking descriptor that the caller owns.
  static func connect(to address: SocketAddress, receiveBuffer: Int32? = nil) throws(SystemError) -> Int32 {
    guard case .ipv4(let host, let port) = address else { throw SystemError("connect", errno: EAFNOSUPPORT) }
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    if fd < 0 { throw SystemError("socket", errno: errno) }
    if var size = receiveBuffer {
      unsafe setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }
    var raw = sockaddr_in()
    raw.sin_family = sa_family_t(AF_INET)
    raw.sin_port = port.bigEndian
    raw.sin_addr.s_addr = host.bigEndian
    // Safety: sockaddr_in is what connect expects behind a sockaddr of its family and size.
    let result = unsafe withUnsafePointer(to: &raw) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if result != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 {
      let error = SystemError("connect", errno: errno)
      Socket.close(fd)
      throw error
    }
    Socket.disableNagle(fd)
    return fd
  }

  enum Received {
    case bytes([UInt8])
    case end
    case wouldBlock
  }

  static func receive(_ fd: Int32, atMost limit: Int) throws(SystemError) -> Received {
    var buffer = [UInt8](repeating: 0, count: limit)
    // Safety: the buffer has `limit` bytes.
    let count = unsafe recv(fd, &buffer, limit, 0)
    if count > 0 { return .bytes(Array(buffer.prefix(count))) }
    if count == 0 { return .end }
    if errno == EAGAIN || errno == EINTR { return .wouldBlock }
    throw SystemError("recv", errno: errno)
  }

  /// - Returns: how many bytes the socket took, 0 when it is full.
  static func send(_ fd: Int32, _ bytes: ArraySlice<UInt8>) throws(SystemError) -> Int {
    // Safety: the buffer is read within the call only.
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    if count >= 0 { return count }
    if errno == EAGAIN || errno == EINTR { return 0 }
    throw SystemError("send", errno: errno)
  }

  /// Waits until the descriptor can be read or written.
  /// - Returns: false when `limit` passed first.
  static func wait(_ fd: Int32, forWriting: Bool, atMost limit: Duration) -> Bool {
    var entry = pollfd(fd: fd, events: Int16(forWriting ? POLLOUT : POLLIN), revents: 0)
    return unsafe poll(&entry, 1, Int32(clamping: limit.nanoseconds / 1_000_000 + 1)) > 0
  }
}

/// Ports that nobody listens on: for processes that cannot be asked for theirs, and for servers that close and open again.
package enum FreePort {
  /// Below the range that the system takes the ports of outgoing connections from (32768 and up on Linux): one of the
  /// thousands that a load test makes could take the port in the meantime.
  private static let range: Range<UInt16> = 15_000..<32_000
  private static let taken = Mutex<Set<UInt16>>([])

  /// A port that is free now and is not handed out again by this process.
  package static func take() throws(SystemError) -> UInt16 {
    let fd = try listen()
    defer { Socket.close(fd) }
    return try Socket.localAddress(fd).port
  }

  /// A socket that listens on such a port.
  static func listen() throws(SystemError) -> Int32 {
    var last = SystemError("bind", errno: EADDRINUSE)
    for _ in 0..<1000 {
      let port = UInt16.random(in: range)
      guard taken.withLock({ $0.insert(port).inserted }) else { continue }
      do throws(SystemError) {
        return try Socket.listen(on: .ipv4(0x7f00_0001, port: port))
      } catch {
        last = error
      }
    }
    throw last
  }
}
