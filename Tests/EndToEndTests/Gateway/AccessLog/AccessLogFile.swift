// The access log of a gateway under test: its lines, read strictly, and a pipe that a test reads when it likes.
import EventLoop
import GatewayTesting
import Glibc
import Synchronization
import Testing
import TokenKit

/// One line.
struct AccessLine: Sendable {
  let json: JSONValue

  subscript(_ key: String) -> JSONValue? { json[key] }
  func text(_ key: String) -> String? { json[key]?.text }
  func int(_ key: String) -> Int? { json[key]?.int }
  func number(_ key: String) -> Double? { if case .number(let number)? = json[key] { number } else { nil } }
  var keys: Set<String> { if case .object(let members) = json { Set(members.keys) } else { [] } }
  var status: Int? { int("status") }
  var path: String? { text("path") }
}

enum AccessLines {
  /// Every line of a text, which must end with a whole one.
  static func parse(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) -> [AccessLine] {
    #expect(text.isEmpty || text.hasSuffix("\n"), "a half line at the end", sourceLocation: sourceLocation)
    var lines: [AccessLine] = []
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
      guard let json = JSONValue.parse(Array(line)) else {
        Issue.record("no JSON: \(String(line) ?? "?")", sourceLocation: sourceLocation)
        continue
      }
      lines.append(AccessLine(json: json))
    }
    return lines
  }
}

extension GatewayUnderTest {
  var accessLogPath: String { directory.path("access.log") }
  var accessLogText: String { TemporaryDirectory.read(accessLogPath) ?? "" }

  /// Waits until so many lines are there, and sees that there are no more.
  func accessLines(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws -> [AccessLine] {
    try await process.waitWhileRunning("\(count) lines") { accessLogText.utf8.count { $0 == 10 } >= count }
    let lines = AccessLines.parse(accessLogText, sourceLocation: sourceLocation)
    #expect(lines.count == count, sourceLocation: sourceLocation)
    try #require(lines.count >= count)
    return lines
  }
}

extension GatewayConfiguration {
  /// With an access log beside the configuration.
  mutating func logAccess(_ more: [(String, OrderedJSON)] = [], to destination: String = "access.log") {
    self.more["log"] = .object([("level", "trace"), ("access", .string(destination))] + more)
  }
}

/// A FIFO whose reading end the test has.
final class TestPipe: Sendable {
  let path: String
  private let fd: Int32

  init(_ directory: TemporaryDirectory) throws {
    path = directory.path("access.pipe")
    guard unsafe mkfifo(path, 0o600) == 0 else { throw SpawnError("mkfifo: error \(errno)") }
    fd = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    if fd < 0 { throw SpawnError("the pipe cannot be opened: error \(errno)") }
  }

  deinit { close(fd) }

  /// What is there now.
  func read() -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe Glibc.read(fd, &buffer, buffer.count)
      if count <= 0 { return bytes }
      bytes += buffer.prefix(count)
    }
  }
}

enum Files {
  static func rename(_ old: String, _ new: String) throws {
    guard unsafe Glibc.rename(old, new) == 0 else { throw SpawnError("rename: error \(errno)") }
  }
}
