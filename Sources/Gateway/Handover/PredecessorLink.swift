// In the new process: answers what the old one's data loops ask, and sends it every new lease until it ends.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class PredecessorLink {
  private unowned let plane: ControlPlane
  private let send: (HandoverMessage) -> Void
  private var holds: [UInt64: () -> Void] = [:]
  private var lastTicket: UInt64 = 0

  init(_ plane: ControlPlane, send: @escaping (HandoverMessage) -> Void) {
    self.plane = plane
    self.send = send
    plane.publisher.predecessor = self
  }

  func receive(_ message: HandoverMessage) {
    switch message {
    case .want(let id, let want): answer(id, want)
    case .accepted(let identity, let generation):
      tell(.accepted(generation: generation), identity)
    case .replayRejected(let identity, let route): tell(.replayRejected(route: plane.place(of: route)), identity)
    case .routeRecovered(let identity, let route): tell(.routeRecovered(route: plane.place(of: route)), identity)
    case .holding(let ticket): holds.removeValue(forKey: ticket)?()
    default: break
    }
  }

  private func tell(_ question: LeaseQuestion, _ identity: HandedIdentity) {
    if let credential = plane.place(of: identity) { plane.tell(question, credential) }
  }

  private func answer(_ id: UInt64, _ handed: HandedWant) {
    guard let credential = plane.place(of: handed.identity) else {
      // Not ours, or another account's.
      return send(.answer(id: id, .failure(LeaseFailure(.shuttingDown))))
    }
    let cause: LeaseWant.Cause =
      switch handed.cause {
      case .missing: .missing
      case .admin: .admin
      case .rejected(let route): .rejected(route: plane.place(of: route))
      }
    plane.ask(LeaseWant(above: handed.above, cause: cause), credential) { [weak self] answer in
      guard let self else { return }
      switch answer {
      case .success(let lease): if let token = token(lease, credential) { send(.answer(id: id, .lease(token))) }
      case .failure(let failure): send(.answer(id: id, .failure(failure)))
      }
    }
  }

  private func token(_ lease: Lease, _ credential: Int) -> HandedToken? {
    plane.manager.map { HandedToken($0.hand(lease, credential: credential)) }
  }

  // MARK: What the publisher tells

  func publish(_ lease: Lease, credential: Int) {
    guard let token = token(lease, credential) else { return }
    send(.lease(credential: plane.places.credentials[credential], token))
  }

  func withdraw(credential: Int) { if let identity = plane.identity(of: credential) { send(.withdraw(identity)) } }

  func hold(credential: Int, acknowledged: @escaping () -> Void) {
    guard let identity = plane.identity(of: credential) else { return acknowledged() }
    lastTicket += 1
    holds[lastTicket] = acknowledged
    send(.hold(identity, ticket: lastTicket))
  }

  func release(credential: Int) { if let identity = plane.identity(of: credential) { send(.unhold(identity)) } }
}
