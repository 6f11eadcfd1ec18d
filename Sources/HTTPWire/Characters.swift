// Character classes of RFC 9110 as bit masks: two constants a class instead of a 256-entry table, which would be a
// lazily initialised global with a check on each access.

/// 128 bits, one for each ASCII byte.
struct CharacterClass {
  let low: UInt64
  let high: UInt64

  @inline(__always)
  func contains(_ byte: UInt8) -> Bool {
    let word = byte < 64 ? low : high
    return byte < 128 && (word &>> UInt64(byte & 63)) & 1 != 0
  }

  /// RFC 9110 §5.6.2: `tchar`.
  @inline(__always)
  static var token: CharacterClass { CharacterClass(low: 0x03ff_6cfa_0000_0000, high: 0x57ff_ffff_c7ff_fffe) }

  /// Bytes of a request target: printable ASCII without white space and `#`. Browsers send `|`, `{` and their like
  /// unescaped, so it is wider than RFC 3986.
  @inline(__always)
  static var target: CharacterClass { CharacterClass(low: 0xffff_fff6_0000_0000, high: 0x7fff_ffff_ffff_ffff) }

  /// Bytes of a host name: RFC 3986 `unreserved`. Percent triplets and sub-delims would be valid `reg-name`s too,
  /// but no name that can be resolved has them, and peers disagree on what `a,b` or `%61` mean.
  @inline(__always)
  static var hostName: CharacterClass { CharacterClass(low: 0x03ff_6000_0000_0000, high: 0x47ff_fffe_87ff_fffe) }
}

enum Byte {
  static let tab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0a
  static let carriageReturn: UInt8 = 0x0d
  static let space: UInt8 = 0x20
  static let quote: UInt8 = 0x22
  static let percent: UInt8 = 0x25
  static let asterisk: UInt8 = 0x2a
  static let comma: UInt8 = 0x2c
  static let dash: UInt8 = 0x2d
  static let dot: UInt8 = 0x2e
  static let slash: UInt8 = 0x2f
  static let colon: UInt8 = 0x3a
  static let semicolon: UInt8 = 0x3b
  static let equals: UInt8 = 0x3d
  static let question: UInt8 = 0x3f
  static let openBracket: UInt8 = 0x5b
  static let backslash: UInt8 = 0x5c
  static let closeBracket: UInt8 = 0x5d
  static let underscore: UInt8 = 0x5f
  static let delete: UInt8 = 0x7f
}

extension UInt8 {
  /// The value of an ASCII decimal digit.
  @inline(__always)
  var decimalDigit: UInt8? {
    let digit = self &- 0x30
    return digit < 10 ? digit : nil
  }

  /// The value of an ASCII hexadecimal digit.
  @inline(__always)
  var hexDigit: UInt8? {
    let digit = self &- 0x30
    if digit < 10 { return digit }
    let letter = (self | 0x20) &- 0x61
    return letter < 6 ? letter &+ 10 : nil
  }

  @inline(__always)
  var isBlank: Bool { self == Byte.space || self == Byte.tab }

  /// Neither tab nor printable: may not stand in a field value (RFC 9110 §5.5).
  @inline(__always)
  var isControl: Bool { (self < 0x20 && self != Byte.tab) || self == Byte.delete }

  /// ASCII lower case of letters; other bytes stay as they are.
  @inline(__always)
  var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }
}
