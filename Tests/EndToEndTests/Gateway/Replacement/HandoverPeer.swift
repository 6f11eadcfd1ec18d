// One end of a replacement, played by the test as far as it wants: it can stop, fall silent and go at each step.
import EventLoop
import GatewayTesting
import Synchronization

/// Blocking; for one thread, within `OwnThread.run`.
final class HandoverPeer {
  private let loop: EventLoop
  private let channel: PacketChannel
  private var inbox: [String] = []
  private(set) var descriptors: [Int32] = []
  private(set) var hasEnded = false

  static func hello(version: Int = 1) -> String {
    "{\"hello\":{\"_0\":{\"protocolVersion\":\(version),\"gateway\":\"0.0\",\"process\":1}}}"
  }
  static func offer(sockets: Int) -> String {
    "{\"offer\":{\"_0\":{\"protocolVersion\":1,\"gateway\":\"0.0\",\"process\":1},\"sockets\":\(sockets)}}"
  }
  static func socket(_ label: String, _ address: SocketAddress) -> String {
    "{\"socket\":{\"name\":\"\(label)\",\"address\":\"\(address)\"}}"
  }
  static let release = "{\"release\":{}}"
  static let released = "{\"released\":{}}"
  static let serving = "{\"serving\":{}}"
  static let yielded = "{\"yielded\":{}}"
  static func cancelled(_ reason: String) -> String { "{\"cancelled\":{\"reason\":\"\(reason)\"}}" }
  static func refused(_ reason: String) -> String { "{\"refused\":{\"reason\":\"\(reason)\"}}" }

  /// As the new process.
  init(to path: String) throws {
    loop = try EventLoop()
    channel = try PacketChannel.connect(loop, to: path)
    listen()
  }

  /// As the old process: waits for a new one, and closes the socket.
  init(acceptingOn fd: Int32) throws {
    loop = try EventLoop()
    var accepted: Int32?
    let listener = try Listener(loop, fd: fd) { connection, _ in accepted = connection }
    let clock = ContinuousClock()
    let end = clock.now + .seconds(60)
    while accepted == nil, clock.now < end { try loop.turn(waitingAtMost: 100) }
    listener.stop()
    // Nobody waits there any more, as when the process has died.
    Socket.close(fd)
    guard let accepted else { throw DeadlinePassed("nobody has asked to take the gateway's place") }
    channel = try PacketChannel(loop, connected: accepted)
    listen()
  }

  private func listen() {
    channel.receive = { [unowned self] received in
      switch received {
      case .packet(let bytes, let descriptor):
        inbox.append(String(decoding: bytes, as: UTF8.self))
        if let descriptor { descriptors.append(descriptor) }
      case .end: hasEnded = true
      }
    }
  }

  deinit { close() }

  func close() {
    channel.close()
    for fd in descriptors { Socket.close(fd) }
    descriptors = []
  }

  func send(_ text: String, descriptor: Int32? = nil) { channel.send(Array(text.utf8), descriptor: descriptor) }

  /// Waits for a message of that kind and drops those before it.
  @discardableResult
  func wait(for kind: String, within limit: Duration = .seconds(60)) throws -> String {
    let clock = ContinuousClock()
    let end = clock.now + limit
    while clock.now < end {
      if let index = inbox.firstIndex(where: { $0.hasPrefix("{\"\(kind)\"") }) {
        let found = inbox[index]
        inbox.removeFirst(index + 1)
        return found
      }
      if hasEnded { throw DeadlinePassed("the other end is gone before \(kind)") }
      try loop.turn(waitingAtMost: 100)
    }
    throw DeadlinePassed("no \(kind)")
  }

  /// Waits until the other end is gone.
  func waitForEnd(within limit: Duration = .seconds(60)) throws {
    let clock = ContinuousClock()
    let end = clock.now + limit
    while !hasEnded {
      if clock.now >= end { throw DeadlinePassed("the other end is still there") }
      try loop.turn(waitingAtMost: 100)
    }
  }
}
