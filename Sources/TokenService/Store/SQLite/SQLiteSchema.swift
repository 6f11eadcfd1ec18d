// The tables of the embedded store, their versions, and the way from each to the next.

internal import TokenKit

enum SQLiteSchema {
  /// Stands in the file's header ("GATW"), so that no other program's file is taken for ours.
  static let applicationID: Int64 = 0x4741_5457

  /// Statements that lead from version n to n + 1; the version is the header's `user_version`. A step is never changed
  /// once it was released.
  ///
  /// Times are milliseconds since 1970, durations nanoseconds, identities and fingerprints SHA-256 values.
  static let steps: [[String]] = [
    [
      """
      CREATE TABLE credential (
        name TEXT PRIMARY KEY NOT NULL,
        generation INTEGER NOT NULL,
        access_token BLOB,
        obtained_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        lifetime INTEGER NOT NULL,
        refresh_token BLOB,
        refresh_token_end INTEGER,
        refresh_token_lifetime INTEGER,
        access_identity BLOB NOT NULL,
        refresh_identity BLOB NOT NULL,
        mark_owner TEXT,
        mark_generation INTEGER,
        mark_time INTEGER,
        mark_fingerprint BLOB,
        verdict_reason TEXT,
        verdict_code TEXT,
        verdict_time INTEGER
      ) STRICT
      """,
      """
      CREATE TABLE fingerprint (
        value BLOB PRIMARY KEY NOT NULL,
        credential TEXT NOT NULL,
        first_seen INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID
      """,
    ],
    // Which key has encrypted the row's tokens; NULL: they stand there as they are.
    ["ALTER TABLE credential ADD COLUMN key_id BLOB"],
  ]

  /// Brings a file that was just opened to the newest version.
  /// - Throws: `unavailable` for another program's file and for one of a newer gateway, which stay untouched.
  static func prepare(_ database: SQLiteDatabase, path: String) throws(StoreError) {
    guard case .integer(let application) = try database.value("PRAGMA application_id"),
      case .integer(let version) = try database.value("PRAGMA user_version"),
      case .integer(let objects) = try database.value("SELECT count(*) FROM sqlite_schema")
    else { throw StoreError(.unreadable, "the store \(path) has no readable header") }
    let isEmpty = application == 0 && version == 0 && objects == 0
    guard application == applicationID || isEmpty else {
      throw StoreError(.unavailable, "\(path) is an SQLite file of another program")
    }
    guard version >= 0, version <= steps.count else {
      throw StoreError(
        .unavailable,
        "the store \(path) has schema version \(version), and this gateway knows \(steps.count): run a newer one")
    }
    try configure(database, path: path)
    if version < steps.count {
      try database.transaction { () throws(StoreError) in
        for step in steps[Int(version)...] {
          for statement in step { try database.run(statement) }
        }
        try database.run("PRAGMA application_id = \(applicationID)")
        try database.run("PRAGMA user_version = \(steps.count)")
      }
    }
    guard try database.value("PRAGMA quick_check(1)") == .text("ok") else {
      throw StoreError(.io, "the store \(path) is damaged; \(SQLiteDatabase.damageAdvice)")
    }
    // After a failed fsync the log's newest pages may be in the page cache only, and a later fsync would not write them.
    // Copying them into the file makes them new pages.
    try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
  }

  private static func configure(_ database: SQLiteDatabase, path: String) throws(StoreError) {
    guard try database.value("PRAGMA journal_mode = WAL") == .text("wal") else {
      throw StoreError(.unavailable, "the store \(path) is on a file system that SQLite can't keep a log on")
    }
    // A commit returns when its log pages are on the disk.
    try database.run("PRAGMA synchronous = FULL")
    // Tokens that were replaced don't stay readable in free pages or in temporary files.
    try database.run("PRAGMA secure_delete = ON")
    try database.run("PRAGMA temp_store = MEMORY")
    try database.run("PRAGMA journal_size_limit = 1048576")
    try database.run("PRAGMA trusted_schema = OFF")
    try database.run("PRAGMA cell_size_check = ON")
  }
}
