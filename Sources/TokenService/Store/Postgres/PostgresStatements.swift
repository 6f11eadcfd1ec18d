// The steps of replicas as SQL, each one statement. Runs on one connection; `PostgresStore` makes a new one for each.

internal import Crypto
internal import EventLoop
internal import TokenKit

/// A connection that is ready for the store: its session is set up and its tables are there.
final class PostgresStatements {
  /// How long a statement may take.
  static let limit: Duration = .seconds(5)
  private static let channel = "gateway_credential"
  /// Rows asked for in one statement.
  private static let batch = 1000

  let connection: PostgresConnection
  private let cipher: TokenCipher
  private let schema: String

  /// Connects, sets the session up, and makes or migrates the tables.
  init(_ url: PostgresURL, cipher: TokenCipher) throws(PostgresFailure) {
    self.cipher = cipher
    connection = try PostgresConnection(url, statementLimit: Self.limit)
    // Keepalives on the server's side let it give up the locks of a replica that has vanished without a word. A commit
    // must be on the disk when it returns, whatever the database's default.
    let settings = try connection.run(
      """
      SELECT current_schema(), set_config('statement_timeout', '\(Self.limit.components.seconds)s', false),
        set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
        set_config('tcp_keepalives_count', '3', false),
        CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END
      """)
    guard let schema = settings.first?.first?.text else {
      throw PostgresFailure(
        error: StoreError(
          .unavailable, "PostgreSQL: the user's search_path names no schema that exists: make one, or set it in the URL"
        ),
        isConnectionLost: false)
    }
    self.schema = schema
    try PostgresSchema.prepare(connection, lock: Self.key("schema", schema, ""))
  }

  /// A number for an advisory lock. They are one namespace per database.
  private static func key(_ kind: String, _ schema: String, _ name: String) -> Int64 {
    let text = "gateway\0\(kind)\0\(schema)\0\(name)"
    return SHA256.hash(data: Array(text.utf8)).prefix(8).reduce(0) { $0 << 8 | Int64($1) }
  }

  // MARK: Steps

  /// Carries a step out; nil for the end of an operation, which carries nothing out.
  func carryOut(_ step: ReplicaStep) throws(PostgresFailure) -> ReplicaResult? {
    switch step {
    case .lock(let name): return .locked(try lock(name))
    case .unlock(let name):
      try unlock(name)
      return .unlocked
    case .read(let name): return try read(name)
    case .write(let write): return .written(try replace(write))
    case .finish(let abandon, let owner):
      try finish(abandon, owner)
      return .finished
    case .disconnect, .answer: return nil
    }
  }

  private func lock(_ name: String) throws(PostgresFailure) -> Bool {
    let rows = try connection.run(
      "SELECT pg_try_advisory_lock($1)", [.integer(Self.key("credential", schema, name))])
    return rows.first?.first?.flag ?? false
  }

  private func unlock(_ name: String) throws(PostgresFailure) {
    let rows = try connection.run(
      "SELECT pg_advisory_unlock($1)", [.integer(Self.key("credential", schema, name))])
    if rows.first?.first?.flag == true { return }
    throw PostgresFailure(
      error: StoreError(
        .unavailable,
        "PostgreSQL: a lock was lost within its session: connect directly, or through a pooler in session mode"),
      isConnectionLost: true)
  }

  private static let columns = CredentialRow.columns.joined(separator: ", ")
  private static let selected = """
    SELECT \(columns), (extract(epoch FROM clock_timestamp() - marked_at) * 1000)::bigint AS mark_age
    FROM gateway_credential
    """

  private func read(_ name: String) throws(PostgresFailure) -> ReplicaResult {
    guard let values = try connection.run("\(Self.selected) WHERE name = $1", [.text(name)]).first else {
      return .row(nil, markAge: nil)
    }
    let row = try credential(values)
    return .row(row, markAge: row.mark == nil ? nil : values.last?.integer.map { .milliseconds($0) })
  }

  private func credential(_ values: [PostgresValue]) throws(PostgresFailure) -> StoredCredential {
    do throws(StoreError) {
      return try CredentialRow.credential(from: values.map(\.stored), cipher)
    } catch {
      throw PostgresFailure(error: error, isConnectionLost: false)
    }
  }

  private static let places = CredentialRow.columns.indices.map { "$\($0 + 1)" }
  private static let afterRow = CredentialRow.columns.count
  private static let markedAt = """
    CASE WHEN $\((CredentialRow.columns.firstIndex(of: "mark_owner") ?? 0) + 1)::text IS NULL THEN NULL
      ELSE clock_timestamp() END
    """
  private static let isExpected =
    "c.generation = $\(afterRow + 1) AND ($\(afterRow + 2) OR c.verdict_reason IS NULL)"
  private static let insertOrUpdate = """
    INSERT INTO gateway_credential AS c (\(columns), marked_at, changed_at)
    VALUES (\(places.joined(separator: ", ")), \(markedAt), clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET
      \(CredentialRow.columns.dropFirst().map { "\($0) = excluded.\($0)" }.joined(separator: ", ")),
      marked_at = excluded.marked_at, changed_at = excluded.changed_at
    WHERE \(isExpected)
    """
  private static let update = """
    UPDATE gateway_credential AS c SET
      \(zip(CredentialRow.columns, places).dropFirst().map { "\($0) = \($1)" }.joined(separator: ", ")),
      marked_at = \(markedAt), changed_at = clock_timestamp()
    WHERE c.name = $1 AND \(isExpected)
    """

