// What a shared store does when its server is stopped, restarted, frozen, slow, newer, or not to be had at all.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

@Suite("PostgreSQL store: outages and schemas", .serialized, .timeLimit(.minutes(5)))
struct PostgresOutageTests {
  @Test(
    "A restart of the server is only a delay; a grant under way takes its lock again",
    arguments: [PostgresServer.Stop.fast, .immediate])
  func restart(_ how: PostgresServer.Stop) async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    let b = try Replica(server.url(), owner: "b")
    #expect(try a.begin(0) == .marked(prior: nil))
    try await server.restart(how)
    // While nothing is asked of it, the loop notices and connects again.
    try a.wait { a.recoveries == 1 }
    #expect(a.outages == 1)
    #expect(try b.begin(0) == .busy(retryAfter: ReplicaSession.lockRetry), "the lock of the call in flight")
    #expect(try a.save(1) == .saved)
    #expect(try b.begin(1) == .marked(prior: nil))
    try b.wait { b.recoveries == 1 }
  }

  @Test("An operation waits for a server that is away for a short while, and LISTEN is on again afterwards")
  func waiting() async throws {
    let server = try await PostgresServer.start()
    let stopped = Latch()
    let ready = Latch()
    async let replicas: Void = OwnThread.run {
      let a = try Replica(server.url(), owner: "a")
      let b = try Replica(server.url(), owner: "b")
      #expect(try a.save(1) == .saved)
      #expect(try b.stored()?.generation == 1)
      ready.open()
      stopped.wait()
      let start = ContinuousClock.now
      #expect(try a.save(2) == .saved)
      #expect(ContinuousClock.now - start > .milliseconds(900))
      try b.wait { b.told == 2 }
      #expect(try b.stored()?.generation == 2)
      #expect(try a.save(3) == .saved)
      try b.wait(within: .seconds(3)) { b.told == 3 }
    }
    try await Deadline.wait("the replicas are ready") { ready.isPassed }
    try await server.stop()
    stopped.open()
    try await Task.sleep(for: .seconds(1))
    try await server.start()
    try await replicas
  }

  @Test("A grant that is abandoned while the server is away does not get its lock back with the next connection")
  func abandonedAway() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    #expect(try a.begin(0) == .marked(prior: nil))
    try await server.stop()
    try a.wait { a.outages == 1 }
    let abandon = StoreAbandon(name: "vinid", generation: 0, keepsMark: true)
    let error = try StoreFixture.failure { try a.store.abandon(abandon) }
    #expect(error.kind == .unavailable)
    try await server.start()
    try a.wait(within: .seconds(15)) { a.recoveries == 1 }
    // The outage took longer than a mark is respected: only a lock could keep another replica waiting.
    let b = try Replica(server.url(), owner: "b")
    #expect(try b.begin(0) == .marked(prior: a.mark(0)))
  }

  @Test("A long outage fails operations at once; none of them leaves a lock or a mark behind")
  func longOutage() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    try await server.stop()
    let start = ContinuousClock.now
    var error = try StoreFixture.failure { _ = try a.begin(0) }
    #expect(error.kind == .unavailable)
    let waited = ContinuousClock.now - start
    #expect(waited > .seconds(7) && waited < .seconds(15), "\(waited)")
    let second = ContinuousClock.now
    error = try StoreFixture.failure { _ = try a.begin(0) }
    #expect(ContinuousClock.now - second < .seconds(1))
    #expect(error.message.contains("PostgreSQL"))
    try await server.start()
    try a.wait(within: .seconds(15)) { a.recoveries == 1 }
    let b = try Replica(server.url(), owner: "b")
    #expect(try b.begin(0) == .marked(prior: nil))
  }

  @Test("A server that doesn't answer any more is given up after a statement's time and 3 s")
  func frozen() async throws {
    let server = try await PostgresServer.start()
    let frozen = Latch()
    let ready = Latch()
    async let replica: Void = OwnThread.run {
      let a = try Replica(server.url(), owner: "a")
      ready.open()
      frozen.wait()
      let start = ContinuousClock.now
      #expect(try a.save(1) == .saved)
      let took = ContinuousClock.now - start
      #expect(took > .seconds(7) && took < .seconds(25), "\(took)")
      #expect(a.outages == 1)
    }
    try await Deadline.wait("the replica is ready") { ready.isPassed }
    try await server.freeze(true)
    frozen.open()
    try await Task.sleep(for: .seconds(9))
    try await server.freeze(false)
    try await replica
  }

  @Test("A statement that takes too long is cancelled, and the operation fails without a lock")
  func statementTimeout() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    #expect(try a.save(1) == .saved)
    // Another session has the row.
    let other = try PostgresConnection(PostgresURL(Secret(server.url())), statementLimit: .seconds(30))
    try other.run("BEGIN")
    try other.run("SELECT 1 FROM gateway_credential FOR UPDATE")
    let start = ContinuousClock.now
    let error = try StoreFixture.failure { _ = try a.begin(1) }
    let took = ContinuousClock.now - start
    #expect(took >= .seconds(5) && took < .seconds(8), "\(took)")
    #expect(error.message.contains("too long"), "\(error)")
    try other.run("ROLLBACK")
    let b = try Replica(server.url(), owner: "b")
    #expect(try b.begin(1) == .marked(prior: nil))
    #expect(a.outages == 0)
  }

  @Test("The tables are made by whoever comes first, also when several come at once")
  func fromScratch() async throws {
    let server = try await PostgresServer.start()
    let url = server.url()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for owner in ["a", "b", "c"] {
        group.addTask {
          try await OwnThread.run { _ = try Replica(url, owner: owner).stored() }
        }
      }
      try await group.waitForAll()
    }
    #expect(try await server.sql("SELECT version FROM gateway_schema") == "\(PostgresSchema.steps.count)")
    // In a schema of its own, beside the first.
    try await server.sql("CREATE SCHEMA second")
    let second = try Replica(server.url(options: "options=-csearch_path%3Dsecond"), owner: "d")
    let first = try Replica(url, owner: "e")
    #expect(try first.begin(0) == .marked(prior: nil))
    #expect(try second.begin(0) == .marked(prior: nil), "locks of another schema are other locks")
    #expect(try await server.sql("SELECT count(*) FROM second.gateway_credential") == "1")
  }

  @Test("Tables of version 1 are brought to the newest with their rows")
  func fromVersion1() async throws {
    let server = try await PostgresServer.start()
    try await server.sql(
      PostgresSchema.steps[0].joined(separator: ";\n")
        + """
        ; CREATE TABLE gateway_schema (version integer NOT NULL); INSERT INTO gateway_schema VALUES (1);
        INSERT INTO gateway_credential (name, generation, access_token, obtained_at, expires_at, lifetime, refresh_token,
          access_identity, refresh_identity, changed_at)
        VALUES ('vinid', 5, 'access-5', 1, 2, 3, 'refresh-5', sha256(''), sha256(''), now())
        """)
    let a = try Replica(server.url(), owner: "a")
    #expect(try await server.sql("SELECT version FROM gateway_schema") == "\(PostgresSchema.steps.count)")
    let row = try #require(try a.stored())
    #expect(row.generation == 5)
    #expect(row.refreshToken == Secret("refresh-5"))
    #expect(try a.begin(5) == .marked(prior: nil))
  }

  @Test("Tables of a newer gateway are a clear error, and stay as they are")
  func newer() async throws {
    let server = try await PostgresServer.start()
    _ = try Replica(server.url(), owner: "a")
    try await server.sql("UPDATE gateway_schema SET version = 99")
    let error = try StoreFixture.failure { _ = try Replica(server.url(), owner: "b", waitingAtMost: .seconds(20)) }
    #expect(error.kind == .unavailable)
    #expect(error.message.contains("schema version 99"), "\(error)")
    #expect(try await server.sql("SELECT version FROM gateway_schema") == "99")
  }

  @Test("At start: a wrong password, no such database, no server; none prints a part of the password")
  func unreachable() async throws {
    let server = try await PostgresServer.start()
    let start = ContinuousClock.now
    for (url, expected) in [
      (server.tcpURL(password: "made-up-wrong"), "password authentication failed"),
      (server.tcpURL(database: "none"), "database \"none\" does not exist"),
    ] {
      let error = try StoreFixture.failure { _ = try Replica(url, owner: "a", waitingAtMost: .seconds(20)) }
      #expect(error.message.contains(expected), "\(error)")
      #expect(!error.message.contains("made-up"), "\(error)")
    }
    #expect(ContinuousClock.now - start < .seconds(15), "it waited for what does not change")
    let url = server.tcpURL()
    try await server.stop()
    let error = try StoreFixture.failure { _ = try Replica(url, owner: "a") }
    #expect(error.message.contains("Connection refused"), "\(error)")
    #expect(!error.message.contains("made-up"), "\(error)")
    // A server that is only late is waited for.
    async let late: Void = OwnThread.run {
      let late = try Replica(url, owner: "a", waitingAtMost: .seconds(30))
      #expect(try late.stored() == nil)
    }
    try await Task.sleep(for: .seconds(1))
    try await server.start()
    try await late
  }

  @Test("A server that accepts and says nothing: an error when the connect time-out of the URL is over")
  func connectTimeout() throws {
    let silent = try Socket.listen(on: .ipv4(0x7f00_0001, port: 0))
    defer { Socket.close(silent) }
    let url = "postgres://gateway@\(try Socket.localAddress(silent))/x?connect_timeout=2&sslmode=disable"
    let start = ContinuousClock.now
    let error = try StoreFixture.failure { _ = try Replica(url, owner: "a") }
    let took = ContinuousClock.now - start
    #expect(error.message.contains("timeout expired"), "\(error)")
    #expect(took > .seconds(1) && took < .seconds(10), "\(took)")
  }

  @Test("A grant that sends no refresh token is not held up by an outage")
  func unspending() async throws {
    let server = try await PostgresServer.start()
    let a = try Replica(server.url(), owner: "a")
    try await server.stop()
    var row = try PostgresFixture.row(0)
    row.mark = InFlightMark(owner: "a", generation: 0, time: WallTime(milliseconds: 1), fingerprint: nil)
    let start = ContinuousClock.now
    let error = try StoreFixture.failure {
      _ = try a.store.begin(StoreBegin(row: row, expected: 0, fingerprints: []))
    }
    #expect(error.kind == .unavailable)
    #expect(ContinuousClock.now - start < .seconds(4))
  }

  @Test("Connecting again: in pauses that grow to half a second while operations wait, and to 5 s after that")
  func backoff() {
    var outage = StoreOutage(randomSeed: 3)
    let start = BootInstant(nanoseconds: 1_000_000_000)
    var now = start
    #expect(outage.isWaiting(at: now))
    #expect(outage.ended(at: now) == nil)
    var pauses: [Duration] = []
    for _ in 0..<40 {
      outage.failed(at: now)
      #expect(outage.isWaiting(at: now) == (now - start < StoreOutage.patience))
      pauses.append(outage.retryAt - now)
      now = outage.retryAt
    }
    #expect(pauses.allSatisfy { $0 >= .milliseconds(25) && $0 <= .seconds(5) })
    #expect(pauses[0] <= .milliseconds(50))
    #expect(pauses.prefix(10).allSatisfy { $0 <= .milliseconds(500) })
    #expect((pauses.last ?? .zero) >= .milliseconds(2500))
    #expect(outage.ended(at: now) == now - start)
    outage.failed(at: now)
    #expect(outage.retryAt - now <= .milliseconds(50))
  }
}
