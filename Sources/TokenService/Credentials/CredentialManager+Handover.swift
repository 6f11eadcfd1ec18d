// Lets another process have the store, and takes it back; gives what that process needs to go on, and its leases to those
// who still ask here.

package import TokenKit

/// A lease as one process gives it to another: the token alone, which each puts on requests in its own way.
package struct HandedLease: Sendable, Equatable {
  /// The pair's number.
  package var generation: UInt64
  /// A secret.
  package var accessToken: Secret
  /// The token's end, by a clock that both processes have.
  package var expires: BootInstant
  /// How long it lives in all.
  package var lifetime: Duration
  /// Of all that the token belongs to.
  package var accessIdentity: Fingerprint
  /// Of all that its refresh token belongs to.
  package var refreshIdentity: Fingerprint

  /// A lease.
  package init(
    generation: UInt64, accessToken: Secret, expires: BootInstant, lifetime: Duration, accessIdentity: Fingerprint,
    refreshIdentity: Fingerprint
  ) {
    self.generation = generation
    self.accessToken = accessToken
    self.expires = expires
    self.lifetime = lifetime
    self.accessIdentity = accessIdentity
    self.refreshIdentity = refreshIdentity
  }
}

/// A question for a lease that was not answered here.
package struct OpenWant {
  /// The credential's place.
  package var credential: Int
  /// What is asked.
  package var want: LeaseWant
  /// To be called once.
  package var answer: (LeaseAnswer) -> Void
}

extension CredentialManager {
  /// Starts nothing that needs the store any more. `completion` is called when nothing is in flight and everything that
  /// must be is stored. Until `resume`, who asks gets the lease at hand or waits.
  package func pause(completion: @escaping () -> Void) {
    isPaused = true
    paused = completion
    pausing = entries.count
    for entry in entries { feed(.pause, to: entry) }
    if entries.isEmpty { finishPause() }
  }

  func notePaused() {
    pausing -= 1
    if pausing == 0 { finishPause() }
  }

  private func finishPause() {
    let completion = paused
    paused = nil
    completion?()
  }

  /// Goes on.
  /// - Parameter store: the store, opened again after another process may have had it; nil: it was never given away.
  package func resume(with store: (any CredentialStoreClient)?) {
    guard isPaused else { return }
    isPaused = false
    paused = nil
    if let store { ports.store = store }
    for entry in entries { feed(.resume(wasAway: store != nil), to: entry) }
    for entry in entries where entry.isRemoved && entry.isStopped { revive(entry) }
  }

  /// Pairs that the store does not have, once paused.
  package var pairsOnlyInMemory: [StoredCredential] { entries.compactMap(\.machine.pairOnlyInMemory) }

  /// Before `start`: what the process before this one had in memory.
  package func inherit(_ pairs: [StoredCredential]) {
    for pair in pairs { if let place = index(of: pair.name) { feed(.inherited(pair), to: entries[place]) } }
  }

  /// Everybody who waits for a lease. Their questions are the caller's from then on.
  package func takeWaiting() -> [OpenWant] {
    var all: [OpenWant] = []
    for entry in entries {
      for (id, want) in entry.machine.takeWaiting() {
        guard let answer = entry.answers.removeValue(forKey: id) else { continue }
        all.append(OpenWant(credential: entry.index, want: want, answer: answer))
      }
    }
    return all
  }

  /// A lease for another process.
  package func hand(_ lease: Lease, credential: Int) -> HandedLease {
    let terms = entries[credential].machine.latestTerms
    return HandedLease(
      generation: lease.generation, accessToken: lease.accessToken, expires: lease.expires, lifetime: lease.lifetime,
      accessIdentity: terms.accessIdentity, refreshIdentity: terms.refreshIdentity)
  }

  /// Whether the settings of both processes make the same tokens: else one has no use for the other's, which may be
  /// another account's.
  package func isSame(accessIdentity: Fingerprint, refreshIdentity: Fingerprint, credential: Int) -> Bool {
    let terms = entries[credential].machine.latestTerms
    return !entries[credential].isRemoved && terms.accessIdentity == accessIdentity
      && terms.refreshIdentity == refreshIdentity
  }

  /// What the credential's tokens belong to.
  package func identities(credential: Int) -> (access: Fingerprint, refresh: Fingerprint) {
    let terms = entries[credential].machine.latestTerms
    return (terms.accessIdentity, terms.refreshIdentity)
  }

  /// A lease that another process has given, in this one's form; nil when it belongs to something else.
  package func take(_ handed: HandedLease, credential: Int) -> Lease? {
    guard
      isSame(
        accessIdentity: handed.accessIdentity, refreshIdentity: handed.refreshIdentity, credential: credential)
    else { return nil }
    return Lease(
      generation: handed.generation, accessToken: handed.accessToken,
      rules: entries[credential].machine.latestTerms.rules, expires: handed.expires, lifetime: handed.lifetime)
  }
}
