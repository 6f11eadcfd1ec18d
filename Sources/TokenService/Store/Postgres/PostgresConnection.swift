// One connection to PostgreSQL through libpq. The only file that calls it.

internal import CPostgres
internal import EventLoop
internal import TokenKit

/// Used by one thread, which its calls block.
///
/// Safety: `handle` is open until `close`, or else until `deinit`; results are copied out and cleared at once.
@safe
final class PostgresConnection {
  private var handle: OpaquePointer?
  /// How long the server may take over a statement; a little later the connection is given up, whatever it does.
  private let statementLimit: Duration

  /// Connects. Blocks for at most `connect_timeout` (5 s, unless the URL says otherwise) per host of the URL.
  init(_ url: PostgresURL, statementLimit: Duration) throws(PostgresFailure) {
    self.statementLimit = statementLimit
    unsafe handle = Self.withParameters(url) { unsafe PQconnectdbParams($0, $1, 1) }
    guard unsafe PQstatus(handle) == CONNECTION_OK else {
      // Its second line is a hint that begins with a tab.
      let lines = unsafe String(cString: PQerrorMessage(handle)).split { $0 == "\n" || $0 == "\t" }
      let text = lines.joined(separator: " ")
      close()
      throw .lost(text.isEmpty ? "no connection" : text)
    }
    unsafe cpostgres_ignore_notices(handle)
  }

  deinit { close() }

  /// Closes it: the server gives up the session's locks as soon as it sees that.
  func close() {
    unsafe PQfinish(handle)
    unsafe handle = nil
  }

  /// Whether the server doesn't take connections now, but may soon. A failed connection to one that does has another
  /// reason, which won't go away by itself: a password, a database that isn't there.
  static func mayComeBack(_ url: PostgresURL) -> Bool {
    let state = unsafe Self.withParameters(url) { unsafe PQpingParams($0, $1, 1) }
    return state == PQPING_REJECT || state == PQPING_NO_RESPONSE
  }

