// The embedded store: one SQLite file for one gateway process.

internal import EventLoop
internal import TokenKit

/// Rows and fingerprints in one file. Blocks; made, used and closed on one thread.
///
/// After a failed write the connection stays: SQLite writes the same log pages again at the next commit, whereas a new
/// connection would take pages for committed that a failed fsync never brought to the disk.
final class SQLiteStore: BlockingStore {
  private let path: String
  private let lock: StoreLock
  private let now: () -> WallTime
  private let cipher: TokenCipher
  private var open: Open?

  private struct Open {
    let database: SQLiteDatabase
    let select: SQLiteStatement
    let upsert: SQLiteStatement
    let remember: SQLiteStatement
    let isKnown: SQLiteStatement
  }

  /// Opens the store, and makes it if there is none.
  /// - Parameters:
  ///   - limit: how long to wait for another process that has it.
  ///   - cipher: encrypts tokens.
  ///   - now: the wall clock, for the column that says when a fingerprint was first seen.
  init(
    path: String, waitingAtMost limit: Duration, cipher: TokenCipher = .none,
    now: @escaping () -> WallTime = { WallTime(milliseconds: Process.wallClockMilliseconds()) }
  ) throws(StoreError) {
    self.path = try StoreFile.locate(path)
    self.now = now
    self.cipher = cipher
    lock = try StoreLock(store: self.path, waitingAtMost: limit)
    try StoreFile.create(self.path)
    let database = try SQLiteDatabase(path: self.path)
    try SQLiteSchema.prepare(database, path: self.path)
    try StoreFile.checkFiles(self.path)

    let columns = CredentialRow.columns.joined(separator: ", ")
    let places = CredentialRow.columns.map { _ in "?" }.joined(separator: ", ")
    let updates = CredentialRow.columns.dropFirst().map { "\($0) = excluded.\($0)" }.joined(separator: ", ")
    open = Open(
      database: database,
      select: try database.prepare("SELECT \(columns) FROM credential WHERE name = ?"),
      upsert: try database.prepare(
        "INSERT INTO credential (\(columns)) VALUES (\(places)) ON CONFLICT (name) DO UPDATE SET \(updates)"),
      remember: try database.prepare(
        "INSERT INTO fingerprint (value, credential, first_seen) VALUES (?, ?, ?) ON CONFLICT (value) DO NOTHING"),
      isKnown: try database.prepare("SELECT 1 FROM fingerprint WHERE value = ?"))
  }

  func load(_ queries: [StoreQuery]) throws(StoreError) -> [StoreRecord] {
    let open = try opened()
    var records: [StoreRecord] = []
    records.reserveCapacity(queries.count)
    // One transaction: each statement would begin one of its own.
    return try open.database.reading { () throws(StoreError) in
      for query in queries {
        var isKnown = false
        if let seed = query.seed { isKnown = try !open.isKnown.run([.blob(seed.bytes)]).isEmpty }
        records.append(StoreRecord(row: try row(query.name, open), seedIsKnown: isKnown))
      }
      return records
    }
  }

  func begin(_ begin: StoreBegin) throws(StoreError) -> StoreBeginAnswer {
    let open = try opened()
    return try open.database.transaction { () throws(StoreError) in
      let stored = try row(begin.row.name, open)
      // A row that is gone was taken away by hand: what the process knows is newer.
      if let stored, stored.generation != begin.expected { return .superseded(stored) }
      try write(begin.row, begin.fingerprints, open)
      return .marked(prior: stored?.mark)
    }
  }

  func save(_ save: StoreSave) throws(StoreError) -> StoreSaveAnswer {
    let open = try opened()
    return try open.database.transaction { () throws(StoreError) in
      let stored = try row(save.row.name, open)
      guard stored?.generation ?? 0 == save.replacing else { return .conflict(stored) }
      try write(save.row, save.fingerprints, open)
      return .saved
    }
  }

  func abandon(_ abandon: StoreAbandon) throws(StoreError) {
    let open = try opened()
    try open.database.transaction { () throws(StoreError) in
      guard var stored = try row(abandon.name, open), stored.generation == abandon.generation else { return }
      if !abandon.keepsMark { stored.mark = nil }
      if let verdict = abandon.needsLogin { stored.needsLogin = verdict }
      try write(stored, [], open)
    }
  }

  /// Nobody else writes it.
  func watch(on loop: EventLoop, _ notice: @escaping (StoreNotice) -> Void) {}

  func close() throws(StoreError) {
    guard let database = open?.database else { return }
    // The statements go first, then what is left of the log goes into the file, and then somebody else may have it.
    open = nil
    defer { lock.release() }
    try database.close()
  }

  private func opened() throws(StoreError) -> Open {
    guard let open else { throw StoreError(.unavailable, "the store \(path) is closed") }
    return open
  }

  private func row(_ name: String, _ open: Open) throws(StoreError) -> StoredCredential? {
    guard let values = try open.select.run([.text(name)]).first else { return nil }
    return try CredentialRow.credential(from: values, cipher)
  }

  private func write(_ row: StoredCredential, _ fingerprints: [Fingerprint], _ open: Open) throws(StoreError) {
    _ = try open.upsert.run(CredentialRow.values(row, cipher))
    for fingerprint in fingerprints {
      _ = try open.remember.run([.blob(fingerprint.bytes), .text(row.name), .integer(now().milliseconds)])
    }
  }
}
