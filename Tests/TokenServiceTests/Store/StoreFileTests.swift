// Who can get at the store: modes, directories, locks, foreign and damaged files.
import FoundationEssentials
import Glibc
import Synchronization
import Testing
import TokenKit

@testable import EventLoop
@testable import TokenService

@Suite("Store: files")
struct StoreFileTests {
  private let directory: PrivateDirectory

  init() throws { directory = try PrivateDirectory() }

  @Test("A missing directory and all files are made for the owner alone")
  func modes() throws {
    let path = directory.file("state/deep/gateway.db")
    let store = try StoreFixture.open(path)
    #expect(try store.save(StoreSave(row: StoreFixture.row(), replacing: 0, fingerprints: [])) == .saved)
    #expect(try PrivateDirectory.mode(directory.file("state")) == 0o700)
    #expect(try PrivateDirectory.mode(directory.file("state/deep")) == 0o700)
    for suffix in ["", "-wal", "-shm", ".lock"] {
      #expect(try PrivateDirectory.mode(path + suffix) == 0o600, "\(suffix)")
    }
    try store.close()
  }

  @Test(
    "A directory that others can read or write is refused with the command that mends it",
    arguments: [
      0o755, 0o750, 0o720, 0o702, 0o704, 0o777, 0o1777,
    ] as [mode_t])
  func openDirectory(mode: mode_t) throws {
    let path = try directory.make("shared", mode: mode)
    let error = try StoreFixture.failure { _ = try StoreFixture.open("\(path)/gateway.db") }
    #expect(error.kind == .unavailable)
    #expect(error.message.contains("chmod 700 \(path)"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
  }

  @Test("A directory that others can only pass through is fine", arguments: [0o700, 0o711, 0o701] as [mode_t])
  func closedDirectory(mode: mode_t) throws {
    let path = try directory.make("own", mode: mode)
    try StoreFixture.open("\(path)/gateway.db").close()
  }

  @Test(
    "A store that others can read or write is refused with the command that mends it",
    arguments: [
      ("", 0o644), ("", 0o640), ("", 0o602), ("-wal", 0o644), ("-shm", 0o604),
    ] as [(String, mode_t)])
  func openFile(suffix: String, mode: mode_t) throws {
    let path = directory.file("gateway.db")
    try StoreFixture.open(path).close()
    let file = path + suffix
    if !suffix.isEmpty { try #require(FileManager.default.createFile(atPath: file, contents: nil)) }
    try PrivateDirectory.setMode(file, mode)
    let error = try StoreFixture.failure { _ = try StoreFixture.open(path) }
    #expect(error.kind == .unavailable)
    #expect(error.message.contains("chmod 600 \(file)"))
  }

  @Test("A path that can't be a file is an error", arguments: ["", "state/", "/proc/none/gateway.db", "a\0b"])
  func impossiblePath(path: String) throws {
    #expect(try StoreFixture.failure { _ = try StoreFixture.open(path) }.kind == .unavailable)
  }

  @Test("A second gateway is refused, with the first one's process, also by another name of the file")
  func secondProcess() throws {
    let path = directory.file("gateway.db")
    let first = try StoreFixture.open(path)
    let other = try directory.make("elsewhere", mode: 0o700) + "/link.db"
    try FileManager.default.createSymbolicLink(atPath: other, withDestinationPath: path)
    for name in [path, other] {
      let error = try StoreFixture.failure { _ = try StoreFixture.open(name, waitingAtMost: .milliseconds(60)) }
      #expect(error.kind == .locked)
      #expect(error.message.contains("process \(getpid())"))
    }
    try first.close()
    try StoreFixture.open(path).close()
  }

  @Test("A second gateway waits for the first one to give the store up")
  func waits() throws {
    let path = directory.file("gateway.db")
    let first = try StoreFixture.open(path)
    let outcome = Mutex<Result<Void, StoreError>?>(nil)
    let result = Box(outcome)
    let thread = try LoopThread.start(name: "second") {
      let opened = Result { () throws(StoreError) in
        try StoreFixture.open(path, waitingAtMost: .seconds(20)).close()
      }
      result.value.withLock { $0 = opened }
    }
    // The second one is waiting as soon as it has the lock file open as well.
    try Self.wait { try Self.openCount(path + ".lock") == 2 }
    #expect(result.value.withLock { $0 == nil })
    try first.close()
    thread.join()
    try #require(result.value.withLock { $0 }).get()
  }

  @Test("The lock goes with its holder, without a close")
  func lockGoesWithHolder() throws {
    let path = directory.file("gateway.db")
    var first: SQLiteStore? = try StoreFixture.open(path)
    #expect(first != nil)
    first = nil
    try StoreFixture.open(path).close()
  }

  @Test("A newer schema is refused and stays as it is")
  func newerSchema() throws {
    let path = directory.file("gateway.db")
    try StoreFixture.open(path).close()
    try alter(path, "PRAGMA user_version = 99")
    let before = try #require(FileManager.default.contents(atPath: path))
    let error = try StoreFixture.failure { _ = try StoreFixture.open(path) }
    #expect(error.kind == .unavailable)
    #expect(error.message.contains("version 99"))
    #expect(FileManager.default.contents(atPath: path) == before)
  }

  @Test(
    "Another program's file is refused and stays as it is",
    arguments: [
      "CREATE TABLE bookmarks (url TEXT)", "PRAGMA application_id = 7",
    ])
  func foreignFile(sql: String) throws {
    let path = directory.file("other.db")
    try StoreFile.create(path)
    try alter(path, sql)
    let before = try #require(FileManager.default.contents(atPath: path))
    let error = try StoreFixture.failure { _ = try StoreFixture.open(path) }
    #expect(error.message.contains("another program"))
    #expect(FileManager.default.contents(atPath: path) == before)
  }

  @Test("An empty file becomes a store")
  func emptyFile() throws {
    let path = directory.file("gateway.db")
    try StoreFile.create(path)
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int == 0)
    let store = try StoreFixture.open(path)
    #expect(try StoreFixture.stored(store) == nil)
    try store.close()
    let database = try SQLiteDatabase(path: path)
    #expect(try database.value("PRAGMA application_id") == .integer(SQLiteSchema.applicationID))
    #expect(try database.value("PRAGMA user_version") == .integer(Int64(SQLiteSchema.steps.count)))
    #expect(try database.value("PRAGMA journal_mode") == .text("wal"))
  }

