// Listening sockets that loops share: nothing is lost in a drain, and running out of descriptors sheds load.
import CLinux
import Glibc
import Synchronization
import Testing

@testable import EventLoop

@Suite struct ListenerTests {
  @Test("Two loops on two threads accept every connection between them")
  func sharedByThreads() throws {
    let listening = RawSocket(try Socket.listen(on: loopback))
    let address = try Socket.localAddress(listening.fd)
    let fd = listening.fd
    let accepted = Atomic(0)
    let mailboxes = [try Mailbox<Void>(), try Mailbox<Void>()]
    let failure = Mutex<SystemError?>(nil)
    let threads = try mailboxes.map { mailbox in
      try LoopThread.start(name: "loop") {
        do throws(SystemError) {
          let loop = try EventLoop()
          let listener = try Listener(loop, fd: fd) { connection, _ in
            accepted.add(1, ordering: .relaxed)
            Socket.close(connection)
          }
          let receiver = try mailbox.attach(to: loop) { loop.stop() }
          try loop.run()
          listener.drain()
          receiver.detach()
        } catch {
          failure.withLock { $0 = error }
        }
      }
    }
    let clients = try (0..<200).map { _ in RawSocket(try Socket.startConnecting(to: address)) }
    let test = try TestLoop()
    try test.turn(until: "200 connections") { accepted.load(ordering: .relaxed) == clients.count }
    for mailbox in mailboxes { mailbox.send(()) }
    for thread in threads { thread.join() }
    #expect(failure.withLock { $0 } == nil)
    #expect(accepted.load(ordering: .relaxed) == clients.count)
  }

  @Test("Draining one loop after the other and closing the socket resets no queued connection")
  func drain() throws {
    let listening = RawSocket(try Socket.listen(on: loopback))
    let address = try Socket.localAddress(listening.fd)
    let loops = [try TestLoop(), try TestLoop()]
    var connections: [RawSocket] = []
    let listeners = try loops.map { test in
      try Listener(test.loop, fd: listening.fd) { fd, _ in connections.append(RawSocket(fd)) }
    }
    let clients = try (0..<150).map { _ in RawSocket(try Socket.startConnecting(to: address)) }
    // One of them has begun to accept; most are still queued.
    try loops[0].turn(until: "the first ones") { !connections.isEmpty }
    #expect(connections.count < clients.count)
    for listener in listeners { listener.drain() }
    listening.close()
    #expect(connections.count == clients.count)
    for connection in connections { connection.send("!") }
    for client in clients {
      try loops[0].turn(until: "a greeting") { client.receive() == .bytes([0x21]) }
    }
  }

  @Test("A listener that is drained from within accepts no more")
  func drainWithin() throws {
    let listening = RawSocket(try Socket.listen(on: loopback))
    let address = try Socket.localAddress(listening.fd)
    let test = try TestLoop()
    var connections: [RawSocket] = []
    var listener: Listener?
    listener = try Listener(test.loop, fd: listening.fd) { fd, _ in
      connections.append(RawSocket(fd))
      listener?.drain()
    }
    let clients = try (0..<3).map { _ in RawSocket(try Socket.startConnecting(to: address)) }
    try test.turn(until: "all three") { connections.count == 3 }
    let late = RawSocket(try Socket.startConnecting(to: address))
    try test.settle()
    #expect(connections.count == clients.count)
    late.close()
    #expect(listener?.shed == 0)
  }

  @Test("An inherited socket that blocks does not hold up the loop")
  func blockingSocket() throws {
    let listening = RawSocket(try Socket.listen(on: loopback))
    let flags = fcntl(listening.fd, F_GETFL)
    try #require(fcntl(listening.fd, F_SETFL, flags & ~O_NONBLOCK) == 0)
    let test = try TestLoop()
    var connections: [RawSocket] = []
    let listener = try Listener(test.loop, fd: listening.fd) { fd, _ in connections.append(RawSocket(fd)) }
    let client = RawSocket(try Socket.startConnecting(to: Socket.localAddress(listening.fd)))
    try test.turn(until: "the connection") { connections.count == 1 }
    listener.drain()
    client.close()
  }

  @Test("Without descriptors a waiting connection is shed, and accepting goes on when there are some again")
  func outOfDescriptors() throws {
    let outcome = Mutex<Result<UInt64, any Error>?>(nil)
    // The thread leaves the table of descriptors that all threads share, so that only it runs out of them.
    let thread = try LoopThread.start(name: "no files") {
      let result = Result { try Self.runOut() }
      outcome.withLock { $0 = result }
    }
    thread.join()
    let result = try #require(outcome.withLock { $0 })
    #expect(try result.get() >= 1)
  }

  private static func runOut() throws -> UInt64 {
    guard linux_unshare_files() == 0 else { throw SystemError("unshare", errno: errno) }
    let listening = RawSocket(try Socket.listen(on: loopback))
    let test = try TestLoop()
    var connections: [RawSocket] = []
    let listener = try Listener(test.loop, fd: listening.fd) { fd, _ in connections.append(RawSocket(fd)) }
    let address = try Socket.localAddress(listening.fd)
    let unlucky = RawSocket(try Socket.startConnecting(to: address))
    let patient = RawSocket(try Socket.startConnecting(to: address))
    var filling: [Int32] = []
    while true {
      let copy = dup(listening.fd)
      if copy < 0 { break }
      filling.append(copy)
    }
    try test.turn(until: "one is shed") { listener.shed > 0 }
    try test.turn(until: "its end shows") { unlucky.receive() == .end || patient.receive() == .end }
    guard connections.isEmpty else { throw NotInTime(description: "accepted without a descriptor") }
    for copy in filling { Socket.close(copy) }
    let fresh = RawSocket(try Socket.startConnecting(to: address))
    try test.turn(until: "accepting again") { !connections.isEmpty }
    listener.drain()
    fresh.close()
    return listener.shed
  }
}
