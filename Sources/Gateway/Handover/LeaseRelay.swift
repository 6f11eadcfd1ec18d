// In the old process: what its data loops ask goes to the new one, whose leases come back.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class LeaseRelay {
  private unowned let plane: ControlPlane
  private let send: (HandoverMessage) -> Void
  private var waiting: [UInt64: (credential: Int, answer: (LeaseAnswer) -> Void)] = [:]
  private var lastID: UInt64 = 0
  private var held: Set<Int> = []
  /// The new process is gone.
  private var hasEnded = false

  init(_ plane: ControlPlane, send: @escaping (HandoverMessage) -> Void) {
    self.plane = plane
    self.send = send
  }

  /// `answer` is called once.
  func want(_ credential: Int, _ want: LeaseWant, answer: @escaping (LeaseAnswer) -> Void) {
    guard !hasEnded, let identity = plane.identity(of: credential) else {
      return answer(.failure(LeaseFailure(.shuttingDown)))
    }
    let cause: HandedWant.Cause =
      switch want.cause {
      case .missing: .missing
      case .admin: .admin
      case .rejected(let route): plane.handed(route: route).map { .rejected($0) } ?? .missing
      }
    lastID += 1
    waiting[lastID] = (credential, answer)
    send(.want(id: lastID, HandedWant(identity: identity, above: want.above, cause: cause)))
  }

  /// What needs no answer.
  func tell(_ question: LeaseQuestion, _ credential: Int) {
    guard !hasEnded, let identity = plane.identity(of: credential) else { return }
    switch question {
    case .want: break
    case .accepted(let generation): send(.accepted(identity, generation: generation))
    case .replayRejected(let route):
      if let route = plane.handed(route: route) { send(.replayRejected(identity, route)) }
    case .routeRecovered(let route):
      if let route = plane.handed(route: route) { send(.routeRecovered(identity, route)) }
    }
  }

  /// From the new process. What it calls by names that mean something else here is left out.
  func receive(_ message: HandoverMessage) {
    switch message {
    case .answer(let id, let answer):
      guard let (credential, completion) = waiting.removeValue(forKey: id) else { return }
      switch answer {
      case .lease(let token):
        let lease = token.lease.flatMap { plane.manager?.take($0, credential: credential) }
        completion(lease.map { .success($0) } ?? .failure(LeaseFailure(.shuttingDown)))
      case .failure(let reason, let needsLogin, let code, let until):
        completion(.failure(HandedAnswer.failure(reason: reason, needsLogin, code, until)))
      }
    case .lease(let name, let token):
      guard let credential = plane.places.place(ofCredential: name),
        let lease = token.lease.flatMap({ plane.manager?.take($0, credential: credential) })
      else { return }
      plane.publisher.publish(lease, credential: credential)
    case .withdraw(let identity):
      if let credential = plane.place(of: identity) { plane.publisher.withdraw(credential: credential) }
    case .hold(let identity, let ticket):
      guard let credential = plane.place(of: identity) else { return send(.holding(ticket: ticket)) }
      held.insert(credential)
      plane.publisher.hold(credential: credential) { [weak self] in self?.send(.holding(ticket: ticket)) }
    case .unhold(let identity):
      guard let credential = plane.place(of: identity), held.remove(credential) != nil else { return }
      plane.publisher.release(credential: credential)
    default: break
    }
  }

  /// The new process is gone: who waits is told, and the leases at hand serve to their end.
  func end() {
    hasEnded = true
    let left = waiting
    waiting = [:]
    for id in left.keys.sorted() { left[id]?.answer(.failure(LeaseFailure(.shuttingDown))) }
    for credential in held { plane.publisher.release(credential: credential) }
    held = []
  }
}
