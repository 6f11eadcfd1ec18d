// The store that replicas share, on a real server: rows, locks, marks, compare-and-set, takeover, notices.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

@Suite("PostgreSQL store", .serialized, .timeLimit(.minutes(5)))
struct PostgresStoreTests {
  @Test("Every column survives; names are never SQL; seeds are known for ever, whoever asks")
  func roundTrip() async throws {
    let server = try await PostgresServer.start()
    let rows = [
      try StoreFixture.row("full", generation: 7),
      try StoreFixture.bareRow("bare", generation: 0),
      try StoreFixture.bareRow("huge", generation: .max),
      try StoreFixture.row("ünïcode 'quoted\"; DROP TABLE gateway_credential; --", generation: 1),
    ]
    let a = try Replica(server.url(), owner: "a")
    let known = PostgresFixture.fingerprint(1)
    for row in rows {
      #expect(try a.store.save(StoreSave(row: row, replacing: 0, fingerprints: [known, known])) == .saved)
    }
    let b = try Replica(server.tcpURL(), owner: "b")
    #expect(
      try b.store.load(rows.map { StoreQuery(name: $0.name, seed: nil) })
        == rows.map { StoreRecord(row: $0, seedIsKnown: false) })
    #expect(
      try b.store.load([
        StoreQuery(name: "bare", seed: PostgresFixture.fingerprint(2)), StoreQuery(name: "none", seed: known),
      ]) == [StoreRecord(row: rows[1], seedIsKnown: false), StoreRecord(row: nil, seedIsKnown: true)])
  }

  @Test("Two and three replicas: one marks, the others are told to wait, then meet its pair")
  func contention() async throws {
    let server = try await PostgresServer.start()
    let replicas = try ["a", "b", "c"].map { try Replica(server.url(), owner: $0) }
    #expect(try replicas[0].begin(0) == .marked(prior: nil))
    for other in replicas.dropFirst() {
      #expect(try other.begin(0) == .busy(retryAfter: ReplicaSession.lockRetry))
      // Another credential is nobody's business here.
      #expect(try other.begin(0, name: other.owner) == .marked(prior: nil))
    }
    #expect(try replicas[0].save(1) == .saved)
    for other in replicas.dropFirst() { #expect(try other.begin(0) == .superseded(PostgresFixture.row(1))) }
    // The lock is free again, and each in turn gets it.
    for (index, replica) in replicas.enumerated() {
      let generation = UInt64(index + 1)
      #expect(try replica.begin(generation) == .marked(prior: nil))
      #expect(try replica.save(generation + 1) == .saved)
    }
    #expect(try replicas[1].stored() == PostgresFixture.row(4))
  }

  @Test("A replica that dies in its call: its mark is left alone for 5 s by the server's clock, then taken over")
  func takeover() async throws {
    let server = try await PostgresServer.start()
    let b = try Replica(server.url(), owner: "b")
    let mark: InFlightMark
    do {
      let a = try Replica(server.url(), owner: "a")
      #expect(try a.begin(0) == .marked(prior: nil))
      mark = a.mark(0)
      // Its own clock is decades behind the server's: that must not matter.
      #expect(mark.time < WallTime(milliseconds: 1000))
    }
    let clock = ContinuousClock()
    let died = clock.now
    var answer = try b.begin(0)
    var waits = 0
    while case .busy(let wait) = answer {
      #expect(wait <= .seconds(5))
      waits += 1
      try await Task.sleep(for: min(wait, .milliseconds(100)))
      try #require(clock.now - died < .seconds(60))
      answer = try b.begin(0)
    }
    #expect(answer == .marked(prior: mark))
    #expect(waits > 0)
    #expect(clock.now - died > .seconds(4))
    // A second attempt of the same replica is not held up by its own mark.
    try b.store.abandon(StoreAbandon(name: "vinid", generation: 0, keepsMark: true))
    #expect(try b.begin(0) == .marked(prior: b.mark(0)))
  }

  @Test("A pair is written by compare-and-set with or without the lock; a conflict says what is there")
  func compareAndSet() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    let b = try Replica(server.url(), owner: "b")
    #expect(try a.save(1) == .saved)
    #expect(try b.save(1) == .saved, "this very pair: its answer may have been lost")
    #expect(try b.save(3) == .conflict(PostgresFixture.row(1)))
    #expect(try b.save(9, replacing: 1) == .saved)
    #expect(try a.save(2) == .conflict(PostgresFixture.row(9)))
    let gone = StoreSave(row: try PostgresFixture.row(5, name: "gone"), replacing: 4, fingerprints: [])
    #expect(try a.store.save(gone) == .conflict(nil))
    // A store that fell behind: what memory has is written over it.
    try await server.sql("UPDATE gateway_credential SET generation = 3")
    let behind = try #require(try b.stored())
    #expect(try b.begin(9) == .superseded(behind))
    #expect(try b.begin(9, expected: 3) == .marked(prior: nil))
    #expect(try b.save(10) == .saved)
    #expect(try a.stored()?.generation == 10)
  }

  @Test("A verdict stays with its row, is met by the next replica, and goes with the next pair")
  func verdict() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    let b = try Replica(server.url(), owner: "b")
    #expect(try a.save(1) == .saved)
    #expect(try a.begin(1) == .marked(prior: nil))
    let verdict = StoredVerdict(reason: .lostReply, code: "invalid_grant", time: WallTime(milliseconds: 9))
    try a.store.abandon(StoreAbandon(name: "vinid", generation: 1, keepsMark: false, needsLogin: verdict))
    var row = try PostgresFixture.row(1)
    row.needsLogin = verdict
    #expect(try b.begin(1) == .superseded(row))
    #expect(try b.save(2) == .saved)
    #expect(try b.stored()?.needsLogin == nil)
  }

  @Test("An abandon takes away its own mark only, and the lock even of a row that has changed")
  func abandon() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    let b = try Replica(server.url(), owner: "b")
    #expect(try a.begin(0) == .marked(prior: nil))
    try await server.sql("UPDATE gateway_credential SET mark_owner = 'b'")
    try a.store.abandon(StoreAbandon(name: "vinid", generation: 0, keepsMark: false))
    #expect(try b.stored()?.mark?.owner == "b")
    #expect(try b.begin(0) != .busy(retryAfter: ReplicaSession.lockRetry), "the lock is still held")
    try b.store.abandon(StoreAbandon(name: "vinid", generation: 0, keepsMark: false))
    #expect(try b.stored()?.mark == nil)
  }

  @Test("The others are told of a new pair within 1 s; the writer is not")
  func notices() async throws {
    let server = try await PostgresServer.start()
    let replicas = try ["a", "b", "c"].map { try Replica(server.url(), owner: $0) }
    for replica in replicas { #expect(try replica.stored() == nil) }
    var worst = Duration.zero
    for generation in 1...20 as ClosedRange<UInt64> {
      #expect(try replicas[0].begin(generation - 1) == .marked(prior: nil))
      let written = ContinuousClock.now
      #expect(try replicas[0].save(generation) == .saved)
      for other in replicas.dropFirst() {
        try other.wait(within: .seconds(5)) { other.told == generation }
        worst = max(worst, ContinuousClock.now - written)
        #expect(try other.stored()?.generation == generation)
      }
    }
    print("notices: the slowest of 40 took \(worst)")
    #expect(worst < .seconds(1))
    try replicas[0].loop.turn(waitingAtMost: 100)
    #expect(replicas[0].told == nil)
  }

  @Test("What no notice told of is found by the poll, every 5 s")
  func poll() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    #expect(try a.stored() == nil)
    try await server.sql(
      """
      INSERT INTO gateway_credential (name, generation, obtained_at, expires_at, lifetime, access_identity,
        refresh_identity, changed_at)
      SELECT n, 4, 0, 0, 0, sha256(''), sha256(''), clock_timestamp() FROM unnest(ARRAY['vinid', 'of others']) AS n
      """)
    let start = ContinuousClock.now
    try a.wait(within: .seconds(15)) { a.told == 4 }
    #expect(ContinuousClock.now - start < .seconds(8))
    #expect(a.notices == [.changed([StoreChange(name: "vinid", generation: 4)])])
  }

  @Test("100,000 rows are read at start in pieces, in the order of the queries")
  func manyRows() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    let total = 100_000
    try await server.sql(
      """
      INSERT INTO gateway_credential (name, generation, access_token, obtained_at, expires_at, lifetime,
        access_identity, refresh_identity, changed_at)
      SELECT 'c' || n, n, 'token', 0, 0, 0, sha256(''), sha256(''), clock_timestamp() FROM generate_series(1, \(total)) n
      """)
    let start = ContinuousClock.now
    let records = try a.store.load((1...total).map { StoreQuery(name: "c\($0)", seed: nil) })
    print("\(total) rows in \(ContinuousClock.now - start)")
    #expect(records.map { $0.row?.generation ?? 0 } == (1...UInt64(total)).map { $0 })
  }
}
