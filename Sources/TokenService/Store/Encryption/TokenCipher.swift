// Tokens at rest: AES-256-GCM, with the credential's name and the column bound in, so that a value can't be moved to
// another place. Used by both kinds of store.

internal import Crypto
internal import FoundationEssentials
internal import TokenKit

/// Encrypts with one key and reads what that key, or the one before it, has encrypted. Without a key tokens stand in the
/// store as they are; such rows are read with a key too, and encrypted when they are next written.
package struct TokenCipher: Sendable, Equatable {
  /// No encryption.
  package static let none = TokenCipher(key: nil, previous: nil)

  private let key: EncryptionKey?
  private let previous: EncryptionKey?

  /// A cipher.
  /// - Parameter previous: the key before `key`: what it has encrypted is still read, and encrypted with `key` when it is
  ///   next written.
  package init(key: EncryptionKey?, previous: EncryptionKey?) {
    self.key = key
    self.previous = previous
  }

  /// Stands beside what `seal` makes; nil when it encrypts nothing.
  var keyID: [UInt8]? { key?.id }

  /// A token as the store keeps it: nonce, ciphertext and tag, or as it is.
  func seal(_ token: Secret, of name: String, column: String) throws(StoreError) -> [UInt8] {
    let plain = Array(token.reveal().utf8)
    guard let key else { return plain }
    do {
      let box = try AES.GCM.seal(plain, using: key.key, authenticating: Self.binding(name, column))
      if let combined = box.combined { return Array(combined) }
    } catch {}
    throw StoreError(.unreadable, "the tokens of \"\(name)\" can't be encrypted")
  }

  /// A token from what the store keeps.
  /// - Throws: `unreadable`, with what to do.
  func open(_ bytes: [UInt8], sealedWith id: [UInt8]?, of name: String, column: String) throws(StoreError) -> Secret {
    let plain: [UInt8]
    if let id {
      guard let key = [key, previous].compactMap(\.self).first(where: { $0.id == id }) else { throw unknownKey(name) }
      do {
        plain = Array(
          try AES.GCM.open(
            AES.GCM.SealedBox(combined: bytes), using: key.key, authenticating: Self.binding(name, column)))
      } catch {
        throw StoreError(
          .unreadable,
          "the store's \(column) of \"\(name)\" was changed or moved: it does not fit the key that encrypted it")
      }
    } else {
      plain = bytes
    }
    // Made anew from the bytes: what validating returns has room to grow, which a token never does.
    guard String(validating: plain, as: UTF8.self) != nil else {
      throw StoreError(.unreadable, "the store's \(column) of \"\(name)\" can't be read: it is not text")
    }
    return Secret(String(decoding: plain, as: UTF8.self))
  }

  private func unknownKey(_ name: String) -> StoreError {
    StoreError(
      .unreadable,
      key == nil
        ? "the store's tokens of \"\(name)\" are encrypted: give their key in \"encryption_key\""
        : "the store's tokens of \"\(name)\" were encrypted with another key than \"encryption_key\" or "
          + "\"encryption_key_previous\": give that one as \"encryption_key_previous\"")
  }

  /// The parts are length-prefixed: no two places run together.
  private static func binding(_ name: String, _ column: String) -> [UInt8] {
    let name = Array(name.utf8)
    let count = (0..<4).map { UInt8(truncatingIfNeeded: name.count >> (24 - 8 * $0)) }
    return Array("gateway-store-1\0".utf8) + count + name + Array(column.utf8)
  }
}
