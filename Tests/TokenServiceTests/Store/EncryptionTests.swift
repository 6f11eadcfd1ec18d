// Tokens at rest: keys, rotation, wrong and missing keys, values that were moved; in both kinds of store.
import GatewayTesting
import Testing
import TokenKit

@testable import TokenService

@Suite("Store: encryption", .timeLimit(.minutes(5)))
struct EncryptionTests {
  private static let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
  private static let hexadecimal = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

  private func key(_ byte: UInt8) throws -> EncryptionKey {
    try #require(EncryptionKey(Secret(String(repeating: byte < 16 ? "0\(byte)" : "\(byte)", count: 32))))
  }

  @Test("A key is 32 bytes in base64 or hexadecimal, in every usual spelling")
  func goodKeys() throws {
    let expected = try #require(EncryptionKey(Secret(Self.base64)))
    for text in [Self.hexadecimal, Self.hexadecimal.lowercased(), String(Self.base64.dropLast())] {
      #expect(EncryptionKey(Secret(text)) == expected)
    }
    #expect(
      EncryptionKey(Secret("-_" + Self.base64.dropFirst(2))) == EncryptionKey(Secret("+/" + Self.base64.dropFirst(2))))
  }

  @Test(
    "Anything else is no key",
    arguments: [
      "", "secret", String(base64.dropLast(4)), base64 + "AAAA", String(hexadecimal.dropLast()), hexadecimal + "0",
      " " + base64, base64.replacing("I", with: "*"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
    ])
  func badKeys(_ text: String) { #expect(EncryptionKey(Secret(text)) == nil) }

  @Test("No two encryptions are alike; a value fits its credential, its column and its key only")
  func binding() throws {
    let cipher = TokenCipher(key: try key(1), previous: nil)
    let id = cipher.keyID
    let token = Secret("a refresh token")
    let sealed = try cipher.seal(token, of: "vinid", column: "refresh_token")
    #expect(try cipher.seal(token, of: "vinid", column: "refresh_token") != sealed)
    #expect(try cipher.open(sealed, sealedWith: id, of: "vinid", column: "refresh_token") == token)
    for (name, column) in [("cukcuk", "refresh_token"), ("vinid", "access_token"), ("vinidr", "efresh_token")] {
      let error = try StoreFixture.failure { _ = try cipher.open(sealed, sealedWith: id, of: name, column: column) }
      #expect(error.kind == .unreadable)
    }
    for index in sealed.indices {
      var changed = sealed
      changed[index] ^= 1
      _ = try StoreFixture.failure {
        _ = try cipher.open(changed, sealedWith: id, of: "vinid", column: "refresh_token")
      }
    }
  }

  /// What both kinds of store must do. `open` makes a store over the same content each time.
  private func check(_ open: (TokenCipher) throws -> any BlockingStore, content: () async throws -> String) async throws
  {
    func stored(_ store: any BlockingStore) throws -> StoredCredential? {
      try store.load([StoreQuery(name: "vinid", seed: nil)]).first?.row
    }
    func using<Result>(_ cipher: TokenCipher, _ body: (any BlockingStore) throws -> Result) throws -> Result {
      let store = try open(cipher)
      defer { try? store.close() }
      return try body(store)
    }
    let (old, new) = (try key(1), try key(2))
    // In clear first.
    try using(.none) { (store) throws in
      #expect(try store.save(StoreSave(row: PostgresFixture.row(1), replacing: 0, fingerprints: [])) == .saved)
    }
    #expect(try await content().contains("refresh-1"))
    // A key reads it, and encrypts with the next write.
    try using(TokenCipher(key: old, previous: nil)) { (store) throws in
      #expect(try stored(store) == PostgresFixture.row(1))
      #expect(try store.save(StoreSave(row: PostgresFixture.row(2), replacing: 1, fingerprints: [])) == .saved)
      #expect(try stored(store) == PostgresFixture.row(2))
    }
    let encrypted = try await content()
    #expect(!encrypted.contains("refresh-"))
    #expect(!encrypted.contains("access-"))
    // Without it, or with another one, nothing is read and nothing is changed.
    for (cipher, words) in [
      (TokenCipher.none, "are encrypted: give their key in \"encryption_key\""),
      (TokenCipher(key: new, previous: nil), "encrypted with another key"),
    ] {
      let error = try using(cipher) { store in try StoreFixture.failure { _ = try stored(store) } }
      #expect(error.kind == .unreadable)
      #expect(error.message.contains(words), "\(error)")
    }
    #expect(try await content() == encrypted)
    // Rotation: both are read, the new one is written.
    let rotating = TokenCipher(key: new, previous: old)
    try using(rotating) { (store) throws in
      #expect(try stored(store) == PostgresFixture.row(2))
      #expect(try store.save(StoreSave(row: PostgresFixture.row(3), replacing: 2, fingerprints: [])) == .saved)
    }
    try using(TokenCipher(key: new, previous: nil)) { (store) throws in
      #expect(try stored(store) == PostgresFixture.row(3))
      var marked = try PostgresFixture.row(3)
      marked.mark = InFlightMark(owner: "a", generation: 3, time: WallTime(milliseconds: 1), fingerprint: nil)
      #expect(try store.begin(StoreBegin(row: marked, expected: 3, fingerprints: [])) == .marked(prior: nil))
      try store.abandon(StoreAbandon(name: "vinid", generation: 3, keepsMark: false))
      #expect(try stored(store) == PostgresFixture.row(3))
    }
    let rotated = try await content()
    #expect(!rotated.contains("refresh-"))
  }

  @Test("An SQLite store: from clear text to a key, to another key; wrong and missing keys touch nothing")
  func sqlite() async throws {
    let directory = try PrivateDirectory()
    let path = directory.file("gateway.db")
    // A child of another test that is just being started holds the lock's descriptor for a moment.
    try await check({ try SQLiteStore(path: path, waitingAtMost: .seconds(20), cipher: $0) }) {
      let database = try SQLiteDatabase(path: path)
      defer { try? database.close() }
      return try database.run("SELECT * FROM credential").description
        + database.run("SELECT hex(refresh_token) FROM credential")
        .description + Self.text(of: database)
    }
  }

  /// Blobs as text.
  private static func text(of database: SQLiteDatabase) throws -> String {
    try database.run("SELECT access_token, refresh_token FROM credential").flatMap { $0 }.map { value in
      if case .blob(let bytes) = value { String(decoding: bytes, as: UTF8.self) } else { "" }
    }.joined(separator: " ")
  }

  @Test("A PostgreSQL store: the same")
  func postgres() async throws {
    let server = try await PostgresServer.start()
    let url = try PostgresURL(Secret(server.url()))
    try await check({ try PostgresStore(url, cipher: $0, waitingAtMost: .zero) }) {
      try await server.sql(
        "SELECT encode(access_token, 'escape'), encode(refresh_token, 'escape'), key_id FROM gateway_credential")
    }
  }
}