  @Test("A file that is no database is an error that says what to do")
  func noDatabase() throws {
    let path = directory.file("gateway.db")
    try #require(
      FileManager.default.createFile(atPath: path, contents: Data(repeating: 0x41, count: 8192)))
    try PrivateDirectory.setMode(path, 0o600)
    let error = try StoreFixture.failure { _ = try StoreFixture.open(path) }
    #expect(error.kind == .io)
    #expect(error.message.contains("restore it"))
  }

  @Test("A damaged page is found at the start")
  func damagedPage() throws {
    let path = directory.file("gateway.db")
    let store = try StoreFixture.open(path)
    for number in 0..<100 {
      let row = try StoreFixture.row("credential-\(number)")
      #expect(try store.save(StoreSave(row: row, replacing: 0, fingerprints: [])) == .saved)
    }
    try store.close()
    var bytes = try #require(FileManager.default.contents(atPath: path))
    try #require(bytes.count > 5 * 4096)
    bytes.replaceSubrange(2 * 4096..<5 * 4096, with: Data(repeating: 0x5a, count: 3 * 4096))
    try bytes.write(to: URL(filePath: path))
    try PrivateDirectory.setMode(path, 0o600)
    let error = try StoreFixture.failure { _ = try StoreFixture.open(path) }
    #expect(error.kind == .io)
    #expect(error.message.contains("restore it"))
    #expect(!StoreFixture.secrets.contains { error.message.contains($0) })
  }

  private func alter(_ path: String, _ sql: String) throws {
    let database = try SQLiteDatabase(path: path)
    try database.run(sql)
    try database.close()
  }

  private static func openCount(_ path: String) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count {
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == path
    }
  }

  private static func wait(for condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while try !condition() {
      try #require(ContinuousClock.now < deadline, "the condition did not come")
      usleep(1000)
    }
  }
}

/// Shares something that can't be copied with a thread.
final class Box<Value: ~Copyable & Sendable>: Sendable {
  let value: Value
  init(_ value: consuming Value) { self.value = value }
}
