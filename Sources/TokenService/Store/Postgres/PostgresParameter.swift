// Values on their way to PostgreSQL and back, in its binary formats: nothing is quoted and nothing is parsed.

internal import TokenKit

/// A parameter of a statement.
enum PostgresParameter {
  case value(StoreValue)
  case flag(Bool)
  case texts([String])
  case blobs([[UInt8]])

  static func text(_ text: String) -> PostgresParameter { .value(.text(text)) }
  static func integer(_ number: Int64) -> PostgresParameter { .value(.integer(number)) }

  /// The type's OID (pg_type.dat). 0 lets the server find it: for NULL.
  var type: UInt32 {
    switch self {
    case .value(.null): 0
    case .value(.integer): 20
    case .value(.text): 25
    case .value(.blob): 17
    case .flag: 16
    case .texts: 1009
    case .blobs: 1001
    }
  }

  /// The bytes of the binary format; nil for NULL.
  var bytes: [UInt8]? {
    switch self {
    case .value(.null): nil
    case .value(.integer(let number)): Self.bigEndian(UInt64(bitPattern: number), 8)
    case .value(.text(let text)): Array(text.utf8)
    case .value(.blob(let bytes)): bytes
    case .flag(let flag): [flag ? 1 : 0]
    case .texts(let texts): Self.array(texts.map { Array($0.utf8) }, of: 25)
    case .blobs(let blobs): Self.array(blobs, of: 17)
    }
  }

  private static func bigEndian(_ number: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * (count - 1 - $0))) }
  }

  /// One dimension, no NULLs, counted from 1.
  private static func array(_ elements: [[UInt8]], of type: UInt64) -> [UInt8] {
    let head: [UInt64] = elements.isEmpty ? [0, 0, type] : [1, 0, type, UInt64(elements.count), 1]
    return head.flatMap { bigEndian($0, 4) }
      + elements.flatMap { bigEndian(UInt64($0.count), 4) + $0 }
  }
}

/// A column's value as it came, in the binary format of its type.
struct PostgresValue {
  /// nil: NULL.
  var bytes: [UInt8]?
  var type: UInt32

  /// As the row mapping takes it.
  var stored: StoreValue {
    guard let bytes else { return .null }
    switch type {
    case 17: return .blob(bytes)
    case 20, 21, 23: return .integer(integer ?? 0)
    default: return .text(String(decoding: bytes, as: UTF8.self))
    }
  }

  /// A whole number of 2, 4 or 8 bytes; nil for NULL and other types.
  var integer: Int64? {
    guard let bytes, [20, 21, 23].contains(type), let first = bytes.first else { return nil }
    return bytes.reduce(first & 0x80 == 0 ? 0 : -1) { $0 << 8 | Int64($1) }
  }

  /// A truth value; false for NULL.
  var flag: Bool { type == 16 && bytes == [1] }

  /// A text; nil for NULL.
  var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
}
