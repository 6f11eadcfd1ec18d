// What the store keeps: rows, marks, pairs by compare-and-set, fingerprints; through crashes and failing disks.
import FoundationEssentials
import Glibc
import Testing
import TokenKit

@testable import TokenService

@Suite("Store: rows")
struct SQLiteStoreTests {
  private let directory: PrivateDirectory
  private let path: String

  init() throws {
    directory = try PrivateDirectory()
    path = directory.file("gateway.db")
  }

  @Test("Every column survives a restart")
  func roundTrip() throws {
    let rows = [
      try StoreFixture.row("full", generation: 7, mark: StoreFixture.mark(generation: 7)),
      try StoreFixture.bareRow("bare", generation: 0),
      try StoreFixture.bareRow("huge", generation: .max),
      try StoreFixture.row("ünïcode 'quoted\"; DROP TABLE credential; --", generation: 1),
    ]
    let store = try StoreFixture.open(path)
    for row in rows { #expect(try store.save(StoreSave(row: row, replacing: 0, fingerprints: [])) == .saved) }
    try store.close()
    let reopened = try StoreFixture.open(path)
    let records = try reopened.load(rows.map { StoreQuery(name: $0.name, seed: nil) })
    #expect(records == rows.map { StoreRecord(row: $0, seedIsKnown: false) })
  }

  @Test("A grant: mark, pair, next grant")
  func grant() throws {
    let store = try StoreFixture.open(path)
    let mark = try StoreFixture.mark(generation: 0)
    let seed = try StoreFixture.row(generation: 0, mark: mark)
    #expect(
      try store.begin(StoreBegin(row: seed, expected: 0, fingerprints: [StoreFixture.fingerprint(1)]))
        == .marked(prior: nil))
    #expect(try StoreFixture.stored(store) == seed)

    let pair = try StoreFixture.row(generation: 1)
    #expect(
      try store.save(StoreSave(row: pair, replacing: 0, fingerprints: [StoreFixture.fingerprint(2)])) == .saved)
    #expect(try StoreFixture.stored(store) == pair)

