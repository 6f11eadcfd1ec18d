// How simulated tokens are named: a letter, the credential, the family (one per login), the place in it.

internal import TokenKit

/// A refresh token (`r0-0-12`) or an access token (`a0-0-12`). A family's refresh tokens follow each other from 0.
struct TokenName: Equatable {
  var credential: Int
  var family: Int
  var number: Int

  func isBefore(_ other: TokenName) -> Bool {
    family < other.family || (family == other.family && number < other.number)
  }

  var refreshText: String { "r\(credential)-\(family)-\(number)" }
  var accessText: String { "a\(credential)-\(family)-\(number)" }

  init(credential: Int, family: Int, number: Int) {
    self.credential = credential
    self.family = family
    self.number = number
  }

  /// Reads the three numbers that end at the first byte that is neither a digit nor a dash.
  init?(digits bytes: some Sequence<UInt8>) {
    var parts = (0, 0, 0)
    var index = 0
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        let digit = Int(byte - UInt8(ascii: "0"))
        switch index {
        case 0: parts.0 = parts.0 * 10 + digit
        case 1: parts.1 = parts.1 * 10 + digit
        default: parts.2 = parts.2 * 10 + digit
        }
      case UInt8(ascii: "-"): index += 1
      default: break
      }
      if byte == 0x0d { break }
    }
    guard index == 2 else { return nil }
    (credential, family, number) = parts
  }

  init?(_ secret: Secret?) {
    guard let secret else { return nil }
    self.init(digits: secret.reveal().utf8.dropFirst())
  }

  /// The access token that a request with these header lines carries; nil if there is none.
  init?(rendered bytes: [UInt8]) {
    let prefix = Self.prefix
    guard bytes.count > prefix.count, bytes.starts(with: prefix) else { return nil }
    self.init(digits: bytes[prefix.count...])
  }

  private static let prefix = Array("Authorization: Bearer a".utf8)
}

extension Fingerprinter {
  /// Fingerprints that are good enough for simulations, and cheap.
  static let forSimulations = Fingerprinter { bytes in
    var a: UInt64 = 0xcbf2_9ce4_8422_2325
    var b: UInt64 = 0x9e37_79b9_7f4a_7c15
    for byte in bytes {
      a = (a ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
      b = (b &+ UInt64(byte)) &* 0xff51_afd7_ed55_8ccd
      b ^= b >> 29
    }
    return Self.fingerprint(a, b)
  }

  private static func fingerprint(_ a: UInt64, _ b: UInt64) -> TokenKit.Fingerprint {
    var all: [UInt8] = []
    all.reserveCapacity(32)
    for word in [a, b, a ^ b, a &+ b] {
      for shift in 0..<8 { all.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift))) }
    }
    guard let fingerprint = TokenKit.Fingerprint(bytes: all) else { preconditionFailure("four words are 32 bytes") }
    return fingerprint
  }
}
