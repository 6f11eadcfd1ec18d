// What replicas do on their shared store, as scripts: steps asked for, results given, and two sessions on one model.

import GatewayTesting
import Testing
import TokenKit

@Suite("Replica session")
struct ReplicaSessionTests {
  private static let now = WallTime(milliseconds: 1_750_000_000_000)

  private func row(_ generation: UInt64, mark owner: String? = nil, verdict: Bool = false) -> StoredCredential {
    let identity = Fingerprinter.forTests.identity(["x"])
    return StoredCredential(
      name: "vinid", generation: generation, accessToken: Secret("access-\(generation)"), obtainedAt: Self.now,
      expiresAt: Self.now + .seconds(2), lifetime: .seconds(2), refreshToken: Secret("refresh-\(generation)"),
      accessIdentity: identity, refreshIdentity: identity, mark: owner.map { mark($0, generation) },
      needsLogin: verdict ? StoredVerdict(reason: .rejected, code: "invalid_grant", time: Self.now) : nil)
  }

  private func mark(_ owner: String, _ generation: UInt64, at time: WallTime = now) -> InFlightMark {
    InFlightMark(
      owner: owner, generation: generation, time: time,
      fingerprint: Fingerprinter.forTests.refreshToken(Secret("refresh-\(generation)")))
  }

  private func begin(_ generation: UInt64, _ owner: String = "a", expected: UInt64? = nil) -> StoreBegin {
    StoreBegin(row: row(generation, mark: owner), expected: expected ?? generation, fingerprints: [])
  }

  private func save(_ generation: UInt64) -> StoreSave {
    StoreSave(row: row(generation), replacing: generation - 1, fingerprints: [])
  }

  private let broken = StoreError(.io, "broken")

  /// Runs the steps with these results and gives the last step.
  private func run(_ session: inout ReplicaSession, _ request: ReplicaRequest, _ results: ReplicaResult...)
    -> ReplicaStep
  {
    var step = session.start(request)
    for result in results { step = session.next(result) }
    return step
  }

  private func begun(_ answer: StoreBeginAnswer) -> ReplicaStep { .answer(.success(.begun(answer))) }

  @Test("lock, read again, mark, save, unlock")
  func wholeGrant() {
    var session = ReplicaSession()
    #expect(session.start(.begin(begin(1))) == .lock("vinid"))
    #expect(session.next(.locked(true)) == .read("vinid"))
    guard case .write(let marking) = session.next(.row(row(1), markAge: nil)) else {
      Issue.record("no mark is written")
      return
    }
    #expect(marking.row.mark?.owner == "a")
    #expect(marking.expected == 1)
    #expect(!marking.mayReplaceVerdict)
    #expect(session.next(.written(true)) == begun(.marked(prior: nil)))
    #expect(session.holdsLock(of: "vinid"))
    guard case .write(let pair) = session.start(.save(save(2))) else {
      Issue.record("no pair is written")
      return
    }
    #expect(pair.expected == 1)
    #expect(!pair.mayInsert)
    #expect(pair.row.mark == nil)
    #expect(session.next(.written(true)) == .unlock("vinid"))
    #expect(session.next(.unlocked) == .answer(.success(.saved(.saved))))
    #expect(!session.holdsLock(of: "vinid"))
  }

