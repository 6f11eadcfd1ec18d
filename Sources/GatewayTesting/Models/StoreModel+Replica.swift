// A shared store's statements in memory: what PostgreSQL does with the steps of a `ReplicaSession`. Each step is one
// statement, so a simulator may let anything happen between two of them.

package import TokenKit

extension StoreModel {
  /// Carries out one step for a connection. `now` is the store's own clock. Steps that carry nothing out (`answer`) give
  /// nil.
  package mutating func carryOut(_ step: ReplicaStep, connection: String, now: WallTime) -> ReplicaResult? {
    switch step {
    case .lock(let name):
      if let holder = locks[name], holder != connection { return .locked(false) }
      locks[name] = connection
      return .locked(true)
    case .unlock(let name):
      unlock(name, owner: connection)
      return .unlocked
    case .read(let name):
      let row = rows[name]
      return .row(row, markAge: row?.mark.map { now - writtenAt($0, of: name) })
    case .write(let write): return .written(replace(write, now: now))
    case .finish(let abandon, let owner):
      guard rows[abandon.name]?.generation == abandon.generation else { return .finished }
      if !abandon.keepsMark, rows[abandon.name]?.mark?.owner == owner { rows[abandon.name]?.mark = nil }
      if let verdict = abandon.needsLogin { rows[abandon.name]?.needsLogin = verdict }
      return .finished
    case .disconnect:
      disconnect(owner: connection)
      return .disconnected
    case .answer: return nil
    }
  }

  private func writtenAt(_ mark: InFlightMark, of name: String) -> WallTime {
    if let known = marks[name], known.mark == mark { known.at } else { mark.time }
  }

  private mutating func replace(_ write: ReplicaWrite, now: WallTime) -> Bool {
    let name = write.row.name
    if let stored = rows[name] {
      guard stored.generation == write.expected, write.mayReplaceVerdict || stored.needsLogin == nil else {
        return false
      }
    } else if !write.mayInsert {
      return false
    }
    rows[name] = write.row
    marks[name] = write.row.mark.map { ($0, now) }
    fingerprints.formUnion(write.fingerprints)
    return true
  }

  /// Carries a whole operation out at once: no other replica comes between its steps.
  package mutating func carryOut(
    _ request: ReplicaRequest, session: inout ReplicaSession, connection: String, now: WallTime
  ) -> Result<ReplicaAnswer, StoreError> {
    var step = session.start(request)
    while true {
      if case .answer(let result) = step { return result }
      guard let result = carryOut(step, connection: connection, now: now) else {
        return .failure(StoreError(.unavailable, "no result"))
      }
      step = session.next(result)
    }
  }
}
