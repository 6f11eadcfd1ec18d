// The datagrams of sd_notify(3), by which a process tells its service manager how it is; without libsystemd. Nothing here
// keeps state: what is said when is the gateway's.
internal import CLinux
internal import Glibc

/// Where the service manager listens, as NOTIFY_SOCKET names it. From any thread.
package struct NotifySocket: Sendable, Equatable {
  /// What goes into `sun_path`: a path, or a name behind a zero byte.
  private let path: [UInt8]

  /// - Parameter text: `/path`, or `@name` in the abstract namespace; nil for anything else, such as the `vsock:` that
  ///   only the manager of a virtual machine uses.
  package init?(_ text: String) {
    var path = Array(text.utf8)
    guard path.count > 1, path.count < 108, !path.contains(0) else { return nil }
    switch path[0] {
    case UInt8(ascii: "/"): break
    case UInt8(ascii: "@"): path[0] = 0
    default: return nil
    }
    self.path = path
  }

  /// Sends one message of `NAME=value` lines. Never waits: with a full queue the error is EAGAIN, and nothing was sent.
  package func send(_ message: String) throws(SystemError) {
    let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    // A socket for each message: a manager that was started again listens on a new one.
    let fd = socket(AF_UNIX, kind, 0)
    if fd < 0 { throw SystemError.last("socket") }
    defer { close(fd) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { bytes in
      // Safety: 107 bytes at most, of 108.
      for (index, byte) in path.enumerated() { unsafe bytes[index] = byte }
    }
    // The length counts: in the abstract namespace a zero byte more is another name.
    let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count + (path[0] == 0 ? 0 : 1))
    let text = Array(message.utf8)
    let sent = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
        unsafe sendto(fd, text, text.count, Int32(MSG_NOSIGNAL), raw, length)
      }
    }
    if sent < 0 { throw SystemError.last("sendto") }
  }
}

extension Process {
  /// The process's number.
  package static var id: Int32 { getpid() }

  /// Microseconds of CLOCK_MONOTONIC, by which a service manager tells an old notification from a new one.
  package static func monotonicMicroseconds() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
  }
}
