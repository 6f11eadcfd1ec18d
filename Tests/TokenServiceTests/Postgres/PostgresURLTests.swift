// Which URLs name a shared store in one way only, and that a refusal repeats nothing of them.
import Testing
import TokenKit

@testable import TokenService

@Suite("PostgreSQL URL")
struct PostgresURLTests {
  @Test(
    "Taken",
    arguments: [
      "postgres://gateway@db/gateway", "postgresql://gateway:p%40ss%2F@db.example:5432/gateway?sslmode=verify-full",
      "postgres://gateway@a:5432,b:5432/gateway?target_session_attrs=any", "postgres://[::1]/gateway",
      "postgres:///gateway?host=%2Frun%2Fpostgresql&connect_timeout=2", "postgres://",
    ])
  func good(_ text: String) throws { #expect(try PostgresURL(Secret(text)).text == Secret(text)) }

  @Test(
    "Refused, without a word of it",
    arguments: [
      "", "mysql://gateway@db/x", "host=db password=hunter2", "postgres://gateway:hunter2@hunter2@db/x",
      "postgres://gateway:hunter2/x@db/x", "postgres://gateway:hunter2?@db/x", "postgres://gateway:hunter2#@db/x",
      "postgres://gateway:hunter2%@db/x", "postgres://gateway:hunter2%0g@db/x", "postgres://gateway:hunter2%00@db/x",
      "postgres://gateway:hun:ter2@db/x", "postgres://gateway:hunter2 @db/x", "postgres://gateway:hünter2@db/x",
    ])
  func bad(_ text: String) throws {
    do throws(PostgresURL.Malformed) {
      _ = try PostgresURL(Secret(text))
      Issue.record("\(text) was taken")
    } catch {
      #expect(!error.message.contains("hunter2"))
      #expect(!error.message.contains("ter2"))
    }
  }

  @Test("Another machine needs a checked certificate; this one needs none")
  func network() throws {
    for (url, isOpen) in [
      ("postgres://gateway@db/x", true), ("postgres://gateway@db:5432/x?sslmode=require", true),
      ("postgres://gateway@db/x?sslmode=verify-full", false), ("postgres://gateway@db/x?a=b&sslmode=verify-ca", false),
      ("postgres://gateway@127.0.0.1:5432/x", false), ("postgres://gateway@localhost/x", false),
      ("postgres://gateway@[::1]:5432/x", false), ("postgres://gateway@[2001:db8::1]/x", true),
      ("postgres://gateway@localhost,db/x", true), ("postgres:///x", false), ("postgres://", false),
      ("postgres:///x?host=%2Frun%2Fpostgresql", false), ("postgres://gateway@localhost/x?host=db", true),
      ("postgres://gateway@/x?host=/run/postgresql", false),
    ] {
      #expect(try PostgresURL(Secret(url)).trustsTheNetwork == isOpen, "\(url)")
    }
  }
}
