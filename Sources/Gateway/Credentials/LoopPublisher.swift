// Carries leases and holds from the credential manager to every data loop.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class LoopPublisher: LeasePublisher {
  private let mailboxes: [Mailbox<WorkerMessage>]
  /// The credentials that routes use: of the others no loop ever hears.
  private var routed: Set<Int>
  private var pending: [UInt64: (left: Int, acknowledged: () -> Void)] = [:]
  private var lastTicket: UInt64 = 0
  /// The process before this one, which still needs leases.
  weak var predecessor: PredecessorLink?

  init(_ mailboxes: [Mailbox<WorkerMessage>], routed: Set<Int>) {
    self.mailboxes = mailboxes
    self.routed = routed
  }

  /// A reload. Those that routes have used before are told of all the same: their leases must not go stale in the loops.
  func follow(routed: Set<Int>) { self.routed.formUnion(routed) }

  func publish(_ lease: Lease, credential: Int) {
    if routed.contains(credential) { toAll(.lease(lease, credential: credential)) }
    predecessor?.publish(lease, credential: credential)
  }

  func withdraw(credential: Int) {
    if routed.contains(credential) { toAll(.withdraw(credential: credential)) }
    predecessor?.withdraw(credential: credential)
  }

  func hold(credential: Int, acknowledged: @escaping () -> Void) {
    let isRouted = routed.contains(credential)
    let count = (isRouted ? mailboxes.count : 0) + (predecessor == nil ? 0 : 1)
    if count == 0 { return acknowledged() }
    lastTicket += 1
    let ticket = lastTicket
    pending[ticket] = (count, acknowledged)
    if isRouted { toAll(.hold(credential: credential, ticket: ticket)) }
    predecessor?.hold(credential: credential) { [weak self] in self?.acknowledge(ticket) }
  }

  /// One loop holds now.
  func acknowledge(_ ticket: UInt64) {
    guard var entry = pending[ticket] else { return }
    entry.left -= 1
    pending[ticket] = entry.left > 0 ? entry : nil
    if entry.left == 0 { entry.acknowledged() }
  }

  func release(credential: Int) {
    if routed.contains(credential) { toAll(.release(credential: credential)) }
    predecessor?.release(credential: credential)
  }

  private func toAll(_ message: WorkerMessage) {
    for mailbox in mailboxes { mailbox.send(message) }
  }
}
