// The old process's side of a replacement: waits for a new process beside the store, and carries out what
// `HandoverGiving` decides.
internal import EventLoop
internal import Logging
internal import TokenKit
internal import TokenService

/// A listening socket as it is handed over.
struct HandedSocket: Sendable {
  /// Of the gateway's own two, which are no listeners of the configuration.
  static let admin = "admin"
  static let handover = "handover"

  /// Whether callers' requests come in there.
  var isListener: Bool { kind == .listener }
  var kind: Kind
  /// The listener's.
  var name: String
  var address: SocketAddress
  var fd: Int32

  enum Kind: String, Sendable { case listener, admin, handover }

  /// As the message says it.
  var label: String { kind == .listener ? "listener \(name)" : kind.rawValue }

  init(_ kind: Kind, name: String = "", _ address: SocketAddress, fd: Int32) {
    self.kind = kind
    self.name = name
    self.address = address
    self.fd = fd
  }

  /// nil for a kind or an address that this build does not know.
  init?(label: String, address: String, fd: Int32) {
    guard let address = SocketAddress(text: address) else { return nil }
    if label.hasPrefix("listener ") {
      self.init(.listener, name: String(label.dropFirst("listener ".count)), address, fd: fd)
    } else {
      guard let kind = Kind(rawValue: label), kind != .listener else { return nil }
      self.init(kind, address, fd: fd)
    }
  }
}

/// Confined to the control loop.
final class HandoverServer: TimerHandler {
  /// For each step of the new process; a token call and its writes may take as long as they may anyway.
  static let stepLimit: Int64 = 30_000_000_000

  /// Whether a Unix socket can have that path.
  static func isPath(_ path: String) -> Bool { path.utf8.count < 108 }

  private unowned let plane: ControlPlane
  private let loop: EventLoop
  /// Where it listens.
  let socket: HandedSocket
  private var listener: Listener?
  private var giving: HandoverGiving?
  private var channel: PacketChannel?
  private var timer: TimerWheel.Timer?
  private(set) var relay: LeaseRelay?

  init(_ plane: ControlPlane, _ socket: HandedSocket) throws(SystemError) {
    self.plane = plane
    self.socket = socket
    loop = plane.loop
    listener = try Listener(loop, fd: socket.fd) { [unowned self] connection, _ in accept(connection) }
  }

  /// Whether a new process is at it and does not serve yet.
  var isUnderWay: Bool { giving != nil && relay == nil }

  /// Whether a new process waits for the store.
  var isStoreWanted: Bool { giving?.state == .finishing }

  private func accept(_ fd: Int32) {
    let new: PacketChannel
    do throws(SystemError) {
      new = try PacketChannel(loop, connected: fd)
    } catch {
      return plane.logger.warning("a replacement can't connect", metadata: ["error": "\(error)"])
    }
    if !new.peer.isTrusted || giving != nil {
      let reason = new.peer.isTrusted ? "another replacement is under way" : "this process is of another user"
      plane.logger.warning(
        "replacement refused", metadata: ["process": "\(new.peer.process)", "reason": "\(reason)"])
      if let bytes = HandoverMessage.refused(reason: reason).bytes { new.send(bytes) }
      return new.close()
    }
    channel = new
    giving = HandoverGiving(sockets: sockets.count, store: plane.configuration.store.label)
    new.receive = { [unowned self] in receive($0) }
    restartTimer()
  }

  private var sockets: [HandedSocket] { plane.handedSockets + [socket] }

  private func receive(_ received: PacketChannel.Received) {
    switch received {
    case .packet(let bytes, let descriptor):
      // None comes in this direction.
      if let descriptor { Socket.close(descriptor) }
      feed(HandoverMessage(bytes: bytes).map { .message($0) } ?? .unknownMessage)
    case .end: feed(.closed)
    }
  }

  /// The process is told to end.
  func stop() {
    feed(.stopping)
    if giving == nil { close() }
  }

  /// The manager has nothing under way, and the store is closed.
  func storeReleased(_ pairs: [StoredCredential]) { feed(.storeReleased(pairs.map(HandedPair.init))) }

  private func feed(_ event: HandoverGiving.Event) {
    guard giving != nil else { return }
    let before = giving?.state
    let actions = giving?.handle(event) ?? []
    if giving?.state != before { restartTimer() }
    for action in actions { carryOut(action) }
  }

  private func carryOut(_ action: HandoverGiving.Action) {
    switch action {
    case .send(let message): send(message)
    case .sendSockets:
      for socket in sockets {
        send(.socket(name: socket.label, address: "\(socket.address)"), descriptor: socket.fd)
      }
    case .releaseStore: plane.releaseStoreForSuccessor()
    case .takeStoreBack: plane.takeStoreBack()
    case .killPeer: channel?.killPeer()
    case .yield(let peer):
      let relay = LeaseRelay(plane) { [weak self] in self?.send($0) }
      self.relay = relay
      stopListening()
      plane.yield(to: peer, process: channel?.peer.process ?? peer.process, relay)
    case .relay(let message): relay?.receive(message)
    case .leasesEnd: relay?.end()
    case .failed(let reason): plane.replacementFailed(reason)
    case .end:
      giving = nil
      channel?.close()
      channel = nil
      restartTimer()
    }
  }

  private func send(_ message: HandoverMessage, descriptor: Int32? = nil) {
    if let bytes = message.bytes { channel?.send(bytes, descriptor: descriptor) }
  }

  private func restartTimer() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    guard let giving, giving.isTimed else { return }
    let timer = loop.timers.make(self)
    self.timer = timer
    var limit = Self.stepLimit
    if giving.state == .finishing { limit += plane.tokenTimeout.nanoseconds }
    loop.timers.schedule(timer, at: loop.now + limit)
  }

  func timerFired(_ timer: TimerWheel.Timer) { feed(.timePassed) }

  /// The next one listens.
  private func stopListening() {
    listener?.stop()
    listener = nil
    Socket.close(socket.fd)
  }

  /// The process ends.
  func close() {
    if listener != nil { stopListening() }
    giving = nil
    channel?.close()
    channel = nil
    restartTimer()
  }
}
