// Messages between two processes of one machine, whole and in order, with descriptors among them: a SOCK_SEQPACKET Unix
// socket on a loop. The gateway hands its listening sockets over by it.
internal import CLinux
internal import Glibc

/// Confined to its loop. Owns its descriptor.
package final class PacketChannel: EventHandler {
  /// Who is at the other end, as the kernel says.
  package struct Peer: Sendable, Equatable {
    package var process: Int32
    package var user: UInt32
    /// Whether it may have the secrets of this process: it is of the same user, or of root.
    package var isTrusted: Bool { user == geteuid() || user == 0 }
  }

  /// What came.
  package enum Received {
    /// One message. Whoever takes it owns the descriptor.
    case packet([UInt8], descriptor: Int32?)
    /// The other end is gone. The last that is told.
    case end
  }

  private static let largest = 256 * 1024

  private let loop: EventLoop
  private let fd: Int32
  private var registration: EventLoop.Registration?
  /// What the other end has not taken yet.
  private var waiting: [(bytes: [UInt8], descriptor: Int32?)] = []
  private var buffer = [UInt8](repeating: 0, count: largest)
  package let peer: Peer
  package var receive: (Received) -> Void = { _ in }

  /// Connects to a process that listens at that path.
  package static func connect(_ loop: EventLoop, to path: String) throws(SystemError) -> PacketChannel {
    let fd = try Socket.open(AF_UNIX, .packets)
    if unsafe SocketAddress.unix(path: path).withSockaddr({ unsafe Glibc.connect(fd, $0, $1) }) != 0 {
      let error = SystemError.last("connect")
      Glibc.close(fd)
      throw error
    }
    return try PacketChannel(loop, connected: fd)
  }

  /// - Parameter fd: connected; closed with the channel, and when this throws.
  package init(_ loop: EventLoop, connected fd: Int32) throws(SystemError) {
    self.loop = loop
    self.fd = fd
    var (process, user) = (Int32(0), UInt32(0))
    guard unsafe linux_peer(fd, &process, &user) == 0 else {
      let error = SystemError.last("getsockopt")
      Glibc.close(fd)
      throw error
    }
    peer = Peer(process: process, user: user)
    do throws(SystemError) {
      registration = try loop.register(fd, reading: true, writing: false, self)
    } catch {
      Glibc.close(fd)
      throw error
    }
  }

  /// Sends one message.
  /// - Parameter descriptor: the other end gets a copy; it must stay open until `hasUnsent` is false.
  package func send(_ bytes: [UInt8], descriptor: Int32? = nil) {
    if registration == nil { return }
    waiting.append((bytes, descriptor))
    if waiting.count == 1 { flush() }
  }

  /// Whether messages wait for the other end to take some.
  package var hasUnsent: Bool { !waiting.isEmpty }

  package var isOpen: Bool { registration != nil }

  package func handle(_ events: ReadyEvents) {
    if events.contains(.writable) { flush() }
    // A few at a time: the loop has more to do.
    for _ in 0..<64 {
      if registration == nil { return }
      var passed: Int32 = -1
      let count = unsafe linux_receive_packet(fd, &buffer, buffer.count, &passed)
      if count > 0 {
        receive(.packet(Array(buffer[..<count]), descriptor: passed >= 0 ? passed : nil))
        continue
      }
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { return }
      return end()
    }
  }

  private func flush() {
    while let (bytes, descriptor) = waiting.first {
      let count = unsafe linux_send_packet(fd, bytes, bytes.count, descriptor ?? -1)
      if count < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN { break }
        // What it has sent before is still to be read: the end shows there.
        waiting.removeAll()
        break
      }
      waiting.removeFirst()
    }
    if let registration { try? loop.modify(registration, reading: true, writing: !waiting.isEmpty) }
  }

  private func end() {
    let receive = receive
    close()
    receive(.end)
  }

  /// Ends the process at the other end, if this one may.
  package func killPeer() {
    if isOpen, peer.process > 1 { _ = kill(peer.process, SIGKILL) }
  }

  /// Nothing is received any more; what was sent and waits is lost.
  package func close() {
    guard let registration else { return }
    self.registration = nil
    loop.deregister(registration)
    Glibc.close(fd)
    waiting.removeAll()
    receive = { _ in }
  }
}
