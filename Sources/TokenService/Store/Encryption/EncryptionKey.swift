// The key that tokens in the store are encrypted with, as gateway.json gives it.

internal import Crypto
package import TokenKit

/// 256 bits. Prints nothing of itself.
package struct EncryptionKey: Sendable, Equatable {
  let key: SymmetricKey
  /// Tells keys apart in the store: the start of a SHA-256 value, from which a random key can't be guessed.
  let id: [UInt8]

  /// Reads a key: 32 bytes as 64 hexadecimal digits, or in base64 (either alphabet, with or without padding).
  /// - Returns: nil for anything else.
  package init?(_ text: Secret) {
    guard let bytes = Self.hexadecimal(text) ?? Self.base64(text), bytes.count == 32 else { return nil }
    key = SymmetricKey(data: bytes)
    id = Array(SHA256.hash(data: Array("gateway-key-id\0".utf8) + bytes).prefix(8))
  }

  /// What a key must look like, for a person whose key doesn't.
  package static let form =
    "32 random bytes in base64 or as 64 hexadecimal digits; make one with: openssl rand -base64 32"

  private static func hexadecimal(_ text: Secret) -> [UInt8]? {
    guard text.count == 64 else { return nil }
    var bytes: [UInt8] = []
    var high: UInt8?
    for character in text.reveal() {
      guard character.isASCII, let digit = character.hexDigitValue.map(UInt8.init) else { return nil }
      if let first = high {
        bytes.append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
    return bytes
  }

  private static func base64(_ text: Secret) -> [UInt8]? {
    var bits: UInt32 = 0
    var count = 0
    var bytes: [UInt8] = []
    var characters = Array(text.reveal().utf8)[...]
    for _ in 0..<2 where characters.last == UInt8(ascii: "=") { characters.removeLast() }
    for character in characters {
      let value: UInt8
      switch character {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - UInt8(ascii: "A")
      case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - UInt8(ascii: "a") + 26
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0") + 52
      case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
      case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
      default: return nil
      }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    // What is left over must be the padding bits of the last byte, and nothing in them.
    return count < 6 && bits & ((1 << UInt32(count)) - 1) == 0 ? bytes : nil
  }
}