  /// The row, its fingerprints and the notice for the other replicas, in one statement: all of it or none.
  private static func write(_ change: String) -> String {
    """
    WITH written AS (\(change) RETURNING c.name, c.generation),
    remembered AS (
      INSERT INTO gateway_fingerprint (value, credential, first_seen)
      SELECT f, w.name, $\(afterRow + 3) FROM written w, unnest($\(afterRow + 4)) AS f
      ON CONFLICT (value) DO NOTHING
    )
    SELECT pg_notify('\(channel)', CASE WHEN octet_length(w.name) < 7000 THEN w.generation || ' ' || w.name ELSE '' END)
    FROM written w
    """
  }

  private func replace(_ write: ReplicaWrite) throws(PostgresFailure) -> Bool {
    let values: [StoreValue]
    do throws(StoreError) {
      values = try CredentialRow.values(write.row, cipher)
    } catch {
      throw PostgresFailure(error: error, isConnectionLost: false)
    }
    let parameters: [PostgresParameter] =
      values.map { .value($0) } + [
        .integer(Int64(bitPattern: write.expected)), .flag(write.mayReplaceVerdict),
        .integer(Self.now), .blobs(write.fingerprints.map(\.bytes)),
      ]
    return try !connection.run(Self.write(write.mayInsert ? Self.insertOrUpdate : Self.update), parameters).isEmpty
  }

  private static var now: Int64 { Process.wallClockMilliseconds() }

  private func finish(_ abandon: StoreAbandon, _ owner: String?) throws(PostgresFailure) {
    func kept(_ column: String) -> String {
      "\(column) = CASE WHEN $3 AND mark_owner IS NOT DISTINCT FROM $4 THEN NULL ELSE \(column) END"
    }
    let marks = ["mark_owner", "mark_generation", "mark_time", "mark_fingerprint", "marked_at"].map(kept)
    let verdict = abandon.needsLogin
    try connection.run(
      """
      UPDATE gateway_credential SET \(marks.joined(separator: ", ")), verdict_reason = coalesce($5, verdict_reason),
        verdict_code = coalesce($6, verdict_code), verdict_time = coalesce($7, verdict_time),
        changed_at = clock_timestamp()
      WHERE name = $1 AND generation = $2
      """,
      [
        .text(abandon.name), .integer(Int64(bitPattern: abandon.generation)), .flag(!abandon.keepsMark),
        .value(owner.map { .text($0) } ?? .null), .value(verdict.map { .text($0.reason.rawValue) } ?? .null),
        .value(verdict.map { .text($0.code) } ?? .null),
        .value(verdict.map { .integer($0.time.milliseconds) } ?? .null),
      ])
  }

  // MARK: Reading many

  /// Rows and whether seeds are known, in the queries' order.
  func load(_ queries: [StoreQuery]) throws(PostgresFailure) -> [StoreRecord] {
    var records: [StoreRecord] = []
    records.reserveCapacity(queries.count)
    for start in stride(from: 0, to: queries.count, by: Self.batch) {
      let part = queries[start..<min(start + Self.batch, queries.count)]
      var rows: [String: StoredCredential] = [:]
      let names = PostgresParameter.texts(part.map(\.name))
      for values in try connection.run("\(Self.selected) WHERE name = ANY ($1)", [names]) {
        let row = try credential(values)
        rows[row.name] = row
      }
      let seeds = PostgresParameter.blobs(part.compactMap { $0.seed?.bytes })
      let known = try connection.run("SELECT value FROM gateway_fingerprint WHERE value = ANY ($1)", [seeds])
      let fingerprints = Set(known.compactMap { $0.first?.bytes.flatMap(Fingerprint.init(bytes:)) })
      records += part.map { query in
        StoreRecord(row: rows[query.name], seedIsKnown: query.seed.map(fingerprints.contains) ?? false)
      }
    }
    return records
  }

  // MARK: Changes by others

  /// Has the server tell this session of every pair that is written from now on.
  func listen() throws(PostgresFailure) { try connection.run("LISTEN \(Self.channel)") }

  /// Rows that were written after `mark` (microseconds of the server's clock), and the newest such time.
  func changes(after mark: Int64) throws(PostgresFailure) -> (changes: [StoreChange], newest: Int64) {
    var newest = mark
    var changes: [StoreChange] = []
    for values in try connection.run(
      """
      SELECT name, generation, (extract(epoch FROM changed_at) * 1000000)::bigint FROM gateway_credential
      WHERE changed_at > to_timestamp($1::bigint / 1000000.0)
      """, [.integer(mark)])
    {
      guard values.count == 3, let name = values[0].text, let generation = values[1].integer else { continue }
      changes.append(StoreChange(name: name, generation: UInt64(bitPattern: generation)))
      newest = max(newest, values[2].integer ?? mark)
    }
    return (changes, newest)
  }

  /// What the notifications that have come say; nil: something has changed, and it doesn't say what.
  func notifications() -> [StoreChange?] {
    connection.notifications().map { payload in
      let parts = payload.split(separator: " ", maxSplits: 1)
      guard parts.count == 2, let generation = Int64(parts[0]) else { return nil }
      return StoreChange(name: String(parts[1]), generation: UInt64(bitPattern: generation))
    }
  }
}
