// A credential's row: from its columns and back, for both kinds of store. The only place that knows their order, and
// where tokens are encrypted.

internal import TokenKit

/// A column's value; the tables have no floating-point columns.
enum StoreValue: Equatable, Sendable {
  case null
  case integer(Int64)
  case text(String)
  case blob([UInt8])
}

enum CredentialRow {
  /// In the order of `values` and `credential(from:)`.
  static let columns = [
    "name", "generation", "access_token", "obtained_at", "expires_at", "lifetime", "refresh_token",
    "refresh_token_end", "refresh_token_lifetime", "access_identity", "refresh_identity", "mark_owner",
    "mark_generation", "mark_time", "mark_fingerprint", "verdict_reason", "verdict_code", "verdict_time",
    "key_id",
  ]

  static func values(_ row: StoredCredential, _ cipher: TokenCipher) throws(StoreError) -> [StoreValue] {
    func sealed(_ token: Secret?, _ column: String) throws(StoreError) -> StoreValue {
      guard let token else { return .null }
      return .blob(try cipher.seal(token, of: row.name, column: column))
    }
    return [
      .text(row.name), number(row.generation), try sealed(row.accessToken, "access_token"), time(row.obtainedAt),
      time(row.expiresAt), duration(row.lifetime), try sealed(row.refreshToken, "refresh_token"),
      time(row.refreshTokenEnd), duration(row.refreshTokenLifetime),
      hash(row.accessIdentity), hash(row.refreshIdentity), text(row.mark?.owner), number(row.mark?.generation),
      time(row.mark?.time), hash(row.mark?.fingerprint), text(row.needsLogin?.reason.rawValue),
      text(row.needsLogin?.code), time(row.needsLogin?.time), cipher.keyID.map { .blob($0) } ?? .null,
    ]
  }

  private static func text(_ value: String?) -> StoreValue { value.map { .text($0) } ?? .null }
  private static func number(_ value: UInt64?) -> StoreValue { value.map { .integer(Int64(bitPattern: $0)) } ?? .null }
  private static func time(_ value: WallTime?) -> StoreValue { value.map { .integer($0.milliseconds) } ?? .null }
  private static func duration(_ value: Duration?) -> StoreValue { value.map { .integer($0.nanoseconds) } ?? .null }
  private static func hash(_ value: Fingerprint?) -> StoreValue { value.map { .blob($0.bytes) } ?? .null }

  /// - Throws: `unreadable` for values that this gateway has not written; the message names the column only.
  static func credential(from values: [StoreValue], _ cipher: TokenCipher) throws(StoreError) -> StoredCredential {
    var reader = Reader(values: values)
    let name = try reader.required(reader.text())
    let generation = try reader.required(reader.number())
    let sealedAccessToken = try reader.blob()
    let obtainedAt = try reader.required(reader.time())
    let expiresAt = try reader.required(reader.time())
    let lifetime = try reader.required(reader.duration())
    let sealedRefreshToken = try reader.blob()
    let refreshTokenEnd = try reader.time()
    let refreshTokenLifetime = try reader.duration()
    let accessIdentity = try reader.required(reader.hash())
    let refreshIdentity = try reader.required(reader.hash())
    let mark = try mark(&reader)
    let verdict = try verdict(&reader)
    let keyID = try reader.blob()
    func opened(_ bytes: [UInt8]?, _ column: String) throws(StoreError) -> Secret? {
      guard let bytes else { return nil }
      return try cipher.open(bytes, sealedWith: keyID, of: name, column: column)
    }
    let accessToken = try opened(sealedAccessToken, "access_token")
    let refreshToken = try opened(sealedRefreshToken, "refresh_token")
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
    private let values: [StoreValue]
    private var index = 0

    init(values: [StoreValue]) { self.values = values }

    private mutating func next() -> StoreValue {
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

    mutating func blob() throws(StoreError) -> [UInt8]? {
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
