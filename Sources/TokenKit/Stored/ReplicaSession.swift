// How replicas share a store, without I/O: lock → read again → adopt, or mark → (call) → compare-and-set → unlock. One
// session for each process; it outlives its connections.

/// Turns each operation into steps: `start` gives the first, `next` takes a step's result and gives the following one,
/// until `answer`. Nothing waits for another replica. A lost connection loses the locks and the operation that was under
/// way, nothing else: operations may be repeated from their start, whether or not they had succeeded.
public struct ReplicaSession: Sendable {
  /// A foreign mark of this age with a free lock belongs to a process that died, or has lost the store since: by then
  /// its call is over.
  public static let takeoverAge: Duration = .seconds(5)
  /// How far a standby that took over may be behind the server that dated a mark: its call may still be under way. A mark
  /// from further ahead comes of a clock that was wrong, and must not keep everybody waiting until it is reached.
  public static let clockTolerance: Duration = .seconds(60)
  /// When to try again where another replica has the lock. The notice of its pair usually comes first.
  public static let lockRetry: Duration = .milliseconds(500)
  /// Rows change between reading and writing only by hand, or by replicas that have lost their lock.
  private static let mostWrites = 3

  private enum State {
    case idle
    /// `begin`: lock → reading.
    case locking(StoreBegin)
    /// `begin`: row → marking, or unlocking with another answer.
    case reading(StoreBegin, writes: Int)
    /// `begin`: the mark is being written → done, or reading once more.
    case marking(StoreBegin, prior: InFlightMark?, writes: Int)
    /// `save`: the pair is being written → unlocking, or comparing.
    case saving(StoreSave, writes: Int)
    /// `save`: it was not the expected row → done, or unlocking if it is this very pair.
    case comparing(StoreSave, writes: Int)
    /// `abandon` → unlocking.
    case finishing(StoreAbandon)
    /// The lock is given up → done.
    case unlocking(String, Result<ReplicaAnswer, StoreError>)
    /// The connection is closed instead → done.
    case disconnecting(Result<ReplicaAnswer, StoreError>)
    /// `relock`: the first is being asked for.
    case relocking([String])
  }

  /// A mark that a failed statement may have written, and the one before it: marks of grants that never went out must
  /// not look like interrupted ones.
  private struct Doubtful {
    var mark: InFlightMark?
    var prior: InFlightMark?
  }

  private var state = State.idle
  private var owner: String?
  /// Locks of this connection.
  private var held: Set<String> = []
  /// Credentials with a grant under way: marked, not yet saved or abandoned.
  private var underWay: Set<String> = []
  private var doubtful: [String: Doubtful] = [:]

  /// A session without a connection's locks.
  public init() {}

  /// Whether this connection has the credential's lock.
  public func holdsLock(of name: String) -> Bool { held.contains(name) }

  /// Begins an operation; only when none is under way.
  public mutating func start(_ request: ReplicaRequest) -> ReplicaStep {
    switch request {
    case .begin(let begin):
      owner = begin.row.mark?.owner ?? owner
      if held.contains(begin.row.name) { return read(begin, writes: 0) }
      state = .locking(begin)
      return .lock(begin.row.name)
    case .save(let save): return write(save, writes: 0)
    case .abandon(let abandon):
      gaveUp(abandon)
      state = .finishing(abandon)
      return .finish(abandon, owner: owner)
    case .relock: return relock(underWay.subtracting(held).sorted())
    }
  }

  /// An `abandon` could not even be started, for want of a connection. Nothing repeats it: the lock must not come back
  /// with the next one.
  public mutating func gaveUp(_ abandon: StoreAbandon) { underWay.remove(abandon.name) }

  /// The connection is gone, and with it every lock and the operation under way.
  public mutating func disconnected() {
    held = []
    state = .idle
  }

  /// Goes on from a step's result.
  public mutating func next(_ result: ReplicaResult) -> ReplicaStep {
    switch (state, result) {
    case (.locking(let begin), .locked(true)):
      held.insert(begin.row.name)
      return read(begin, writes: 0)
    case (.locking, .locked(false)):
      return answer(.success(.begun(.busy(retryAfter: Self.lockRetry))))
    case (.locking, .failed(let error)): return answer(.failure(error))

    case (.reading(let begin, let writes), .row(let stored, let markAge)):
      return compare(begin, stored, markAge, writes: writes)
    case (.marking(let begin, let prior, _), .written(true)):
      doubtful[begin.row.name] = nil
      underWay.insert(begin.row.name)
      return answer(.success(.begun(.marked(prior: prior))))
    case (.marking(let begin, _, let writes), .written(false)):
      if writes < Self.mostWrites { return read(begin, writes: writes) }
      return unlock(begin.row.name, .success(.begun(.busy(retryAfter: Self.lockRetry))))
    case (.reading(let begin, _), .failed(let error)), (.marking(let begin, _, _), .failed(let error)):
      return unlock(begin.row.name, .failure(error))

    case (.saving(let save, _), .written(true)): return saved(save)
    case (.saving(let save, let writes), .written(false)):
      state = .comparing(save, writes: writes)
      return .read(save.row.name)
    case (.comparing(let save, let writes), .row(let stored, _)): return compare(save, stored, writes: writes)
    // The lock stays, so that the save can be repeated.
    case (.saving, .failed(let error)), (.comparing, .failed(let error)): return answer(.failure(error))

    case (.finishing(let abandon), .finished): return abandoned(abandon, .success(.abandoned))
    case (.finishing(let abandon), .failed(let error)): return abandoned(abandon, .failure(error))

    case (.unlocking(let name, let outcome), .unlocked):
      held.remove(name)
      return answer(outcome)
    case (.unlocking(_, let outcome), .failed):
      state = .disconnecting(outcome)
      return .disconnect
    case (.disconnecting(let outcome), .disconnected):
      held = []
      return answer(outcome)

    case (.relocking(let names), .locked(let isOurs)):
      if isOurs, let name = names.first { held.insert(name) }
      return relock(Array(names.dropFirst()))
    case (.relocking, .failed(let error)): return answer(.failure(error))

    default:
      // A driver's mistake. Nothing is known of the locks then.
      state = .disconnecting(.failure(StoreError(.unavailable, "the store answered out of turn")))
      return .disconnect
    }
  }

