// A prepared statement: values in, rows of values out. Values never stand in SQL text.

internal import CSQLite
internal import TokenKit

/// Confined to its database's thread.
///
/// Safety: the statement lives until `deinit`; what columns point to is copied before the next step.
@safe
final class SQLiteStatement {
  private let statement: OpaquePointer
  private let database: SQLiteDatabase

  /// Takes a prepared statement over.
  @unsafe
  init(_ statement: OpaquePointer, of database: SQLiteDatabase) {
    unsafe self.statement = unsafe statement
    self.database = database
  }

  deinit { _ = unsafe sqlite3_finalize(statement) }

  /// Runs it to its end.
  func run(_ values: [StoreValue]) throws(StoreError) -> [[StoreValue]] {
    defer {
      // An error of the run has been reported; here it would only come a second time.
      _ = unsafe sqlite3_reset(statement)
      _ = unsafe sqlite3_clear_bindings(statement)
    }
    for (index, value) in values.enumerated() { try bind(value, at: Int32(index + 1)) }
    var rows: [[StoreValue]] = []
    while true {
      switch unsafe sqlite3_step(statement) {
      case SQLITE_ROW: rows.append((0..<(unsafe sqlite3_column_count(statement))).map { column($0) })
      case SQLITE_DONE: return rows
      case let code: throw database.error(code)
      }
    }
  }

  private func bind(_ value: StoreValue, at index: Int32) throws(StoreError) {
    let code =
      switch value {
      case .null: unsafe sqlite3_bind_null(statement, index)
      case .integer(let number): unsafe sqlite3_bind_int64(statement, index, number)
      case .text(let text): unsafe csqlite_bind_text(statement, index, text, UInt64(text.utf8.count))
      // A pointer to no bytes at all may be NULL, which would bind NULL.
      case .blob([]): unsafe sqlite3_bind_zeroblob(statement, index, 0)
      case .blob(let bytes): unsafe csqlite_bind_blob(statement, index, bytes, UInt64(bytes.count))
      }
    if code != SQLITE_OK { throw database.error(code) }
  }

  private func column(_ index: Int32) -> StoreValue {
    switch unsafe sqlite3_column_type(statement, index) {
    case SQLITE_INTEGER: .integer(unsafe sqlite3_column_int64(statement, index))
    case SQLITE_TEXT: .text(String(decoding: bytes(index), as: UTF8.self))
    case SQLITE_BLOB: .blob(bytes(index))
    default: .null
    }
  }

  private func bytes(_ index: Int32) -> [UInt8] {
    let start = unsafe sqlite3_column_blob(statement, index)
    let count = unsafe sqlite3_column_bytes(statement, index)
    return unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: Int(count)))
  }
}
