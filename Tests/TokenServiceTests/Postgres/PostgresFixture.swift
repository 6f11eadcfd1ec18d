// A store on a loop of its own, as the store's thread has it, for tests that play several replicas in one thread.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

/// One replica's store.
final class Replica {
  let store: PostgresStore
  let loop: EventLoop
  let owner: String
  private(set) var notices: [StoreNotice] = []

  init(_ url: String, owner: String, cipher: TokenCipher = .none, waitingAtMost limit: Duration = .zero) throws {
    self.owner = owner
    loop = try EventLoop()
    store = try PostgresStore(PostgresURL(Secret(url)), cipher: cipher, waitingAtMost: limit)
    try store.watch(on: loop) { [unowned self] in notices.append($0) }
  }

  deinit { try? store.close() }

  /// A row with a mark of this replica.
  func begin(_ generation: UInt64, expected: UInt64? = nil, name: String = "vinid") throws -> StoreBeginAnswer {
    var row = try PostgresFixture.row(generation, name: name)
    row.mark = mark(generation)
    return try store.begin(
      StoreBegin(
        row: row, expected: expected ?? generation, fingerprints: [PostgresFixture.fingerprint(generation)]))
  }

  func mark(_ generation: UInt64) -> InFlightMark {
    InFlightMark(
      owner: owner, generation: generation, time: WallTime(milliseconds: 5),
      fingerprint: PostgresFixture.fingerprint(generation))
  }

  func save(_ generation: UInt64, replacing: UInt64? = nil) throws -> StoreSaveAnswer {
    try store.save(
      StoreSave(
        row: PostgresFixture.row(generation), replacing: replacing ?? generation - 1,
        fingerprints: [PostgresFixture.fingerprint(generation - 1)]))
  }

  func stored(_ name: String = "vinid") throws -> StoredCredential? {
    try store.load([StoreQuery(name: name, seed: nil)]).first?.row
  }

  /// Turns the loop until the condition holds.
  func wait(within limit: Duration = .seconds(20), _ condition: () -> Bool) throws {
    let deadline = ContinuousClock.now + limit
    while !condition() {
      try #require(ContinuousClock.now < deadline, "the condition did not come; notices: \(notices)")
      try loop.turn(waitingAtMost: 20)
    }
  }

  /// The newest generation that it was told of.
  var told: UInt64? {
    for case .changed(let changes) in notices.reversed() { return changes.last?.generation }
    return nil
  }

  var outages: Int {
    notices.count { if case .lost = $0 { true } else { false } }
  }

  var recoveries: Int {
    notices.count { if case .recovered = $0 { true } else { false } }
  }
}

enum PostgresFixture {
  static func fingerprint(_ generation: UInt64) -> Fingerprint {
    Fingerprinter.sha256.refreshToken(Secret("refresh-\(generation)"))
  }

  /// A row with every column set but mark and verdict.
  static func row(_ generation: UInt64, name: String = "vinid") throws -> StoredCredential {
    var row = try StoreFixture.row(name, generation: generation)
    row.accessToken = Secret("access-\(generation)")
    row.refreshToken = Secret("refresh-\(generation)")
    row.needsLogin = nil
    return row
  }
}
