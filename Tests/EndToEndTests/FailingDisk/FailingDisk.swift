// The disk under a gateway's store, which fails as the test wants (failing_disk.c does it inside the gateway).
import GatewayTesting
import Glibc
import Testing

/// How a disk fails.
enum DiskFault: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case writeError, writeNoSpace, writesNothing, shortWriteThenNoSpace, syncError, syncNoSpace

  var testDescription: String { rawValue }

  /// What an error of the store is called in the log. SQLite does not tell why a commit could not be synced.
  var kind: String {
    switch self {
    case .writeError, .syncError, .syncNoSpace: "io"
    case .writeNoSpace, .writesNothing, .shortWriteThenNoSpace: "full"
    }
  }
}

/// One memory-mapped file of orders and counts. Safety: `words` points to the mapping, which lasts as long as the object;
/// both processes write whole words.
@safe
final class FailingDisk: @unchecked Sendable {
  /// The words of `struct disk`, in its order.
  private enum Word: Int {
    case writeError, syncError, readError, writesHalf, writesNothing
    case failedWrites, failedSyncs, failedReads, halfWrites
  }

  private static let size = 4096
  private let words: UnsafeMutablePointer<UInt64>
  /// What puts a gateway's store on it.
  let environment: [String: String]

  /// A good disk, for the store of that gateway.
  init(for gateway: GatewayUnderTest) async throws {
    let directory = gateway.directory
    let folder = "/" + #filePath.split(separator: "/").dropLast().joined(separator: "/")
    let library = directory.path("failing_disk.so")
    let compiler = try ChildProcess(
      "cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, "\(folder)/failing_disk.c"],
      directory: directory, name: "cc")
    guard try await compiler.waitForExit(within: .seconds(60)) == .code(0) else { throw SpawnError(compiler.errors) }
    let path = try directory.write("disk", String(repeating: "\0", count: Self.size))
    let fd = unsafe open(path, O_RDWR | O_CLOEXEC)
    let mapping = unsafe mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
    close(fd)
    guard fd >= 0, let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
      throw SpawnError("\(path) cannot be mapped: error \(errno)")
    }
    unsafe words = mapping.bindMemory(to: UInt64.self, capacity: Self.size / 8)
    environment = ["LD_PRELOAD": library, "GATEWAY_DISK": path, "GATEWAY_DISK_STORE": gateway.storePath]
  }

  deinit { unsafe munmap(words, Self.size) }

  private subscript(_ word: Word) -> UInt64 {
    get { unsafe words[word.rawValue] }
    set { unsafe words[word.rawValue] = newValue }
  }

  func fail(_ fault: DiskFault) {
    switch fault {
    case .writeError: self[.writeError] = UInt64(EIO)
    case .writeNoSpace: self[.writeError] = UInt64(ENOSPC)
    case .writesNothing: self[.writesNothing] = 1
    case .shortWriteThenNoSpace:
      self[.writeError] = UInt64(ENOSPC)
      self[.writesHalf] = 1
    case .syncError: self[.syncError] = UInt64(EIO)
    case .syncNoSpace: self[.syncError] = UInt64(ENOSPC)
    }
  }

  /// Nothing can be read.
  func failReads() { self[.readError] = UInt64(EIO) }

  /// Writes take half of what they are given, and do not fail.
  func writeShortly() { self[.writesHalf] = 1 }

  func heal() {
    for word in [Word.writeError, .syncError, .readError, .writesHalf, .writesNothing] { self[word] = 0 }
  }

  /// Calls that have failed so far.
  var failures: UInt64 { self[.failedWrites] + self[.failedSyncs] + self[.failedReads] }
  var halfWrites: UInt64 { self[.halfWrites] }
}

extension GatewayUnderTest {
  /// Waits until a credential has that alarm, or has none at all (nil).
  func waitForAlarm(_ alarm: String?, of name: String = "main") async throws {
    try await process.waitWhileRunning("alarm \(alarm ?? "gone")", within: .seconds(90)) {
      guard let credential = try await self.credential(name) else { return false }
      let alarms = credential["alarms"]?.elements?.compactMap(\.text) ?? []
      return alarm.map(alarms.contains) ?? alarms.isEmpty
    }
  }
}
