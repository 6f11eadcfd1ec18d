// What is durable: rows, marks, fingerprints, and the locks of connections. As SQLite keeps it for one process, and as
// PostgreSQL carries out the statements of a `ReplicaSession`.

internal import TokenKit

/// The store's content. It has no faults of its own; those are on the way to it.
struct Database {
  private(set) var rows: [StoredCredential?]
  /// When marks were written, by the store's clock.
  private var markedAt: [Int64]
  private var fingerprints: Set<Fingerprint> = []
  /// Which connection has the lock of each credential; 0: none.
  private var locks: [UInt64]
  private var lastConnection: UInt64 = 0
  /// What a replica of the database itself would have: an older state.
  private var standby: (rows: [StoredCredential?], fingerprints: Set<Fingerprint>)?
  let mutation: Mutation?

  init(credentials: Int, mutation: Mutation?) {
    rows = [StoredCredential?](repeating: nil, count: credentials)
    markedAt = [Int64](repeating: 0, count: credentials)
    locks = [UInt64](repeating: 0, count: credentials)
    self.mutation = mutation
  }

  /// Credentials are named `c0`, `c1`, ….
  static func index(_ name: String) -> Int { Int((name.utf8.last ?? UInt8(ascii: "0")) - UInt8(ascii: "0")) }

  func record(_ query: StoreQuery) -> StoreRecord {
    StoreRecord(row: rows[Self.index(query.name)], seedIsKnown: query.seed.map(fingerprints.contains) ?? false)
  }

  // MARK: One process

  mutating func begin(_ begin: StoreBegin, at now: Int64) -> StoreBeginAnswer {
    let index = Self.index(begin.row.name)
    let stored = rows[index]
    if let stored, stored.generation != begin.expected { return .superseded(stored) }
    put(begin.row, begin.fingerprints, at: now)
    return .marked(prior: stored?.mark)
  }

  mutating func save(_ save: StoreSave, at now: Int64) -> StoreSaveAnswer {
    let stored = rows[Self.index(save.row.name)]
    guard stored?.generation ?? 0 == save.replacing else { return .conflict(stored) }
    put(save.row, save.fingerprints, at: now)
    return .saved
  }

  mutating func abandon(_ abandon: StoreAbandon) {
    let index = Self.index(abandon.name)
    guard rows[index]?.generation == abandon.generation else { return }
    if !abandon.keepsMark { rows[index]?.mark = nil }
    if let verdict = abandon.needsLogin { rows[index]?.needsLogin = verdict }
  }

  // MARK: Replicas

  mutating func connect() -> UInt64 {
    lastConnection += 1
    return lastConnection
  }

  mutating func disconnect(_ connection: UInt64) {
    for index in locks.indices where locks[index] == connection { locks[index] = 0 }
  }

  mutating func dropAllConnections() {
    for index in locks.indices { locks[index] = 0 }
  }

  /// Carries one statement out; nil for what is none.
  mutating func carryOut(_ step: ReplicaStep, connection: UInt64, at now: Int64) -> ReplicaResult? {
    switch step {
    case .lock(let name):
      let index = Self.index(name)
      if mutation == .lockIgnored { return .locked(true) }
      if locks[index] != 0, locks[index] != connection { return .locked(false) }
      locks[index] = connection
      return .locked(true)
    case .unlock(let name):
      let index = Self.index(name)
      if locks[index] == connection { locks[index] = 0 }
      return .unlocked
    case .read(let name):
      let index = Self.index(name)
      guard let row = rows[index], row.mark != nil else { return .row(rows[index], markAge: nil) }
      if mutation == .lockIgnored { return .row(row, markAge: .seconds(60)) }
      return .row(row, markAge: .nanoseconds(now - markedAt[index]))
    case .write(let write):
      let index = Self.index(write.row.name)
      if let stored = rows[index] {
        guard stored.generation == write.expected, write.mayReplaceVerdict || stored.needsLogin == nil else {
          return .written(false)
        }
      } else if !write.mayInsert {
        return .written(false)
      }
      put(write.row, write.fingerprints, at: now)
      return .written(true)
    case .finish(let abandon, let owner):
      let index = Self.index(abandon.name)
      guard rows[index]?.generation == abandon.generation else { return .finished }
      if !abandon.keepsMark, rows[index]?.mark?.owner == owner { rows[index]?.mark = nil }
      if let verdict = abandon.needsLogin { rows[index]?.needsLogin = verdict }
      return .finished
    case .disconnect:
      disconnect(connection)
      return .disconnected
    case .answer: return nil
    }
  }

  private mutating func put(_ row: StoredCredential, _ new: [Fingerprint], at now: Int64) {
    let index = Self.index(row.name)
    rows[index] = row
    if mutation == .marksDropped { rows[index]?.mark = nil }
    markedAt[index] = now
    for fingerprint in new { fingerprints.insert(fingerprint) }
  }

  // MARK: Failover

  /// From now on the standby falls behind.
  mutating func standbyStops() { standby = (rows, fingerprints) }

  /// The standby takes over: what was written since it stopped is lost. Says whether anything was.
  mutating func failOver() -> Bool {
    dropAllConnections()
    guard let standby else { return false }
    self.standby = nil
    let isOlder = rows != standby.rows || fingerprints != standby.fingerprints
    (rows, fingerprints) = standby
    return isOlder
  }

  /// The standby has caught up again.
  mutating func standbyFollows() { standby = nil }
}
