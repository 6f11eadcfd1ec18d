// A credential's row: from its columns and back. The only place that knows their order.

internal import TokenKit

enum CredentialRow {
  /// In the order of `values` and `credential(from:)`.
  static let columns = [
    "name", "generation", "access_token", "obtained_at", "expires_at", "lifetime", "refresh_token",
    "refresh_token_end", "refresh_token_lifetime", "access_identity", "refresh_identity", "mark_owner",
    "mark_generation", "mark_time", "mark_fingerprint", "verdict_reason", "verdict_code", "verdict_time",
  ]

  static func values(_ row: StoredCredential) -> [SQLiteValue] {
    [
      .text(row.name), number(row.generation), secret(row.accessToken), time(row.obtainedAt), time(row.expiresAt),
      duration(row.lifetime), secret(row.refreshToken), time(row.refreshTokenEnd), duration(row.refreshTokenLifetime),
      hash(row.accessIdentity), hash(row.refreshIdentity), text(row.mark?.owner), number(row.mark?.generation),
      time(row.mark?.time), hash(row.mark?.fingerprint), text(row.needsLogin?.reason.rawValue),
      text(row.needsLogin?.code), time(row.needsLogin?.time),
    ]
  }

  private static func text(_ value: String?) -> SQLiteValue { value.map { .text($0) } ?? .null }
  private static func number(_ value: UInt64?) -> SQLiteValue { value.map { .integer(Int64(bitPattern: $0)) } ?? .null }
  private static func secret(_ value: Secret?) -> SQLiteValue { value.map { .blob(Array($0.reveal().utf8)) } ?? .null }
  private static func time(_ value: WallTime?) -> SQLiteValue { value.map { .integer($0.milliseconds) } ?? .null }
  private static func duration(_ value: Duration?) -> SQLiteValue { value.map { .integer($0.nanoseconds) } ?? .null }
  private static func hash(_ value: Fingerprint?) -> SQLiteValue { value.map { .blob($0.bytes) } ?? .null }

  /// - Throws: `unreadable` for values that this gateway has not written; the message names the column only.
  static func credential(from values: [SQLiteValue]) throws(StoreError) -> StoredCredential {
    var reader = Reader(values: values)
    let name = try reader.required(reader.text())
    let generation = try reader.required(reader.number())
    let accessToken = try reader.secret()
    let obtainedAt = try reader.required(reader.time())
    let expiresAt = try reader.required(reader.time())
    let lifetime = try reader.required(reader.duration())
    let refreshToken = try reader.secret()
    let refreshTokenEnd = try reader.time()
    let refreshTokenLifetime = try reader.duration()
    let accessIdentity = try reader.required(reader.hash())
    let refreshIdentity = try reader.required(reader.hash())
    let mark = try mark(&reader)
    let verdict = try verdict(&reader)
    return StoredCredential(
      name: name, generation: generation, accessToken: accessToken, obtainedAt: obtainedAt, expiresAt: expiresAt,
      lifetime: lifetime, refreshToken: refreshToken, refreshTokenEnd: refreshTokenEnd,
      refreshTokenLifetime: refreshTokenLifetime, accessIdentity: accessIdentity, refreshIdentity: refreshIdentity,
      mark: mark, needsLogin: verdict)
  }

  private static func mark(_ reader: inout Reader) throws(StoreError) -> InFlightMark? {
    let owner = try reader.text()
    let generation = try reader.number()
    let time = try reader.time()
    let fingerprint = try reader.hash()
    guard let owner else { return nil }
    return InFlightMark(
      owner: owner, generation: try reader.required(generation), time: try reader.required(time),
      fingerprint: fingerprint)
  }

  private static func verdict(_ reader: inout Reader) throws(StoreError) -> StoredVerdict? {
    let reason = try reader.text()
    let code = try reader.text()
    let time = try reader.time()
    guard let reason else { return nil }
    return StoredVerdict(
      reason: try reader.required(NeedsLoginReason(rawValue: reason)), code: try reader.required(code),
      time: try reader.required(time))
  }

  /// Takes the values one after the other.
  private struct Reader {
    private let values: [SQLiteValue]
    private var index = 0

    init(values: [SQLiteValue]) { self.values = values }

    private mutating func next() -> SQLiteValue {
      defer { index += 1 }
      return index < values.count ? values[index] : .null
    }

    private mutating func integer() throws(StoreError) -> Int64? {
      switch next() {
      case .integer(let value): return value
      case .null: return nil
      default: throw unreadable
      }
    }

    private mutating func blob() throws(StoreError) -> [UInt8]? {
      switch next() {
      case .blob(let value): return value
      case .null: return nil
      default: throw unreadable
      }
    }

    mutating func text() throws(StoreError) -> String? {
      switch next() {
      case .text(let value): return value
      case .null: return nil
      default: throw unreadable
      }
    }

    mutating func number() throws(StoreError) -> UInt64? { try integer().map { UInt64(bitPattern: $0) } }
    mutating func time() throws(StoreError) -> WallTime? { try integer().map { WallTime(milliseconds: $0) } }
    mutating func duration() throws(StoreError) -> Duration? { try integer().map { .nanoseconds($0) } }

    mutating func secret() throws(StoreError) -> Secret? {
      guard let bytes = try blob() else { return nil }
      return Secret(try required(String(validating: bytes, as: UTF8.self)))
    }

    mutating func hash() throws(StoreError) -> Fingerprint? {
      guard let bytes = try blob() else { return nil }
      return try required(Fingerprint(bytes: bytes))
    }

    /// A value that must be there and be what it should be.
    func required<Value>(_ value: Value?) throws(StoreError) -> Value {
      guard let value else { throw unreadable }
      return value
    }

    private var unreadable: StoreError {
      let name = if case .text(let name)? = values.first { "\"\(name)\"" } else { "a credential" }
      let column = columns[max(0, min(index, columns.count) - 1)]
      return StoreError(.unreadable, "the store's row of \(name) can't be read: bad value in or before \(column)")
    }
  }
}
