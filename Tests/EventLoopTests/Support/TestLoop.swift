// A loop that a test turns itself until something has happened, and sockets for its other side.
import CLinux
import Glibc

@testable import EventLoop

struct NotInTime: Error, CustomStringConvertible {
  var description: String
}

/// Turns a loop until a condition holds; long limits, because a busy machine may be slow and a passing test is not.
struct TestLoop {
  let loop: EventLoop

  init() throws { loop = try EventLoop() }

  func turn(until what: String, within seconds: Int64 = 20, _ condition: () throws -> Bool) throws {
    let end = Process.bootClockNanoseconds() + seconds * 1_000_000_000
    while try !condition() {
      if Process.bootClockNanoseconds() > end { throw NotInTime(description: "not within \(seconds) s: \(what)") }
      try loop.turn(waitingAtMost: 5)
    }
  }

  /// Turns until nothing is ready: for checks that something does not happen.
  func settle() throws { for _ in 0..<5 { try loop.turn(waitingAtMost: 2) } }
}

let loopback = SocketAddress.ipv4(0x7f00_0001, port: 0)
let loopback6 = SocketAddress.ipv6(high: 0, low: 1, scope: 0, port: 0)

/// A socket that the test reads and writes itself, without waiting. Closed with the value.
final class RawSocket {
  private(set) var fd: Int32

  init(_ fd: Int32) { self.fd = fd }

  deinit { close() }

  func close(resetting: Bool = false) {
    if fd < 0 { return }
    if resetting { Socket.resetOnClose(fd) }
    Socket.close(fd)
    fd = -1
  }

  /// Gives the descriptor away.
  func take() -> Int32 {
    defer { fd = -1 }
    return fd
  }

  /// How many bytes the socket took.
  @discardableResult
  func send(_ bytes: some Collection<UInt8>) -> Int {
    let bytes = Array(bytes)
    return unsafe max(0, Glibc.send(fd, bytes, bytes.count, Int32(MSG_NOSIGNAL)))
  }

  @discardableResult
  func send(_ text: String) -> Int { send(text.utf8) }

  enum Received: Equatable {
    case bytes([UInt8])
    case nothing
    case end
    case failed(Int32)
  }

  func receive(_ size: Int = 1 << 18) -> Received {
    var buffer = [UInt8](repeating: 0, count: size)
    let count = unsafe recv(fd, &buffer, size, Int32(MSG_DONTWAIT))
    if count > 0 { return .bytes(Array(buffer.prefix(count))) }
    if count == 0 { return .end }
    return errno == EAGAIN ? .nothing : .failed(errno)
  }

  func shutdownWriting() { Socket.shutdownWriting(fd) }

  func setBuffer(_ name: Int32, _ size: Int32) throws { try Socket.setOption(fd, SOL_SOCKET, name, size) }
}

enum Pairs {
  /// Two ends of a TCP connection on loopback, both without blocking.
  static func tcp() throws -> (RawSocket, RawSocket) {
    let listening = RawSocket(try Socket.listen(on: loopback))
    let client = RawSocket(try Socket.startConnecting(to: Socket.localAddress(listening.fd)))
    let end = Process.bootClockNanoseconds() + 20_000_000_000
    while Process.bootClockNanoseconds() < end {
      if let (fd, _) = try Socket.accept(listening.fd) {
        Socket.disableNagle(fd)
        return (client, RawSocket(fd))
      }
      var waiting = pollfd(fd: listening.fd, events: Int16(POLLIN), revents: 0)
      _ = unsafe poll(&waiting, 1, 100)
    }
    throw NotInTime(description: "no connection on loopback")
  }

  static func unix() throws -> (RawSocket, RawSocket) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SystemError("socketpair", errno: errno) }
    return (RawSocket(ends[0]), RawSocket(ends[1]))
  }
}

/// Bytes that show a missing, repeated or swapped piece.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  // A random block of an odd size, numbered: quick also without optimization.
  var random = TestRandom(seed: seed)
  let block = (0..<4099).map { _ in UInt8(truncatingIfNeeded: random.next() >> 24) }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(count + block.count + 4)
  var number = 0
  while bytes.count < count {
    for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    bytes += block
    number += 1
  }
  bytes.removeLast(bytes.count - count)
  return bytes
}

struct TestRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state &* 0x2545_f491_4f6c_dd1d
  }
}
