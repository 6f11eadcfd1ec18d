// Numbers that the counting library (Counting/counting.c) writes inside a gateway, read from outside.
import GatewayTesting
import Glibc
import Testing

/// What the data loops of one gateway did; a difference of two moments.
struct CountedWork {
  var allocations: UInt64 = 0
  /// Those of them that OpenSSL asked for.
  var tlsAllocations: UInt64 = 0
  var sends: UInt64 = 0
  var receives: UInt64 = 0
  var waits: UInt64 = 0
  var epollChanges: UInt64 = 0
  var otherDataCalls: UInt64 = 0

  /// The gateway's own.
  var ownAllocations: UInt64 { allocations - tlsAllocations }
  var dataCalls: UInt64 { sends + receives + otherDataCalls }
}

/// One memory-mapped file of counters. Safety: `words` points to the mapping, which lasts as long as the object; the other
/// process writes whole words.
@safe
final class Counts: @unchecked Sendable {
  /// The words of `struct counts`, in its order.
  private enum Word: Int {
    case allocations, tlsAllocations, otherAllocations, sends, receives, waits, epollChanges, otherDataCalls
    case turns, longestTurn, blockedTurns, largestRead, isMeasuring, traces
  }

  private static let size = 4096
  private let words: UnsafeMutablePointer<UInt64>
  private let library: String
  private let path: String

  /// Compiles the library into the directory.
  init(in directory: TemporaryDirectory) async throws {
    let folder = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    library = directory.path("counting.so")
    let compiler = try ChildProcess(
      "cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, "\(folder)/Counting/counting.c"],
      directory: directory, name: "cc")
    guard try await compiler.waitForExit(within: .seconds(60)) == .code(0) else { throw SpawnError(compiler.errors) }
    path = try directory.write("counts", String(repeating: "\0", count: Self.size))
    let fd = unsafe open(path, O_RDWR | O_CLOEXEC)
    let mapping = unsafe mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
    close(fd)
    guard fd >= 0, let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
      throw SpawnError("\(path) cannot be mapped: error \(errno)")
    }
    unsafe words = mapping.bindMemory(to: UInt64.self, capacity: Self.size / 8)
  }

  deinit { unsafe munmap(words, Self.size) }

  /// What makes a program count.
  var environment: [String: String] { ["LD_PRELOAD": library, "GATEWAY_COUNTS": path] }

  private subscript(_ word: Word) -> UInt64 {
    get { unsafe words[word.rawValue] }
    set { unsafe words[word.rawValue] = newValue }
  }

  private var work: CountedWork {
    CountedWork(
      allocations: self[.allocations], tlsAllocations: self[.tlsAllocations], sends: self[.sends],
      receives: self[.receives], waits: self[.waits], epollChanges: self[.epollChanges],
      otherDataCalls: self[.otherDataCalls])
  }

  /// What was done since an earlier moment.
  func work(since earlier: CountedWork = CountedWork()) -> CountedWork {
    let now = work
    return CountedWork(
      allocations: now.allocations - earlier.allocations,
      tlsAllocations: now.tlsAllocations - earlier.tlsAllocations, sends: now.sends - earlier.sends,
      receives: now.receives - earlier.receives, waits: now.waits - earlier.waits,
      epollChanges: now.epollChanges - earlier.epollChanges,
      otherDataCalls: now.otherDataCalls - earlier.otherDataCalls)
  }

  /// Begins to look at turns; what was found before is forgotten.
  func measureTurns() {
    for word in [Word.turns, .longestTurn, .blockedTurns, .largestRead] { self[word] = 0 }
    self[.isMeasuring] = 1
  }

  var turns: UInt64 { self[.turns] }
  /// CPU time.
  var longestTurn: Duration { .nanoseconds(Int64(self[.longestTurn])) }
  /// Turns in which a data loop's thread waited for something other than events.
  var blockedTurns: UInt64 { self[.blockedTurns] }
  /// Bytes that one descriptor was read in one turn.
  var largestRead: UInt64 { self[.largestRead] }
}

/// The gateway as it is shipped: what debug builds do on every request says nothing about it.
enum ReleaseBuild {
  static var path: String? {
    guard let path = unsafe getenv("GATEWAY_TEST_RELEASE") else { return nil }
    return unsafe String(cString: path)
  }

  static var isThere: Bool { path.map { unsafe access($0, X_OK) == 0 } ?? false }
  static let comment: Comment = "GATEWAY_TEST_RELEASE names no release build of the gateway: scripts/test makes one"
}