  /// Parameters before `dbname`, which is the URL, are defaults; those after it can't be changed by it. A standby takes
  /// no writes: of several hosts the one that does is wanted.
  private static func withParameters<Result>(
    _ url: PostgresURL,
    _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<UnsafePointer<CChar>?>?) -> Result
  ) -> Result {
    let parameters = [
      ("connect_timeout", "5"), ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
      ("tcp_user_timeout", "15000"), ("target_session_attrs", "read-write"), ("fallback_application_name", "gateway"),
      ("dbname", url.text.reveal()), ("client_encoding", "UTF8"),
    ]
    var storage: [CChar] = []
    var keyOffsets: [Int] = []
    var valueOffsets: [Int] = []
    for (key, value) in parameters {
      keyOffsets.append(storage.count)
      storage += key.utf8.map { CChar(bitPattern: $0) } + [0]
      valueOffsets.append(storage.count)
      storage += value.utf8.map { CChar(bitPattern: $0) } + [0]
    }
    // Safety: libpq copies the texts during the call; the pointers are used within it only.
    return unsafe storage.withUnsafeBufferPointer { texts in
      let keyPointers: [UnsafePointer<CChar>?] =
        unsafe keyOffsets.map { offset in unsafe texts.baseAddress.map { unsafe $0 + offset } } + [nil]
      let valuePointers: [UnsafePointer<CChar>?] =
        unsafe valueOffsets.map { offset in unsafe texts.baseAddress.map { unsafe $0 + offset } } + [nil]
      return unsafe body(keyPointers, valuePointers)
    }
  }

  /// The socket, to wait for notices on; it changes with each connection.
  var descriptor: Int32 { unsafe PQsocket(handle) }

  // MARK: Statements

  /// Runs one statement, which is a transaction of its own unless one was begun.
  @discardableResult
  func run(_ sql: String, _ parameters: [PostgresParameter] = []) throws(PostgresFailure) -> [[PostgresValue]] {
    try send(sql, parameters)
    let deadline = Process.bootClockNanoseconds() + (statementLimit + .seconds(3)).nanoseconds
    try flush(until: deadline)
    var rows: [[PostgresValue]] = []
    var failure: PostgresFailure?
    while let result = try unsafe nextResult(until: deadline) {
      defer { unsafe PQclear(result) }
      switch unsafe PQresultStatus(result) {
      case PGRES_TUPLES_OK: unsafe rows += Self.rows(result)
      case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
      default: failure = unsafe failure ?? Self.failure(result)
      }
    }
    if unsafe PQstatus(handle) == CONNECTION_BAD { throw .lost(failure?.error.message ?? "the connection was closed") }
    if let failure { throw failure }
    return rows
  }

  /// Runs `body` in one transaction.
  func transaction(_ body: () throws(PostgresFailure) -> Void) throws(PostgresFailure) {
    try run("BEGIN")
    do throws(PostgresFailure) {
      try body()
      try run("COMMIT")
    } catch {
      if error.isConnectionLost { throw error }
      do throws(PostgresFailure) {
        try run("ROLLBACK")
      } catch let second {
        // What state the session is in is not known any more.
        throw PostgresFailure(error: second.error, isConnectionLost: true)
      }
      throw error
    }
  }

  private func send(_ sql: String, _ parameters: [PostgresParameter]) throws(PostgresFailure) {
    let types = parameters.map(\.type)
    let values = parameters.map(\.bytes)
    let lengths = values.map { Int32($0?.count ?? 0) }
    let formats = [Int32](repeating: 1, count: parameters.count)
    var storage: [CChar] = []
    var offsets: [Int?] = []
    for value in values {
      offsets.append(value.map { _ in storage.count })
      // One more: a pointer to an empty value must not be the end of the storage, or NULL.
      if let value { storage += value.map { CChar(bitPattern: $0) } + [0] }
    }
    // Safety: libpq copies the values into its output buffer during the call.
    let isSent = unsafe storage.withUnsafeBufferPointer { bytes in
      let pointers: [UnsafePointer<CChar>?] = unsafe offsets.map { offset in
        guard let offset, let base = bytes.baseAddress else { return nil }
        return unsafe base + offset
      }
      return unsafe PQsendQueryParams(
        handle, sql, Int32(parameters.count), types, pointers, lengths, formats, 1)
    }
    if isSent != 1 { throw .lost("the connection was closed") }
  }

  private func flush(until deadline: Int64) throws(PostgresFailure) {
    while true {
      switch unsafe PQflush(handle) {
      case 0: return
      case 1:
        // The server may be sending to us instead of reading.
        try wait(writing: true, until: deadline)
        try consume()
      default: throw .lost("the connection was closed")
      }
    }
  }

  @unsafe
  private func nextResult(until deadline: Int64) throws(PostgresFailure) -> OpaquePointer? {
    while unsafe PQisBusy(handle) == 1 {
      try wait(writing: false, until: deadline)
      try consume()
    }
    return unsafe PQgetResult(handle)
  }

  private func wait(writing: Bool, until deadline: Int64) throws(PostgresFailure) {
    do throws(SystemError) {
      if try DescriptorWait.wait(descriptor, reading: true, writing: writing, until: deadline) { return }
    } catch {
      throw .lost("\(error)")
    }
    throw .lost("the server did not answer within \(statementLimit + .seconds(3))")
  }

  private func consume() throws(PostgresFailure) {
    if unsafe PQconsumeInput(handle) != 1 { throw .lost("the connection was closed") }
  }

  @unsafe
  private static func rows(_ result: OpaquePointer) -> [[PostgresValue]] {
    let columns = unsafe PQnfields(result)
    return (0..<(unsafe PQntuples(result))).map { row in
      (0..<columns).map { column in
        let type = unsafe PQftype(result, column)
        if unsafe PQgetisnull(result, row, column) == 1 { return PostgresValue(bytes: nil, type: type) }
        let count = Int(unsafe PQgetlength(result, row, column))
        let bytes = unsafe UnsafeRawBufferPointer(start: PQgetvalue(result, row, column), count: count)
        return unsafe PostgresValue(bytes: Array(bytes), type: type)
      }
    }
  }

  @unsafe
  private static func failure(_ result: OpaquePointer) -> PostgresFailure {
    func field(_ code: Character) -> String {
      guard let value = code.asciiValue, let text = unsafe PQresultErrorField(result, Int32(value)) else { return "" }
      return unsafe String(cString: text)
    }
    // SQLSTATE and the primary message: details and contexts may quote values.
    return PostgresFailure(state: field("C"), text: field("M"))
  }

  // MARK: Notices of other sessions

  /// Reads what has come without waiting.
  func receive() throws(PostgresFailure) { try consume() }

  /// Payloads of the notifications that have come, in their order, each once.
  func notifications() -> [String] {
    var payloads: [String] = []
    while let notification = unsafe PQnotifies(handle) {
      // Safety: the notification is ours until it is freed.
      unsafe payloads.append(String(cString: notification.pointee.extra))
      unsafe PQfreemem(notification)
    }
    return payloads
  }
}
