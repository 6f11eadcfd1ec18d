// The tables of the shared store, their versions, and the way from each to the next.

internal import TokenKit

enum PostgresSchema {
  /// Statements that lead from version n to n + 1. A step is never changed once it was released. Tables are made in the
  /// first schema of the session's search_path.
  ///
  /// Times are milliseconds since 1970 by the clock of the replica that wrote them, durations nanoseconds, identities and
  /// fingerprints SHA-256 values. `marked_at` and `changed_at` are of the server's own clock.
  static let steps: [[String]] = [
    [
      """
      CREATE TABLE gateway_credential (
        name text PRIMARY KEY,
        generation bigint NOT NULL,
        access_token bytea,
        obtained_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        lifetime bigint NOT NULL,
        refresh_token bytea,
        refresh_token_end bigint,
        refresh_token_lifetime bigint,
        access_identity bytea NOT NULL,
        refresh_identity bytea NOT NULL,
        mark_owner text,
        mark_generation bigint,
        mark_time bigint,
        mark_fingerprint bytea,
        verdict_reason text,
        verdict_code text,
        verdict_time bigint,
        marked_at timestamptz,
        changed_at timestamptz NOT NULL
      )
      """,
      "CREATE INDEX gateway_credential_changed_at ON gateway_credential (changed_at)",
      """
      CREATE TABLE gateway_fingerprint (
        value bytea PRIMARY KEY,
        credential text NOT NULL,
        first_seen bigint NOT NULL
      )
      """,
    ],
    // Which key has encrypted the row's tokens; NULL: they stand there as they are.
    ["ALTER TABLE gateway_credential ADD COLUMN key_id bytea"],
  ]

  /// Brings the tables to the newest version. Replicas that start at the same time wait for one another.
  /// - Throws: `unavailable` for tables of a newer gateway, which stay untouched.
  static func prepare(_ connection: PostgresConnection, lock: Int64) throws(PostgresFailure) {
    if try version(connection) == steps.count { return }
    // Before the transaction, which then sees what the replica before this one has made. A failure closes the connection.
    try connection.run("SELECT pg_advisory_lock($1)", [.integer(lock)])
    try connection.transaction { () throws(PostgresFailure) in
      let version = try version(connection)
      if version == steps.count { return }
      if version == 0 { try connection.run("CREATE TABLE gateway_schema (version integer NOT NULL)") }
      for step in steps[version...] {
        for statement in step { try connection.run(statement) }
      }
      try connection.run("DELETE FROM gateway_schema")
      try connection.run("INSERT INTO gateway_schema (version) VALUES ($1)", [.integer(Int64(steps.count))])
    }
    try connection.run("SELECT pg_advisory_unlock($1)", [.integer(lock)])
  }

  /// 0: there are no tables.
  private static func version(_ connection: PostgresConnection) throws(PostgresFailure) -> Int {
    let found = try connection.run("SELECT to_regclass('gateway_schema') IS NOT NULL")
    guard found.first?.first?.flag == true else { return 0 }
    let rows = try connection.run("SELECT max(version) FROM gateway_schema")
    guard let version = rows.first?.first?.integer, version >= 1 else {
      throw .unreadable("the table gateway_schema has no version")
    }
    guard version <= steps.count else {
      throw PostgresFailure(
        error: StoreError(
          .unavailable,
          "PostgreSQL: the store's tables have schema version \(version), and this gateway knows \(steps.count): "
            + "run a newer one"),
        isConnectionLost: false)
    }
    return Int(version)
  }
}
