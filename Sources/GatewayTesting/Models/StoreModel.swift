// The store's rules in memory: compare-and-set, marks, fingerprints, and the lock of a shared store. What SQLite and
// PostgreSQL must do as well; tests and the simulator run against it.

package import TokenKit

/// A store's content and rules, without time of its own or failures.
package struct StoreModel {
  /// All rows by name.
  package var rows: [String: StoredCredential] = [:]
  /// Of all refresh tokens ever sent or replaced.
  package var fingerprints: Set<TokenKit.Fingerprint> = []
  /// Whether replicas use it: then there are locks.
  package var isShared: Bool
  /// Who holds the lock of which credential.
  package internal(set) var locks: [String: String] = [:]
  /// When marks were written, by the store's own clock (only those written step by step).
  var marks: [String: (mark: InFlightMark, at: WallTime)] = [:]

  /// An empty store.
  package init(isShared: Bool = false) { self.isShared = isShared }

  /// Answers a query.
  package func read(_ query: StoreQuery) -> StoreRecord {
    StoreRecord(row: rows[query.name], seedIsKnown: query.seed.map(fingerprints.contains) ?? false)
  }

  /// See `StoreBegin`. `owner` is the connection that asks; `now` is only compared with marks.
  package mutating func begin(_ begin: StoreBegin, owner: String, now: WallTime) -> StoreBeginAnswer {
    let name = begin.row.name
    let stored = rows[name]
    if isShared {
      if let holder = locks[name], holder != owner { return .busy(retryAfter: .milliseconds(500)) }
      if (stored?.generation ?? 0) == begin.expected, let mark = stored?.mark, mark.owner != owner,
        now - mark.time < .seconds(5), now >= mark.time
      {
        return .busy(retryAfter: .seconds(5) - (now - mark.time))
      }
    }
    if let stored {
      let isUnknownVerdict =
        stored.needsLogin != nil && begin.row.needsLogin == nil && begin.row.generation == stored.generation
      if stored.generation != begin.expected || isUnknownVerdict { return .superseded(stored) }
    }
    if isShared { locks[name] = owner }
    rows[name] = begin.row
    fingerprints.formUnion(begin.fingerprints)
    return .marked(prior: stored?.mark)
  }

  /// See `StoreSave`.
  package mutating func save(_ save: StoreSave, owner: String) -> StoreSaveAnswer {
    let name = save.row.name
    guard (rows[name]?.generation ?? 0) == save.replacing else { return .conflict(rows[name]) }
    rows[name] = save.row
    rows[name]?.mark = nil
    fingerprints.formUnion(save.fingerprints)
    if locks[name] == owner { locks[name] = nil }
    return .saved
  }

  /// See `StoreAbandon`.
  package mutating func abandon(_ abandon: StoreAbandon, owner: String) {
    if rows[abandon.name]?.generation == abandon.generation {
      if !abandon.keepsMark { rows[abandon.name]?.mark = nil }
      if let verdict = abandon.needsLogin { rows[abandon.name]?.needsLogin = verdict }
    }
    if locks[abandon.name] == owner { locks[abandon.name] = nil }
  }

  /// An operation failed that leaves no lock behind.
  package mutating func unlock(_ name: String, owner: String) {
    if locks[name] == owner { locks[name] = nil }
  }

  /// A process ended, or its connection broke: its locks are gone.
  package mutating func disconnect(owner: String) {
    locks = locks.filter { $0.value != owner }
  }
}
