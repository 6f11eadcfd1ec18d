// The socket system calls, each as a function that throws `SystemError`. File descriptors are plain numbers here;
// who owns one is said where it is kept.
internal import CLinux
internal import Glibc

package enum Socket {
  /// What a read or a write came to. A plain enumeration, because it is returned for every call on the data path.
  enum Outcome {
    case bytes(Int)
    case wouldBlock
    case end
    case failed(Int32)
  }

  /// A listening socket. A stale Unix socket file that nobody listens on is replaced; new ones get mode 0660.
  package static func listen(
    on address: SocketAddress, backlog: Int32 = 4096, kind: Kind = .stream
  ) throws(SystemError) -> Int32 {
    let fd = try open(address.family, kind)
    do throws(SystemError) {
      if case .unix(let path) = address {
        if unsafe address.withSockaddr({ unsafe connect(fd, $0, $1) }) == 0 {
          throw SystemError("bind", errno: EADDRINUSE)
        }
        // connect(2) refuses regular files in the same way: only a socket is taken for a stale one.
        if errno == ECONNREFUSED, isSocketFile(path) { unsafe unlink(path) }
      } else {
        try setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        if case .ipv6 = address { try setOption(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
      }
      if unsafe address.withSockaddr({ unsafe bind(fd, $0, $1) }) != 0 { throw SystemError.last("bind") }
      if case .unix(let path) = address, unsafe chmod(path, kind.mode) != 0 { throw SystemError.last("chmod") }
      if Glibc.listen(fd, backlog) != 0 { throw SystemError.last("listen") }
      return fd
    } catch {
      close(fd)
      throw error
    }
  }

  private static func isSocketFile(_ path: String) -> Bool {
    var info = stat()
    return unsafe lstat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFSOCK
  }

  static func makeNonBlocking(_ fd: Int32) throws(SystemError) {
    let flags = fcntl(fd, F_GETFL)
    if flags < 0 || (flags & O_NONBLOCK == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
      throw SystemError.last("fcntl")
    }
  }

  /// What goes over a socket.
  package enum Kind: Sendable {
    case stream
    /// Messages between processes of one user, with descriptors.
    case packets

    fileprivate var type: Int32 { self == .stream ? Int32(SOCK_STREAM.rawValue) : Int32(SOCK_SEQPACKET.rawValue) }
    /// Of a Unix socket's file.
    fileprivate var mode: mode_t { self == .stream ? 0o660 : 0o600 }
  }

  /// A socket that is non-blocking and closed on exec.
  static func open(_ family: Int32, _ kind: Kind = .stream) throws(SystemError) -> Int32 {
    let kind = kind.type | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let fd = socket(family, kind, 0)
    if fd < 0 { throw SystemError.last("socket") }
    return fd
  }

  /// Starts to connect. The outcome shows when the descriptor becomes writable.
  static func startConnecting(to address: SocketAddress) throws(SystemError) -> Int32 {
    let fd = try open(address.family)
    if address.family != AF_UNIX { disableNagle(fd) }
    if unsafe address.withSockaddr({ unsafe connect(fd, $0, $1) }) != 0, errno != EINPROGRESS {
      let error = SystemError.last("connect")
      close(fd)
      throw error
    }
    return fd
  }

  /// The error that a non-blocking connect ended with, 0 for none.
  static func pendingError(_ fd: Int32) -> Int32 {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    if unsafe getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length) != 0 { return errno }
    return value
  }

  /// Nagle's delay is of no use to a proxy that writes whole messages; best effort, as Unix sockets have none.
  package static func disableNagle(_ fd: Int32) {
    var one: Int32 = 1
    unsafe setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
  }

  static func setOption(_ fd: Int32, _ level: Int32, _ name: Int32, _ value: Int32) throws(SystemError) {
    var value = value
    if unsafe setsockopt(fd, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) != 0 {
      throw SystemError.last("setsockopt")
    }
  }

  /// The next connection of a listening socket; nil when there is none.
  package static func accept(_ fd: Int32) throws(SystemError) -> (fd: Int32, peer: SocketAddress)? {
    while true {
      var storage = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let accepted = unsafe linux_accept(fd, &storage, &length)
      if accepted >= 0 {
        return (accepted, SocketAddress(storage, length: length) ?? .unix(path: ""))
      }
      switch errno {
      case EAGAIN: return nil
      // accept(2): errors of the new connection, which is gone; the next one may be fine.
      case EINTR, ECONNABORTED, EPROTO, ENETDOWN, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, EPERM: continue
      default: throw SystemError.last("accept")
      }
    }
  }

  /// The address that a socket is bound to.
  package static func localAddress(_ fd: Int32) throws(SystemError) -> SocketAddress {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(fd, $0, &length) }
    }
    guard result == 0, let address = SocketAddress(storage, length: length) else {
      throw SystemError.last("getsockname")
    }
    return address
  }

  /// The address that a socket is connected to; nil when it is not connected any more.
  package static func peerAddress(_ fd: Int32) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getpeername(fd, $0, &length) }
    }
    return result == 0 ? SocketAddress(storage, length: length) : nil
  }

  /// Ends the sending direction: the peer reads the end of the stream.
  package static func shutdownWriting(_ fd: Int32) { _ = shutdown(fd, Int32(SHUT_WR)) }

  /// Makes the following close send a reset, so that the peer cannot take what it got for whole.
  package static func resetOnClose(_ fd: Int32) {
    var option = linger(l_onoff: 1, l_linger: 0)
    unsafe setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  package static func close(_ fd: Int32) { _ = Glibc.close(fd) }

  static func read(_ fd: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
    while true {
      let count = unsafe recv(fd, buffer.baseAddress, buffer.count, 0)
      if count > 0 { return .bytes(count) }
      if count == 0 { return .end }
      switch errno {
      case EAGAIN: return .wouldBlock
      case EINTR: continue
      default: return .failed(errno)
      }
    }
  }

  static func write(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) -> Outcome {
    while true {
      let count = unsafe send(fd, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
      if count >= 0 { return .bytes(count) }
      switch errno {
      case EAGAIN: return .wouldBlock
      case EINTR: continue
      default: return .failed(errno)
      }
    }
  }

  /// Whether there is something to read, if only the end.
  static func hasUnread(_ fd: Int32) -> Bool {
    var byte: UInt8 = 0
    return unsafe recv(fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) >= 0
  }

  /// For an answer to a connection that is closed at once; what the socket does not take is lost.
  package static func writeOnce(_ fd: Int32, _ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBytes { _ = unsafe write(fd, $0) }
  }

  /// Two pieces in one call: what waited already, and what came now.
  static func write(_ fd: Int32, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Outcome {
    while true {
      let count = unsafe linux_send2(fd, first.baseAddress, first.count, second.baseAddress, second.count)
      if count >= 0 { return .bytes(count) }
      switch errno {
      case EAGAIN: return .wouldBlock
      case EINTR: continue
      default: return .failed(errno)
      }
    }
  }
}
