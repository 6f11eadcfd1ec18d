// Connecting to several addresses: order, fallback, the race of RFC 8305, deadlines.
import Glibc
import Testing

@testable import EventLoop

/// An address on loopback that neither accepts nor refuses: its queue is full, so that the kernel drops what comes.
private final class BlackHole {
  let address: SocketAddress
  private let listening: RawSocket
  private var fillers: [RawSocket] = []

  init() throws {
    listening = RawSocket(try Socket.listen(on: loopback, backlog: 0))
    address = try Socket.localAddress(listening.fd)
    for _ in 0..<64 {
      let filler = RawSocket(try Socket.startConnecting(to: address))
      fillers.append(filler)
      var waiting = pollfd(fd: filler.fd, events: Int16(POLLOUT), revents: 0)
      if unsafe poll(&waiting, 1, 100) == 0 { return }
    }
    throw NotInTime(description: "the queue does not fill")
  }
}

@Suite struct ConnectorTests {
  private let test: TestLoop
  private let recorder = StreamRecorder()
  private let listening: RawSocket
  private let good: SocketAddress

  init() throws {
    test = try TestLoop()
    listening = RawSocket(try Socket.listen(on: loopback))
    good = try Socket.localAddress(listening.fd)
  }

  /// An address that refuses: bound, so that nobody else gets it, and not listened on.
  private func refusing() throws -> (RawSocket, SocketAddress) {
    let socket = RawSocket(try Socket.listen(on: loopback))
    let address = try Socket.localAddress(socket.fd)
    let held = RawSocket(try Socket.open(address.family))
    socket.close()
    try Socket.setOption(held.fd, SOL_SOCKET, SO_REUSEADDR, 1)
    guard unsafe address.withSockaddr({ unsafe bind(held.fd, $0, $1) }) == 0 else {
      throw SystemError("bind", errno: errno)
    }
    return (held, address)
  }

  @Test(
    "Families take turns, beginning with that of the first address (RFC 8305, section 4)",
    arguments: [
      ("", ""), ("4a", "4a"), ("6a 6b 4a 4b", "6a 4a 6b 4b"), ("4a 4b 4c 6a", "4a 6a 4b 4c"),
      ("6a 4a 4b 4c", "6a 4a 4b 4c"),
    ])
  func interleaving(given: String, expected: String) {
    func address(_ text: Substring) -> SocketAddress {
      let number = UInt32(text.utf8.last ?? 0)
      return text.hasPrefix("4")
        ? .ipv4(number, port: 1) : .ipv6(high: 0, low: UInt64(number), scope: 0, port: 1)
    }
    let addresses = given.split(separator: " ").map(address)
    #expect(Connector.interleaved(addresses) == expected.split(separator: " ").map(address))
  }

  @Test("A stream that is handed over reads for the delegate that it is given")
  func handedOver() throws {
    let stream = try test.connect(to: [good], recorder: recorder).get()
    let accepted = RawSocket(try #require(try Socket.accept(listening.fd)).fd)
    accepted.send("hello")
    try test.turn(until: "the greeting") { recorder.text == "hello" }
    stream.close()
  }

  @Test("Without a delegate a connected stream keeps what comes")
  func noDelegate() throws {
    var connected: Stream?
    Connector.connect(test.loop, to: [good], timeout: 20_000_000_000) { connected = try? $0.get() }
    var accepted: RawSocket?
    try test.turn(until: "both ends") {
      if accepted == nil, let (fd, _) = try Socket.accept(listening.fd) {
        accepted = RawSocket(fd)
        accepted?.send("hello")
      }
      return accepted != nil && connected != nil
    }
    try test.settle()
    let stream = try #require(connected)
    stream.delegate = recorder
    try test.turn(until: "the greeting") { recorder.text == "hello" }
    stream.close()
  }

  @Test("A refusal leads to the next address at once")
  func fallback() throws {
    let refusing = try (0..<5).map { _ in try self.refusing() }
    let start = Process.bootClockNanoseconds()
    let stream = try test.connect(to: refusing.map(\.1) + [good], recorder: recorder).get()
    // Five attempt delays would be 1250 ms.
    #expect(Process.bootClockNanoseconds() - start < 1_200_000_000)
    #expect(try Socket.accept(listening.fd) != nil)
    stream.close()
  }

  @Test("If all refuse, that is what is told, and never from within the call")
  func allRefuse() throws {
    let (first, second) = (try refusing(), try refusing())
    var outcome: Result<Stream, ConnectFailure>?
    let connector = Connector.connect(test.loop, to: [first.1, second.1], timeout: 20_000_000_000) { outcome = $0 }
    #expect(outcome == nil)
    #expect(!connector.isFinished)
    try test.turn(until: "the outcome") { outcome != nil }
    #expect(connector.isFinished)
    #expect(throws: ConnectFailure(.refused, lastError: SystemError("connect", errno: ECONNREFUSED))) {
      _ = try outcome?.get()
    }
  }

