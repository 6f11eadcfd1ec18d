// The new process's side of a replacement: connects to the old process, takes its sockets, and carries out what
// `HandoverTaking` decides.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class HandoverClient: TimerHandler {
  /// The old process finishes a token call and its writes, within limits of its own.
  private static let stepLimit: Int64 = 300_000_000_000

  private let loop: EventLoop
  private let channel: PacketChannel
  private var taking = HandoverTaking()
  private var timer: TimerWheel.Timer?
  /// Of the packet at hand.
  private var descriptor: Int32?
  private(set) var sockets: [HandedSocket] = []
  private var isPrepared = false
  private var failure: String?
  private weak var plane: ControlPlane?
  private(set) var link: PredecessorLink?

  /// nil when no process listens there.
  /// - Parameter store: the one that this process will use.
  static func connect(_ loop: EventLoop, to path: String, store: String) throws(StartFailure) -> HandoverClient? {
    guard HandoverServer.isPath(path) else {
      throw StartFailure("the path of the Unix socket \(path) is too long: set \"handover\" to a shorter one")
    }
    do throws(SystemError) {
      let channel = try PacketChannel.connect(loop, to: path)
      if !channel.peer.isTrusted {
        channel.close()
        throw SystemError("connect", errno: 1)
      }
      return HandoverClient(loop, channel, store)
    } catch {
      if error.isNobody { return nil }
      throw StartFailure("can't ask the running gateway at \(path): \(error)")
    }
  }

  private init(_ loop: EventLoop, _ channel: PacketChannel, _ store: String) {
    self.loop = loop
    self.channel = channel
    channel.receive = { [unowned self] in receive($0) }
    restartTimer()
    send(.hello(HandoverMessage.Hello(store: store)))
  }

  /// It has died.
  var isAlone: Bool { taking.isAlone }

  /// The old process, as the kernel says.
  var process: Int32 { channel.peer.process }

  /// Turns the loop until the sockets are here.
  func takeSockets() throws(StartFailure) {
    while !isPrepared {
      do throws(SystemError) {
        try loop.turn(waitingAtMost: -1)
      } catch {
        throw StartFailure("\(error)")
      }
      if let failure { throw StartFailure("the running gateway (process \(process)) is not replaced: \(failure)") }
    }
  }

  /// Takes the socket of a listener out; nil when the old process had none there. One whose port the system has chosen
  /// stays with its listener's name.
  func take(_ kind: HandedSocket.Kind, name: String = "", _ address: SocketAddress) -> Int32? {
    let index =
      sockets.firstIndex { $0.kind == kind && $0.address == address && $0.name == name }
      ?? sockets.firstIndex { $0.kind == kind && $0.address == address }
    return index.map { sockets.remove(at: $0).fd }
  }

  /// Those that this configuration has no use for. The old process takes what is queued on them.
  func closeRest() {
    for socket in sockets { Socket.close(socket.fd) }
    sockets = []
  }

  /// Everything is made ready that can be without the store.
  func askForStore(_ plane: ControlPlane) {
    self.plane = plane
    feed(.prepared)
  }

  /// The data loops turn.
  func started() { feed(.started) }

  // MARK: The old process

  private func receive(_ received: PacketChannel.Received) {
    switch received {
    case .packet(let bytes, let descriptor):
      self.descriptor = descriptor
      feed(HandoverMessage(bytes: bytes).map { .message($0) } ?? .unknownMessage)
      if let left = self.descriptor { Socket.close(left) }
      self.descriptor = nil
    case .end: feed(.closed)
    }
  }

  private func feed(_ event: HandoverTaking.Event) {
    let before = taking.state
    let actions = taking.handle(event)
    if taking.state != before { restartTimer() }
    for action in actions { carryOut(action) }
  }

  private func carryOut(_ action: HandoverTaking.Action) {
    switch action {
    case .send(let message): send(message)
    case .keepSocket(let label, let address):
      guard let fd = descriptor, let socket = HandedSocket(label: label, address: address, fd: fd) else { return }
      descriptor = nil
      sockets.append(socket)
    case .prepare: isPrepared = true
    case .openStore(let pairs): plane?.takeStore(pairs.compactMap(\.row))
    case .becomeMain: plane?.becomeMain(isAlone: taking.isAlone)
    case .relay(let message): link?.receive(message)
    case .predecessorEnded:
      link = nil
      plane?.predecessorEnded()
    case .fail(let reason):
      failure = reason
      plane?.replacementRefused(reason)
    case .end:
      channel.close()
      restartTimer()
    }
    if action == .send(.serving), let plane {
      // From here on the old process may ask.
      link = PredecessorLink(plane) { [weak self] in self?.send($0) }
    }
  }

  private func send(_ message: HandoverMessage) { if let bytes = message.bytes { channel.send(bytes) } }

  private func restartTimer() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    guard taking.isTimed else { return }
    let timer = loop.timers.make(self)
    self.timer = timer
    loop.timers.schedule(timer, at: loop.now + (taking.state == .asking ? Self.stepLimit : HandoverServer.stepLimit))
  }

  func timerFired(_ timer: TimerWheel.Timer) { feed(.timePassed) }

  /// This process ends.
  func close() {
    link = nil
    channel.close()
    if let timer { loop.timers.release(timer) }
    timer = nil
  }
}
