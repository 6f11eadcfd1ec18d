// One loop's share of a listening socket: accepts what comes, and sheds load when descriptors run out.
internal import CLinux
internal import Glibc

/// Accepts connections of a listening socket that several loops share. Confined to its loop; the socket itself belongs
/// to whoever opened it.
package final class Listener: EventHandler, TimerHandler {
  private static let acceptsPerTurn = 64
  private static let pause: Int64 = 100_000_000

  private let loop: EventLoop
  private let fd: Int32
  private let accepted: (Int32, SocketAddress) -> Void
  private var registration: EventLoop.Registration?
  private var timer: TimerWheel.Timer?
  /// Kept open so that, when descriptors run out, a waiting connection can be accepted and closed instead of hanging.
  private var spare: Int32
  /// Connections that were closed at once because the process had no descriptor left.
  package private(set) var shed: UInt64 = 0

  /// - Parameters:
  ///   - fd: a listening socket, which is made non-blocking and free of Nagle's delay; the connections inherit the latter.
  ///   - accepted: gets each new descriptor, non-blocking, and owns it.
  package init(_ loop: EventLoop, fd: Int32, accepted: @escaping (Int32, SocketAddress) -> Void) throws(SystemError) {
    self.loop = loop
    self.fd = fd
    self.accepted = accepted
    spare = -1
    // An inherited socket may be a blocking one, and then accepting until nothing is left would hold up the loop.
    try Socket.makeNonBlocking(fd)
    Socket.disableNagle(fd)
    registration = try loop.register(fd, .exclusive, self)
    spare = Self.openSpare()
    timer = loop.timers.make(self)
  }

  private static func openSpare() -> Int32 { linux_open_null() }

  package func handle(_ events: ReadyEvents) { acceptWaiting(atMost: Self.acceptsPerTurn) }

  private func acceptWaiting(atMost limit: Int) {
    for _ in 0..<limit {
      // `accepted` may have called `drain`.
      if timer == nil { return }
      do {
        guard let (connection, peer) = try Socket.accept(fd) else { return }
        accepted(connection, peer)
      } catch {
        if error.isOutOfDescriptors { shedOne() }
        rest()
        return
      }
    }
  }

  private func shedOne() {
    if spare < 0 { return }
    close(spare)
    let connection = accept(fd, nil, nil)
    if connection >= 0 {
      close(connection)
      shed += 1
    }
    spare = Self.openSpare()
  }

  /// Level triggering would spin while nothing can be accepted.
  private func rest() {
    guard let registration, let timer else { return }
    loop.deregister(registration, isClosing: false)
    self.registration = nil
    loop.timers.schedule(timer, at: loop.now + Self.pause)
  }

  package func timerFired(_ timer: TimerWheel.Timer) {
    if spare < 0 { spare = Self.openSpare() }
    registration = try? loop.register(fd, .exclusive, self)
    if registration == nil { loop.timers.schedule(timer, at: loop.now + Self.pause) }
  }

  /// Takes what is already queued, then accepts no more. The descriptor stays open.
  package func drain() {
    if timer == nil { return }
    acceptWaiting(atMost: .max)
    stop()
  }

  /// Accepts no more. What is queued is left to whoever else has the socket.
  package func stop() {
    if timer == nil { return }
    if let registration { loop.deregister(registration, isClosing: false) }
    registration = nil
    if let timer { loop.timers.release(timer) }
    timer = nil
    if spare >= 0 { close(spare) }
    spare = -1
  }
}
