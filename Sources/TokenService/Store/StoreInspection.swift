// A look at a store that belongs to nobody at the moment, or to somebody else: read-only, without its lock, its tokens or
// its key. For `gateway status`.

internal import Glibc
package import TokenKit

/// A row without its tokens.
package struct StoredState: Sendable, Equatable {
  package var name: String
  package var generation: UInt64
  package var obtainedAt: WallTime
  package var expiresAt: WallTime
  package var hasAccessToken: Bool
  package var hasRefreshToken: Bool
  package var refreshTokenEnd: WallTime?
  package var refreshTokenLifetime: Duration?
  /// A grant may be in flight, or was when a process ended.
  package var isMarked: Bool
  package var needsLogin: StoredVerdict?
}

package enum StoreInspection {
  private static let columns = """
    name, generation, obtained_at, expires_at, CASE WHEN access_token IS NULL THEN 0 ELSE 1 END,
    CASE WHEN refresh_token IS NULL THEN 0 ELSE 1 END, refresh_token_end, refresh_token_lifetime,
    CASE WHEN mark_owner IS NULL THEN 0 ELSE 1 END, verdict_reason, verdict_code, verdict_time
    """

  /// All rows of an embedded store; none if there is no such file. Another process may be using it. Blocks.
  package static func sqlite(path: String) throws(StoreError) -> [StoredState] {
    if unsafe access(path, F_OK) != 0, errno == ENOENT { return [] }
    let database = try SQLiteDatabase(path: path, isReadOnly: true)
    guard case .integer(let application) = try database.value("PRAGMA application_id"),
      case .integer(let version) = try database.value("PRAGMA user_version")
    else { throw StoreError(.unreadable, "the store \(path) has no readable header") }
    if application == 0, version == 0 { return [] }
    guard application == SQLiteSchema.applicationID else {
      throw StoreError(.unavailable, "\(path) is an SQLite file of another program")
    }
    guard version <= SQLiteSchema.steps.count else {
      throw StoreError(.unavailable, "the store \(path) is of a newer gateway")
    }
    return try states(database.run("SELECT \(columns) FROM credential ORDER BY name"))
  }

  /// All rows of a shared store; none if there are no tables yet. Blocks.
  package static func postgres(_ url: PostgresURL) throws(StoreError) -> [StoredState] {
    let rows: [[StoreValue]]
    do throws(PostgresFailure) {
      let connection = try PostgresConnection(url, statementLimit: PostgresStatements.limit)
      defer { connection.close() }
      let found = try connection.run("SELECT to_regclass('gateway_credential') IS NOT NULL")
      guard found.first?.first?.flag == true else { return [] }
      rows = try connection.run("SELECT \(columns) FROM gateway_credential ORDER BY name").map { $0.map(\.stored) }
    } catch {
      throw error.error
    }
    return try states(rows)
  }

  private static func states(_ rows: [[StoreValue]]) throws(StoreError) -> [StoredState] {
    var states: [StoredState] = []
    for row in rows {
      guard let state = state(row) else {
        throw StoreError(.unreadable, "the store has a row that this gateway has not written")
      }
      states.append(state)
    }
    return states
  }

  private static func state(_ row: [StoreValue]) -> StoredState? {
    func text(_ index: Int) -> String? { if case .text(let text) = row[index] { text } else { nil } }
    func number(_ index: Int) -> Int64? { if case .integer(let number) = row[index] { number } else { nil } }
    guard row.count == 12, let name = text(0), let generation = number(1), let obtained = number(2),
      let expires = number(3)
    else { return nil }
    var verdict: StoredVerdict?
    if let reason = text(9).flatMap(NeedsLoginReason.init(rawValue:)) {
      verdict = StoredVerdict(reason: reason, code: text(10) ?? "", time: WallTime(milliseconds: number(11) ?? 0))
    }
    return StoredState(
      name: name, generation: UInt64(bitPattern: generation), obtainedAt: WallTime(milliseconds: obtained),
      expiresAt: WallTime(milliseconds: expires), hasAccessToken: number(4) == 1, hasRefreshToken: number(5) == 1,
      refreshTokenEnd: number(6).map { WallTime(milliseconds: $0) },
      refreshTokenLifetime: number(7).map { .nanoseconds($0) }, isMarked: number(8) == 1, needsLogin: verdict)
  }
}
