// A machine that lets go of the store for another process, and takes it back; and one that goes on from what the process
// before it had in memory.

extension LeaseStateMachine {
  /// A pair that the store may not have: what `loaded` brings next is compared with it.
  mutating func inherit(_ pair: StoredCredential) {
    guard case .loading = state, row == nil, pair.name == terms.name else { return }
    row = pair
    row?.mark = nil
  }

  /// After `loaded`: writes what only memory has into the store.
  mutating func keepInherited(_ now: Moment) {
    guard case .resting = state, let row, row.accessToken != nil, row.generation > storedGeneration else { return }
    rewriteAt = now.boot
  }

  /// Ends what has touched nothing yet, and says when the rest is over.
  mutating func pauseWhereverPossible(_ now: Moment) {
    switch state {
    case .queued, .blocked: state = .resting
    case .announcing:
      // Marked, but nothing has been sent.
      releaseHold()
      abandon(keepsMark: isUnanswered)
      state = .resting
    default: break
    }
    if case .loading = state { return }
    if isBusy || isPauseTold { return }
    isPauseTold = true
    actions.append(.paused)
  }

  /// The store is ours again.
  /// - Parameter wasAway: another process may have had it meanwhile.
  mutating func resume(wasAway: Bool) {
    guard isPaused else { return }
    isPaused = false
    isPauseTold = false
    guard wasAway, !isStopping else { return }
    if case .loading = state { return }
    mustReconsider = true
    read()
  }

  /// The pair, if the store has an older one; nothing is under way that would change that.
  public var pairOnlyInMemory: StoredCredential? {
    guard let row, row.accessToken != nil, row.generation > storedGeneration else { return nil }
    return row
  }

  /// Those who wait, who are somebody else's from now on: their questions get no answer from here.
  public mutating func takeWaiting() -> [(id: UInt64, want: LeaseWant)] {
    defer { waiters = [] }
    return waiters.map { ($0.id, $0.want) }
  }
}