    var next = pair
    next.mark = try StoreFixture.mark(generation: 1)
    #expect(try store.begin(StoreBegin(row: next, expected: 1, fingerprints: [])) == .marked(prior: nil))
    // The process died here: the next attempt learns of the one whose answer nobody got.
    #expect(try store.begin(StoreBegin(row: next, expected: 1, fingerprints: [])) == .marked(prior: next.mark))
  }

  @Test(
    "A mark is refused when the row has another generation, and nothing is written", arguments: [0, 4, 6] as [UInt64])
  func superseded(expected: UInt64) throws {
    let store = try StoreFixture.open(path)
    let stored = try StoreFixture.row(generation: 5)
    #expect(try store.save(StoreSave(row: stored, replacing: 0, fingerprints: [])) == .saved)
    let stale = try StoreFixture.row(generation: expected, mark: StoreFixture.mark(generation: expected))
    let fingerprint = try StoreFixture.fingerprint(1)
    #expect(
      try store.begin(StoreBegin(row: stale, expected: expected, fingerprints: [fingerprint])) == .superseded(stored))
    #expect(
      try store.load([StoreQuery(name: "vinid", seed: fingerprint)]) == [StoreRecord(row: stored, seedIsKnown: false)])
  }

  @Test(
    "A pair is refused when the row has another generation, and nothing is written", arguments: [0, 4, 6] as [UInt64])
  func conflict(replacing: UInt64) throws {
    let store = try StoreFixture.open(path)
    let stored = try StoreFixture.row(generation: 5)
    #expect(try store.save(StoreSave(row: stored, replacing: 0, fingerprints: [])) == .saved)
    let fingerprint = try StoreFixture.fingerprint(1)
    let pair = try StoreFixture.row(generation: replacing + 1)
    #expect(
      try store.save(StoreSave(row: pair, replacing: replacing, fingerprints: [fingerprint])) == .conflict(stored))
    #expect(
      try store.load([StoreQuery(name: "vinid", seed: fingerprint)]) == [StoreRecord(row: stored, seedIsKnown: false)])
  }

  @Test("A save that is repeated because its answer got lost ends in a conflict with its own row")
  func repeatedSave() throws {
    let store = try StoreFixture.open(path)
    let pair = try StoreFixture.row(generation: 1)
    #expect(try store.save(StoreSave(row: pair, replacing: 0, fingerprints: [])) == .saved)
    #expect(try store.save(StoreSave(row: pair, replacing: 0, fingerprints: [])) == .conflict(pair))
  }

  @Test("A row that was taken away by hand: a pair for it is a conflict, a mark writes what the process knows")
  func goneRow() throws {
    let store = try StoreFixture.open(path)
    let row = try StoreFixture.row(generation: 6)
    #expect(try store.save(StoreSave(row: row, replacing: 5, fingerprints: [])) == .conflict(nil))
    #expect(try StoreFixture.stored(store) == nil)
    var marked = try StoreFixture.row(generation: 5)
    marked.mark = try StoreFixture.mark(generation: 5)
    #expect(try store.begin(StoreBegin(row: marked, expected: 5, fingerprints: [])) == .marked(prior: nil))
    #expect(try store.save(StoreSave(row: row, replacing: 5, fingerprints: [])) == .saved)
  }

  @Test("The end of a grant without a pair", arguments: [(true, true), (true, false), (false, true), (false, false)])
  func abandon(keepsMark: Bool, hasVerdict: Bool) throws {
    let store = try StoreFixture.open(path)
    var row = try StoreFixture.row(generation: 3, mark: StoreFixture.mark(generation: 3))
    row.needsLogin = nil
    #expect(try store.begin(StoreBegin(row: row, expected: 3, fingerprints: [])) == .marked(prior: nil))
    let verdict = StoredVerdict(reason: .rejected, code: "invalid_grant", time: WallTime(milliseconds: 44))
    let needsLogin = hasVerdict ? verdict : nil
    try store.abandon(StoreAbandon(name: "vinid", generation: 2, keepsMark: false, needsLogin: verdict))
    #expect(try StoreFixture.stored(store) == row, "another generation")
    try store.abandon(StoreAbandon(name: "other", generation: 3, keepsMark: false))
    try store.abandon(StoreAbandon(name: "vinid", generation: 3, keepsMark: keepsMark, needsLogin: needsLogin))
    if !keepsMark { row.mark = nil }
    row.needsLogin = needsLogin
    #expect(try StoreFixture.stored(store) == row)
    #expect(try StoreFixture.stored(store, "other") == nil)
  }

  @Test("Fingerprints are known for ever, under every name, and may come twice")
  func fingerprints() throws {
    let store = try StoreFixture.open(path)
    let sent = try StoreFixture.fingerprint(1)
    let replaced = try StoreFixture.fingerprint(2)
    let marked = try StoreFixture.row(generation: 0, mark: StoreFixture.mark(generation: 0))
    #expect(try store.begin(StoreBegin(row: marked, expected: 0, fingerprints: [sent, sent])) == .marked(prior: nil))
    let pair = try StoreFixture.row(generation: 1)
    #expect(try store.save(StoreSave(row: pair, replacing: 0, fingerprints: [sent, replaced])) == .saved)
    try store.close()
    let reopened = try StoreFixture.open(path)
    let unknown = try StoreFixture.fingerprint(3)
    let seeds = [sent, replaced, unknown, nil]
    #expect(
      try reopened.load(seeds.map { StoreQuery(name: "renamed", seed: $0) }).map(\.seedIsKnown)
        == [true, true, false, false])
  }

  @Test("What was answered is in the files at once: a copy taken without closing has it")
  func crash() throws {
    let store = try StoreFixture.open(path)
    let sent = try StoreFixture.fingerprint(1)
    let marked = try StoreFixture.row(generation: 0, mark: StoreFixture.mark(generation: 0))
    let pair = try StoreFixture.row(generation: 1)
    #expect(try store.begin(StoreBegin(row: marked, expected: 0, fingerprints: [sent])) == .marked(prior: nil))
    try expectCopy("marked", [StoreRecord(row: marked, seedIsKnown: true)], sent)
    #expect(try store.save(StoreSave(row: pair, replacing: 0, fingerprints: [])) == .saved)
    try expectCopy("paired", [StoreRecord(row: pair, seedIsKnown: true)], sent)
  }

  private func expectCopy(_ name: String, _ records: [StoreRecord], _ seed: Fingerprint) throws {
    let copy = try directory.make(name, mode: 0o700) + "/gateway.db"
    for suffix in ["", "-wal"] {
      try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix)
      try PrivateDirectory.setMode(copy + suffix, 0o600)
    }
    let store = try StoreFixture.open(copy)
    #expect(try store.load([StoreQuery(name: "vinid", seed: seed)]) == records)
  }

  @Test("A log that was cut in the middle of a commit has everything before it")
  func tornWrite() throws {
    let store = try StoreFixture.open(path)
    let first = try StoreFixture.row(generation: 1)
    #expect(try store.save(StoreSave(row: first, replacing: 0, fingerprints: [])) == .saved)
    let whole = try #require(FileManager.default.contents(atPath: path + "-wal")).count
    #expect(try store.save(StoreSave(row: StoreFixture.row(generation: 2), replacing: 1, fingerprints: [])) == .saved)
    let log = try #require(FileManager.default.contents(atPath: path + "-wal"))
    try #require(log.count > whole + 100)
    let copy = try directory.make("torn", mode: 0o700) + "/gateway.db"
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    try log.prefix(log.count - 100).write(to: URL(filePath: copy + "-wal"))
    try PrivateDirectory.setMode(copy, 0o600)
    try PrivateDirectory.setMode(copy + "-wal", 0o600)
    #expect(try StoreFixture.stored(StoreFixture.open(copy)) == first)
  }

  @Test(
    "A disk that fails is an error of its kind; nothing is half written, and it works again afterwards",
    arguments: [
      ("/dev/full", O_RDWR, StoreError.Kind.full), ("/dev/null", O_RDONLY, StoreError.Kind.io),
    ])
  func failingDisk(device: String, flags: Int32, kind: StoreError.Kind) throws {
    let first = try StoreFixture.seed(path)
    let store = try StoreFixture.open(path)
    let fingerprint = try StoreFixture.fingerprint(1)
    let pair = StoreSave(row: try StoreFixture.row(generation: 2), replacing: 1, fingerprints: [fingerprint])

    let failing = try ReplacedDescriptor(of: path + "-wal", by: device, flags: flags)
    for _ in 0..<2 {
      let error = try StoreFixture.failure { _ = try store.save(pair) }
      #expect(error.kind == kind, "\(error.message)")
      #expect(!StoreFixture.secrets.contains { error.message.contains($0) })
    }
    failing.restore()

    #expect(
      try store.load([StoreQuery(name: "vinid", seed: fingerprint)]) == [StoreRecord(row: first, seedIsKnown: false)])
    #expect(try store.save(pair) == .saved)
    try store.close()
    #expect(try StoreFixture.stored(StoreFixture.open(path)) == pair.row)
  }

  @Test("A file that somebody else's tool has locked is an error, and works again afterwards")
  func busy() throws {
    let store = try StoreFixture.open(path)
    let other = try SQLiteDatabase(path: path)
    try other.run("BEGIN EXCLUSIVE")
    let pair = StoreSave(row: try StoreFixture.row(generation: 1), replacing: 0, fingerprints: [])
    #expect(try StoreFixture.failure { _ = try store.save(pair) }.kind == .locked)
    try other.run("ROLLBACK")
    #expect(try store.save(pair) == .saved)
  }

  @Test(
    "A row that nobody of ours wrote is an error that names row and column, not a missing row",
    arguments: [
      ("access_identity = x'00'", "access_identity"), ("refresh_token = x'ff'", "refresh_token"),
      ("mark_owner = 'x'", "mark_fingerprint"), ("verdict_reason = 'new'", "verdict_time"),
    ])
  func unreadableRow(assignment: String, column: String) throws {
    let store = try StoreFixture.open(path)
    var row = try StoreFixture.row()
    row.needsLogin = nil
    #expect(try store.save(StoreSave(row: row, replacing: 0, fingerprints: [])) == .saved)
    try SQLiteDatabase(path: path).run("UPDATE credential SET \(assignment)")
    let error = try StoreFixture.failure { _ = try StoreFixture.stored(store) }
    #expect(error.kind == .unreadable)
    #expect(error.message.contains("\"vinid\"") && error.message.contains(column), "\(error.message)")
    #expect(!StoreFixture.secrets.contains { error.message.contains($0) })
  }

  @Test("A replaced token does not stay in the file")
  func secureDelete() throws {
    let store = try StoreFixture.open(path)
    #expect(try store.save(StoreSave(row: StoreFixture.row(generation: 1), replacing: 0, fingerprints: [])) == .saved)
    #expect(
      try store.save(StoreSave(row: StoreFixture.bareRow("vinid", generation: 2), replacing: 1, fingerprints: []))
        == .saved)
    try store.close()
    let bytes = try #require(FileManager.default.contents(atPath: path))
    for secret in StoreFixture.secrets { #expect(bytes.firstRange(of: Data(secret.utf8)) == nil) }
  }

  @Test("A closed store says so")
  func closed() throws {
    let store = try StoreFixture.open(path)
    try store.close()
    try store.close()
    #expect(try StoreFixture.failure { _ = try StoreFixture.stored(store) }.kind == .unavailable)
  }
}
