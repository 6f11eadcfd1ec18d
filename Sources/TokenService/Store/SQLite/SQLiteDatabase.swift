// A connection to an SQLite file: statements, transactions, and errors without any value in them.

internal import CSQLite
internal import EventLoop
internal import Glibc
internal import TokenKit

/// One connection, used by one thread.
///
/// Safety: `handle` is open until `close`, or else until `deinit`; statements keep their database alive.
@safe
final class SQLiteDatabase {
  private var handle: OpaquePointer?
  private let path: String

  /// Opens a file that exists.
  init(path: String, isReadOnly: Bool = false) throws(StoreError) {
    self.path = path
    let access = isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE
    let flags = access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW
    let code = unsafe sqlite3_open_v2(path, &handle, flags, nil)
    if code != SQLITE_OK { throw error(code) }
    // For somebody who looks at the file with another tool meanwhile.
    _ = unsafe sqlite3_busy_timeout(handle, 2000)
  }

  deinit { _ = unsafe sqlite3_close_v2(handle) }

  /// Writes what is left of the log into the file and closes it. All statements must be gone.
  func close() throws(StoreError) {
    let code = unsafe sqlite3_close(handle)
    if code != SQLITE_OK { throw error(code) }
    unsafe handle = nil
  }

  /// A statement that can be run many times.
  func prepare(_ sql: String) throws(StoreError) -> SQLiteStatement {
    var statement: OpaquePointer?
    let code = unsafe sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
    guard code == SQLITE_OK, let prepared = unsafe statement else { throw error(code) }
    return unsafe SQLiteStatement(prepared, of: self)
  }

  /// Runs one statement once.
  @discardableResult
  func run(_ sql: String, _ values: [StoreValue] = []) throws(StoreError) -> [[StoreValue]] {
    try prepare(sql).run(values)
  }

  /// The one value of a pragma or of a query that gives one.
  func value(_ sql: String) throws(StoreError) -> StoreValue { try run(sql).first?.first ?? .null }

  /// Runs `body` in one durable transaction: all of it happens or, when it or the commit throws, none.
  func transaction<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
    try run("BEGIN IMMEDIATE")
    do throws(StoreError) {
      let result = try body()
      try run("COMMIT")
      return result
    } catch {
      // SQLite has rolled back by itself after some errors. If this fails too, the next BEGIN says so.
      if unsafe sqlite3_get_autocommit(handle) == 0 { _ = try? run("ROLLBACK") }
      throw error
    }
  }

  /// Runs `body`, which only reads, on one state of the file, and locks it once instead of for each statement.
  func reading<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
    try run("BEGIN")
    defer { _ = try? run("COMMIT") }
    return try body()
  }

  /// What a result code means. The texts are SQLite's own for the code, never `sqlite3_errmsg`.
  func error(_ code: Int32) -> StoreError {
    let number = unsafe sqlite3_system_errno(handle)
    let primary = code & 0xff
    let kind: StoreError.Kind =
      switch primary {
      case SQLITE_FULL: .full
      case SQLITE_IOERR: number == ENOSPC || number == EDQUOT ? .full : .io
      case SQLITE_BUSY, SQLITE_LOCKED: .locked
      case SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_AUTH: .unavailable
      default: .io
      }
    var message = "the store \(path): \(unsafe String(cString: sqlite3_errstr(code))) (SQLite \(code))"
    if primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN, number != 0 {
      message += ", \(SystemError("errno \(number)", errno: number))"
    }
    if primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT { message += "; \(Self.damageAdvice)" }
    return StoreError(kind, message)
  }

  /// What to do with a file that is no good.
  static let damageAdvice = "restore it from a backup, or move it away and log in again"
}