  @Test("No address, an unreachable one, and a Unix socket that nobody made")
  func failures() throws {
    func kind(_ addresses: [SocketAddress]) throws -> ConnectFailure.Kind? {
      guard case .failure(let failure) = try test.connect(to: addresses, recorder: recorder) else { return nil }
      return failure.kind
    }
    #expect(try kind([]) == .noAddresses)
    // RFC 3849's documentation prefix with a scope that no interface has.
    #expect(try kind([.ipv6(high: 0xfe80 << 48, low: 1, scope: 0x7fff_0000, port: 9)]) == .unreachable)
    #expect(try kind([.unix(path: "/nonexistent/gateway.sock")]) == .refused)
  }

  @Test("An address that does not answer is overtaken by the next one after 250 ms")
  func overtaking() throws {
    let hole = try BlackHole()
    let start = Process.bootClockNanoseconds()
    let stream = try test.connect(to: [hole.address, good], recorder: recorder).get()
    #expect(Process.bootClockNanoseconds() - start >= 240_000_000)
    #expect(try Socket.accept(listening.fd) != nil)
    stream.close()
  }

  @Test("An address that answers is not raced")
  func noRace() throws {
    let other = RawSocket(try Socket.listen(on: loopback))
    let stream = try test.connect(
      to: [good, Socket.localAddress(other.fd)], recorder: recorder
    ).get()
    try test.settle()
    #expect(try Socket.accept(other.fd) == nil)
    stream.close()
  }

  @Test("IPv6 and IPv4 stand in for each other")
  func families() throws {
    let six = RawSocket(try Socket.listen(on: loopback6))
    let sixAddress = try Socket.localAddress(six.fd)
    let (held, refused) = try refusing()
    let stream = try test.connect(to: [refused, sixAddress], recorder: recorder).get()
    #expect(try Socket.accept(six.fd) != nil)
    stream.close()
    held.close()
  }

  @Test("The deadline holds for all attempts together")
  func deadline() throws {
    let hole = try BlackHole()
    let start = Process.bootClockNanoseconds()
    let result = try test.connect(to: [hole.address, hole.address], recorder: recorder, timeout: 400_000_000)
    let elapsed = Process.bootClockNanoseconds() - start
    guard case .failure(let failure) = result else {
      Issue.record("it connected")
      return
    }
    #expect(failure.kind == .timedOut)
    #expect(elapsed >= 400_000_000)
  }

  @Test("A cancelled connector tells nothing and closes what it began")
  func cancelling() throws {
    var isTold = false
    for addresses in [[good], []] {
      let connector = Connector.connect(test.loop, to: addresses, timeout: 20_000_000_000) { _ in isTold = true }
      connector.cancel()
      #expect(connector.isFinished)
    }
    try test.settle()
    #expect(!isTold)
    // The attempt had reached the listening socket; all that is left of it is its end.
    if let (fd, _) = try Socket.accept(listening.fd) {
      let accepted = RawSocket(fd)
      try test.turn(until: "its end") { accepted.receive() == .end }
    }
  }

  @Test("Nothing is left behind: neither timers nor the connector")
  func letsGo() throws {
    weak var left: Connector?
    var stream: Stream?
    do { left = Connector.connect(test.loop, to: [good], timeout: 20_000_000_000) { stream = try? $0.get() } }
    #expect(left != nil)
    try test.turn(until: "connected") { stream != nil }
    #expect(left == nil)
    #expect(test.loop.timers.timeoutMilliseconds(now: test.loop.now) == -1)
    stream?.close()
  }
}
