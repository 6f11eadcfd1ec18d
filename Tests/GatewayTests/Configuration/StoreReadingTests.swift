// `store` in gateway.json: both kinds, encryption keys, and what each mistake is told.

import Testing
import TokenKit
import TokenService

@testable import Gateway

@Suite("Configuration: store")
struct StoreReadingTests {
  private static let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
  private static let other = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E00"

  private func read(_ members: [String: JSONValue]) -> (store: StoreConfiguration, problems: [String]) {
    let problems = SettingsProblems()
    let environment = [
      "URL": "postgres://gateway:hunter2@db/gateway?sslmode=verify-full", "KEY": Self.key, "OLD": Self.other,
      "BAD": "hunter2",
      "OPEN": "postgres://gateway:hunter2@db/gateway",
    ]
    let secrets = SecretResolver(environment: environment, directory: "/nowhere")
    let settings = SettingsReader(path: "store", members: members, problems: problems, secrets: secrets)
    let store = StoreReading(directory: "/nowhere", problems: problems).read(settings)
    return (store, problems.all.map { "\($0.severity.rawValue) \($0.path): \($0.message)" })
  }

  private func env(_ name: String) -> JSONValue { .object(["env": .string(name)]) }

  @Test("Both kinds, with and without keys")
  func good() throws {
    let url = try PostgresURL(Secret("postgres://gateway:hunter2@db/gateway?sslmode=verify-full"))
    for keys in [
      [:], ["encryption_key": env("KEY")], ["encryption_key": env("KEY"), "encryption_key_previous": env("OLD")],
    ] {
      let file = read(["kind": .string("sqlite"), "path": .string("a.db")].merging(keys) { $1 })
      #expect(file.problems == [])
      #expect(file.store.place == .sqlite(path: "/nowhere/a.db"))
      let database = read(["kind": .string("postgres"), "url": env("URL")].merging(keys) { $1 })
      #expect(database.problems == [])
      #expect(database.store.place == .postgres(url))
    }
  }

  @Test("Mistakes say what to do, and repeat no secret")
  func mistakes() {
    let postgres: [String: JSONValue] = ["kind": .string("postgres")]
    let sqlite: [String: JSONValue] = ["path": .string("a.db")]
    for (members, expected) in [
      (postgres, "error store.url: is missing; write for example {\"env\": \"GATEWAY_STORE_URL\"}"),
      (
        postgres.merging(["url": env("URL"), "path": .string("a.db")]) { $1 },
        "error store.path: belongs to \"kind\": \"sqlite\"; a PostgreSQL store has a \"url\""
      ),
      (
        sqlite.merging(["url": env("URL")]) { $1 },
        "error store.url: belongs to \"kind\": \"postgres\"; an SQLite store has a \"path\""
      ),
      (postgres.merging(["url": env("BAD")]) { $1 }, "error store.url: must begin with postgres://"),
      (
        postgres.merging(["url": env("OPEN")]) { $1 },
        "warning store.url: does not check who the server is, and tokens may cross the network in clear: add "
          + "sslmode=verify-full"
      ),
      (postgres.merging(["url": env("NONE")]) { $1 }, "error store.url: environment variable NONE is not set"),
      (
        sqlite.merging(["encryption_key": env("BAD")]) { $1 },
        "error store.encryption_key: must be 32 random bytes in base64 or as 64 hexadecimal digits; make one with: "
          + "openssl rand -base64 32"
      ),
      (
        sqlite.merging(["encryption_key_previous": env("OLD")]) { $1 },
        "error store.encryption_key_previous: is only read: give the key to write with in \"encryption_key\""
      ),
      (
        sqlite.merging(["encryption_key": env("KEY"), "encryption_key_previous": env("KEY")]) { $1 },
        "warning store.encryption_key_previous: is the same key as \"encryption_key\"; leave it out"
      ),
      (
        sqlite.merging(["encription_key": env("KEY")]) { $1 },
        "error store.encription_key: unknown key; did you mean \"encryption_key\"?"
      ),
    ] {
      let problems = read(members).problems
      #expect(problems.count == 1 && problems.first?.hasPrefix(expected) == true, "\(problems)")
      #expect(!problems.joined().contains("hunter2"))
    }
  }
}
