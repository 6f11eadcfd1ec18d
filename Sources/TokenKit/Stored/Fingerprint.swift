// SHA-256 values that stand for refresh tokens and identities, so that neither has to be compared in clear.

/// A SHA-256 value. TokenKit does no cryptography: TokenService hands in the function that makes one.
public struct Fingerprint: Sendable, Hashable {
  private let words: (UInt64, UInt64, UInt64, UInt64)

  /// The value of exactly 32 bytes; nil for any other number of them.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    func word(_ index: Int) -> UInt64 {
      bytes[index * 8..<index * 8 + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
    words = (word(0), word(1), word(2), word(3))
  }

  /// The 32 bytes, as the store keeps them.
  public var bytes: [UInt8] {
    [words.0, words.1, words.2, words.3].flatMap { word in
      (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
    }
  }

  /// All four words alike.
  public static func == (a: Fingerprint, b: Fingerprint) -> Bool {
    a.words.0 == b.words.0 && a.words.1 == b.words.1 && a.words.2 == b.words.2 && a.words.3 == b.words.3
  }

  /// The first word is as good as the whole value.
  public func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// Makes fingerprints. Each use has its own first byte, so that the fingerprint of an identity never equals one of a
/// token.
public struct Fingerprinter: Sendable {
  private let hash: @Sendable ([UInt8]) -> Fingerprint

  /// A maker over a SHA-256 function.
  public init(hash: @escaping @Sendable ([UInt8]) -> Fingerprint) { self.hash = hash }

  /// Of a refresh token, whichever credential it belongs to.
  public func refreshToken(_ token: Secret) -> Fingerprint {
    hash([1] + Array(token.reveal().utf8))
  }

  /// Of everything that an access or refresh token belongs to. Parts are length-prefixed: no two lists run together.
  public func identity(_ parts: [String]) -> Fingerprint {
    var bytes: [UInt8] = [2]
    for part in parts {
      let text = Array(part.utf8)
      bytes += (0..<4).map { UInt8(truncatingIfNeeded: text.count >> (24 - 8 * $0)) }
      bytes += text
    }
    return hash(bytes)
  }
}