  @Test("a lock that another replica has is never waited for")
  func busy() {
    var session = ReplicaSession()
    #expect(
      run(&session, .begin(begin(1)), .locked(false)) == begun(.busy(retryAfter: ReplicaSession.lockRetry)))
  }

  @Test("a row of another generation is adopted, newer or older than memory, and no call is made")
  func adopted() {
    for generation in [UInt64(2), 4] {
      var session = ReplicaSession()
      let stored = row(generation)
      #expect(run(&session, .begin(begin(3)), .locked(true), .row(stored, markAge: nil)) == .unlock("vinid"))
      #expect(session.next(.unlocked) == begun(.superseded(stored)))
    }
  }

  @Test("a row older than memory is overwritten from memory by compare-and-set")
  func olderRowOverwritten() {
    var session = ReplicaSession()
    let step = run(&session, .begin(begin(5, expected: 3)), .locked(true), .row(row(3), markAge: nil))
    guard case .write(let write) = step else {
      Issue.record("\(step)")
      return
    }
    #expect(write.expected == 3)
    #expect(write.row.generation == 5)
  }

  @Test("a foreign mark with a free lock is left alone for 5 s, then taken over; one's own is not waited for")
  func takeover() {
    for (owner, age, isBusy) in [
      ("b", Duration.seconds(4.5), true), ("b", .seconds(5), false), ("a", .zero, false),
      // A standby's clock is behind that of the server which dated the mark; or that one was wrong by far.
      ("b", .seconds(-1), true), ("b", .seconds(-3600), false),
    ] {
      var session = ReplicaSession()
      let stored = row(1, mark: owner)
      let step = run(&session, .begin(begin(1)), .locked(true), .row(stored, markAge: age))
      if isBusy {
        #expect(step == .unlock("vinid"))
        #expect(session.next(.unlocked) == begun(.busy(retryAfter: .seconds(5) - max(age, .zero))))
      } else {
        #expect(session.next(.written(true)) == begun(.marked(prior: stored.mark)), "\(owner) \(age)")
      }
    }
  }

  @Test("a verdict that the caller doesn't know is adopted")
  func verdict() {
    var session = ReplicaSession()
    let stored = row(1, verdict: true)
    #expect(run(&session, .begin(begin(1)), .locked(true), .row(stored, markAge: nil)) == .unlock("vinid"))
    #expect(session.next(.unlocked) == begun(.superseded(stored)))
  }

  @Test("after a failed begin no lock is held; if it can't be given up, the connection is closed")
  func failedBegin() {
    var session = ReplicaSession()
    let step = run(&session, .begin(begin(1)), .locked(true), .row(row(1), markAge: nil), .failed(broken))
    #expect(step == .unlock("vinid"))
    #expect(session.next(.failed(broken)) == .disconnect)
    #expect(session.next(.disconnected) == .answer(.failure(broken)))
    #expect(!session.holdsLock(of: "vinid"))
  }

  @Test("a mark that a failed statement wrote is not taken for an interrupted grant")
  func doubtfulMark() {
    var session = ReplicaSession()
    let interrupted = mark("dead", 1, at: Self.now + .seconds(-60))
    var stored = row(1)
    stored.mark = interrupted
    _ = run(&session, .begin(begin(1)), .locked(true), .row(stored, markAge: .seconds(60)), .failed(broken), .unlocked)
    let ours = row(1, mark: "a")
    let step = run(&session, .begin(begin(1)), .locked(true), .row(ours, markAge: .seconds(1)), .written(true))
    #expect(step == begun(.marked(prior: interrupted)))
    // The grant went out now: the next begin finds a mark that counts.
    _ = run(
      &session, .abandon(StoreAbandon(name: "vinid", generation: 1, keepsMark: true)), .finished, .unlocked)
    let next = run(&session, .begin(begin(1)), .locked(true), .row(ours, markAge: .seconds(1)), .written(true))
    #expect(next == begun(.marked(prior: ours.mark)))
  }

  @Test("a failed save keeps the lock; one whose success was lost ends as saved")
  func repeatedSave() {
    var session = ReplicaSession()
    _ = run(&session, .begin(begin(1)), .locked(true), .row(row(1), markAge: nil), .written(true))
    #expect(run(&session, .save(save(2)), .failed(broken)) == .answer(.failure(broken)))
    #expect(session.holdsLock(of: "vinid"))
    #expect(run(&session, .save(save(2)), .written(false), .row(row(2), markAge: nil)) == .unlock("vinid"))
    #expect(session.next(.unlocked) == .answer(.success(.saved(.saved))))
  }

  @Test("a save that meets another row says so and keeps the lock")
  func conflict() {
    var session = ReplicaSession()
    _ = run(&session, .begin(begin(1)), .locked(true), .row(row(1), markAge: nil), .written(true))
    let stored = row(7)
    let step = run(&session, .save(save(2)), .written(false), .row(stored, markAge: nil))
    #expect(step == .answer(.success(.saved(.conflict(stored)))))
    #expect(session.holdsLock(of: "vinid"))
    #expect(
      run(&session, .abandon(StoreAbandon(name: "vinid", generation: 2, keepsMark: false)), .finished)
        == .unlock("vinid"))
  }

  @Test("a lock lost with its connection is taken again first thing, and the pair is saved without it too")
  func lostLock() {
    var session = ReplicaSession()
    _ = run(&session, .begin(begin(1)), .locked(true), .row(row(1), markAge: nil), .written(true))
    session.disconnected()
    #expect(!session.holdsLock(of: "vinid"))
    #expect(session.start(.relock) == .lock("vinid"))
    #expect(session.next(.locked(false)) == .answer(.success(.relocked)))
    #expect(run(&session, .save(save(2)), .written(true)) == .answer(.success(.saved(.saved))))
    #expect(session.start(.relock) == .answer(.success(.relocked)))
  }

  @Test("an abandon gives the lock up even if the row can't be written")
  func failedAbandon() {
    var session = ReplicaSession()
    _ = run(&session, .begin(begin(1)), .locked(true), .row(row(1), markAge: nil), .written(true))
    let abandon = StoreAbandon(name: "vinid", generation: 1, keepsMark: false)
    #expect(session.start(.abandon(abandon)) == .finish(abandon, owner: "a"))
    #expect(session.next(.failed(broken)) == .unlock("vinid"))
    #expect(session.next(.unlocked) == .answer(.failure(broken)))
  }

  @Test("two replicas on one store: one marks, the other is told to wait, then adopts")
  func twoReplicas() {
    var store = StoreModel(isShared: true)
    store.rows["vinid"] = row(1)
    var (a, b) = (ReplicaSession(), ReplicaSession())
    func run(_ session: inout ReplicaSession, _ name: String, _ request: ReplicaRequest, at now: WallTime = Self.now)
      -> Result<ReplicaAnswer, StoreError>
    {
      store.carryOut(request, session: &session, connection: name, now: now)
    }
    #expect(run(&a, "a", .begin(begin(1, "a"))) == .success(.begun(.marked(prior: nil))))
    #expect(run(&b, "b", .begin(begin(1, "b"))) == .success(.begun(.busy(retryAfter: .milliseconds(500)))))
    #expect(run(&a, "a", .save(save(2))) == .success(.saved(.saved)))
    #expect(run(&b, "b", .begin(begin(1, "b"))) == .success(.begun(.superseded(row(2)))))
    // a marks again and dies.
    #expect(run(&a, "a", .begin(begin(2, "a"))) == .success(.begun(.marked(prior: nil))))
    store.disconnect(owner: "a")
    #expect(
      run(&b, "b", .begin(begin(2, "b")), at: Self.now + .seconds(2))
        == .success(.begun(.busy(retryAfter: .seconds(3)))))
    #expect(
      run(&b, "b", .begin(begin(2, "b")), at: Self.now + .seconds(5))
        == .success(.begun(.marked(prior: mark("a", 2)))))
    // What the dead one's abandon would have cleared is another replica's mark by now.
    #expect(
      run(&a, "a", .abandon(StoreAbandon(name: "vinid", generation: 2, keepsMark: false))) == .success(.abandoned))
    #expect(store.rows["vinid"]?.mark?.owner == "b")
  }
}