  // MARK: Begin

  private mutating func read(_ begin: StoreBegin, writes: Int) -> ReplicaStep {
    state = .reading(begin, writes: writes)
    return .read(begin.row.name)
  }

  /// The row as it is under the lock: adopt it, leave it to another replica, or mark it. A row older than memory is
  /// "another generation" too: the machine that asked comes again with what it has in memory, over this one.
  private mutating func compare(
    _ begin: StoreBegin, _ stored: StoredCredential?, _ markAge: Duration?, writes: Int
  ) -> ReplicaStep {
    let name = begin.row.name
    if let stored {
      if stored.generation != begin.expected || (stored.needsLogin != nil && !replacesVerdict(begin)) {
        return unlock(name, .success(.begun(.superseded(stored))))
      }
      if let mark = stored.mark, mark.owner != owner, let markAge, markAge >= .zero - Self.clockTolerance,
        markAge < Self.takeoverAge
      {
        return unlock(name, .success(.begun(.busy(retryAfter: Self.takeoverAge - max(markAge, .zero)))))
      }
    }
    var prior = stored?.mark
    if let doubt = doubtful[name], let mark = prior, doubt.mark == mark { prior = doubt.prior }
    doubtful[name] = Doubtful(mark: begin.row.mark, prior: prior)
    state = .marking(begin, prior: prior, writes: writes + 1)
    // A row that is gone was taken away by hand: what the process knows is newer.
    return .write(
      ReplicaWrite(
        row: begin.row, fingerprints: begin.fingerprints, expected: begin.expected, mayInsert: true,
        mayReplaceVerdict: replacesVerdict(begin)))
  }

  /// Whether the caller knows of a verdict on this token, or has another token.
  private func replacesVerdict(_ begin: StoreBegin) -> Bool {
    begin.row.needsLogin != nil || begin.row.generation != begin.expected
  }

  // MARK: Save

  private mutating func write(_ save: StoreSave, writes: Int) -> ReplicaStep {
    state = .saving(save, writes: writes + 1)
    var row = save.row
    row.mark = nil
    return .write(
      ReplicaWrite(
        row: row, fingerprints: save.fingerprints, expected: save.replacing, mayInsert: save.replacing == 0,
        mayReplaceVerdict: true))
  }

  private mutating func compare(_ save: StoreSave, _ stored: StoredCredential?, writes: Int) -> ReplicaStep {
    if let stored, stored.generation == save.row.generation, stored.refreshToken == save.row.refreshToken,
      stored.accessToken == save.row.accessToken
    {
      // The write before this one had succeeded, and its answer was lost.
      return saved(save)
    }
    if stored?.generation ?? 0 == save.replacing, writes < Self.mostWrites { return write(save, writes: writes) }
    return answer(.success(.saved(.conflict(stored))))
  }

  private mutating func saved(_ save: StoreSave) -> ReplicaStep {
    underWay.remove(save.row.name)
    doubtful[save.row.name] = nil
    return unlock(save.row.name, .success(.saved(.saved)))
  }

  // MARK: Ends

  private mutating func abandoned(
    _ abandon: StoreAbandon, _ outcome: Result<ReplicaAnswer, StoreError>
  ) -> ReplicaStep {
    unlock(abandon.name, outcome)
  }

  private mutating func relock(_ names: [String]) -> ReplicaStep {
    guard let first = names.first else { return answer(.success(.relocked)) }
    state = .relocking(names)
    return .lock(first)
  }

  /// Gives the lock up if it is ours, then answers.
  private mutating func unlock(_ name: String, _ outcome: Result<ReplicaAnswer, StoreError>) -> ReplicaStep {
    guard held.contains(name) else { return answer(outcome) }
    state = .unlocking(name, outcome)
    return .unlock(name)
  }

  private mutating func answer(_ outcome: Result<ReplicaAnswer, StoreError>) -> ReplicaStep {
    state = .idle
    return .answer(outcome)
  }
}
