// Reads WWW-Authenticate: does the upstream say that another token would be refused just the same?
internal import HTTPWire

enum Challenge {
  /// RFC 6750 §3.1, RFC 9470 and RFC 9449: errors that a new token does not cure.
  private static let incurable: [StaticString] = [
    "insufficient_scope", "invalid_request", "insufficient_claims", "use_dpop_nonce",
  ]

  /// Whether a 401 with these challenges is worth a refresh: a bare 401 and `invalid_token` are.
  static func mayBeCured(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) -> Bool {
    for index in head.fields.indices where head.fields[index].known == .wwwAuthenticate {
      if let error = errorParameter(of: bytes.extracting(head.fields[index].value.range)) {
        for word in incurable where isEqual(error, word) { return false }
      }
    }
    return true
  }

  /// The value of the first `error=` parameter, quoted or not.
  @_lifetime(copy value)
  private static func errorParameter(of value: Span<UInt8>) -> Span<UInt8>? {
    let name: StaticString = "error"
    var index = 0
    var isQuoted = false
    while index < value.count {
      let byte = value[index]
      if isQuoted {
        if byte == UInt8(ascii: "\\") { index += 1 } else if byte == UInt8(ascii: "\"") { isQuoted = false }
        index += 1
        continue
      }
      if byte == UInt8(ascii: "\"") { isQuoted = true }
      let startsWord = index == 0 || isSeparator(value[index - 1])
      let end = index + name.utf8CodeUnitCount
      guard startsWord, end < value.count, isEqual(value.extracting(index..<end), name) else {
        index += 1
        continue
      }
      index = end
      while index < value.count, value[index] == UInt8(ascii: " ") { index += 1 }
      guard index < value.count, value[index] == UInt8(ascii: "=") else { continue }
      index += 1
      while index < value.count, value[index] == UInt8(ascii: " ") || value[index] == UInt8(ascii: "\"") { index += 1 }
      let start = index
      while index < value.count, value[index] != UInt8(ascii: "\""), !isSeparator(value[index]) { index += 1 }
      return value.extracting(start..<index)
    }
    return nil
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "\t")
  }

  private static func isEqual(_ bytes: Span<UInt8>, _ word: StaticString) -> Bool {
    guard bytes.count == word.utf8CodeUnitCount else { return false }
    return word.withUTF8Buffer { expected in
      for index in 0..<bytes.count {
        let byte = bytes[index]
        let lower = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
        if unsafe lower != expected[index] { return false }
      }
      return true
    }
  }
}
