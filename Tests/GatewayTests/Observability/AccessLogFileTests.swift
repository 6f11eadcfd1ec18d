// The way of lines to a file and to a pipe: whole, without waiting, and counted when they are lost.
import EventLoop
import Glibc
import HTTPWire
import Testing

@testable import Gateway

@Suite struct AccessLogFileTests {
  /// A loop with a log on a FIFO, a reader that the test moves, and a count of what was reported.
  private final class Pipe {
    let directory: TemporaryDirectory
    let path: String
    let reader: Int32
    let loop: EventLoop
    let log: AccessLog

    init() throws {
      directory = try TemporaryDirectory()
      path = "\(directory.path)/pipe.log"
      try #require(unsafe mkfifo(path, 0o600) == 0)
      reader = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
      try #require(reader >= 0)
      loop = try EventLoop()
      let file = try #require(try AccessLogFile.open(.file(path)))
      let told = Told()
      log = AccessLog(loop, file, try LineRig().line) { lines, _ in told.count += lines }
      self.told = told
    }

    final class Told { var count: UInt64 = 0 }
    let told: Told

    deinit { close(reader) }

    func read(atMost count: Int = 1 << 20) -> [UInt8] {
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 65536)
      while bytes.count < count {
        let got = unsafe Glibc.read(reader, &buffer, min(65536, count - bytes.count))
        if got <= 0 { break }
        bytes += buffer.prefix(got)
      }
      return bytes
    }

    /// What is left leaves by itself.
    func turnUntilWritten() throws {
      let end = ContinuousClock().now + .seconds(10)
      while log.isHolding, ContinuousClock().now < end { try loop.turn(waitingAtMost: 20) }
    }

    /// Writes a line whose path has its number in it.
    func write(_ number: Int, padding: Int = 300) throws {
      let bytes = Array(
        "GET /number-\(number)-/\(String(repeating: "x", count: padding)) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
      let subject = Subject.plain
      try subject.parse(bytes)
      log.write(subject, bytes.span)
    }
  }

  private func numbers(_ bytes: [UInt8]) throws -> [Int] {
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.isEmpty || text.hasSuffix("\n"), "a half line at the end")
    return try text.split(separator: "\n").map { line in
      #expect(line.hasPrefix("{\"time\"") && line.hasSuffix("}"), "a half line: \(line)")
      let part = try #require(line.firstMatch(of: #/number-(\d+)-/#))
      return try #require(Int(part.1))
    }
  }

  @Test func aTurnsLinesLeaveTogetherAtItsEnd() throws {
    let pipe = try Pipe()
    for number in 0..<5 { try pipe.write(number) }
    #expect(pipe.read().isEmpty, "nothing before the end of the turn")
    try pipe.loop.turn(waitingAtMost: 0)
    #expect(try numbers(pipe.read()) == [0, 1, 2, 3, 4])
  }

  /// Turns that come thick and fast share a write, and no line waits for another one to come.
  @Test func fewLinesInManyTurnsShareAWrite() throws {
    let pipe = try Pipe()
    try pipe.write(0)
    try pipe.loop.turn(waitingAtMost: 0)
    #expect(try numbers(pipe.read()) == [0], "the first one leaves at once")
    let start = ContinuousClock().now
    var shares = 0
    while shares < 3, ContinuousClock().now - start < .seconds(10) {
      for number in 0..<4 {
        try pipe.write(number)
        try pipe.loop.turn(waitingAtMost: 0)
      }
      try pipe.turnUntilWritten()
      let seen = try numbers(pipe.read())
      #expect(seen == [0, 1, 2, 3])
      shares += 1
    }
    #expect(ContinuousClock().now - start >= .milliseconds(30), "a write each 10 ms")
  }

  @Test func aFullBufferLeavesBeforeTheEndOfTheTurn() throws {
    let pipe = try Pipe()
    // F_SETPIPE_SZ: so that the pipe takes more than the buffer.
    try #require(fcntl(pipe.reader, 1031, 1 << 20) >= 1 << 20)
    for number in 0..<150 { try pipe.write(number) }
    let early = pipe.read()
    #expect(!early.isEmpty)
    try pipe.turnUntilWritten()
    #expect(try numbers(early + pipe.read()) == Array(0..<150))
    #expect(pipe.log.dropped == 0)
  }

  /// The reader stops: what fits is kept, the rest is dropped in whole lines and counted; when it reads again the log
  /// goes on by itself.
  @Test func aFullPipeDropsWholeLinesAndCounts() throws {
    let pipe = try Pipe()
    let count = 2000
    for number in 0..<count {
      try pipe.write(number, padding: number % 7 * 150)
      if number % 10 == 0 { try pipe.loop.turn(waitingAtMost: 0) }
    }
    #expect(pipe.log.dropped > 0)
    var got = pipe.read()
    let end = ContinuousClock().now + .seconds(10)
    while ContinuousClock().now < end, pipe.told.count < pipe.log.dropped || pipe.log.isHolding {
      try pipe.loop.turn(waitingAtMost: 20)
      got += pipe.read()
    }
    let seen = try numbers(got)
    #expect(seen.count + Int(pipe.log.dropped) == count, "\(seen.count) and \(pipe.log.dropped)")
    #expect(seen == seen.sorted() && Set(seen).count == seen.count)
    #expect(pipe.told.count == pipe.log.dropped, "all of them were reported")
    try pipe.write(count)
    try pipe.turnUntilWritten()
    #expect(try numbers(pipe.read()) == [count])
  }

  /// Nobody reads any more (EPIPE).
  @Test func aClosedPipeCostsLinesAndNothingElse() throws {
    Process.ignoreBrokenPipes()
    let pipe = try Pipe()
    close(dup(pipe.reader))
    let other = unsafe open("/dev/null", O_RDONLY)
    dup2(other, pipe.reader)
    close(other)
    for number in 0..<10 { try pipe.write(number) }
    try pipe.loop.turn(waitingAtMost: 0)
    #expect(pipe.log.dropped == 10)
    pipe.log.close()
    #expect(pipe.told.count == 10)
  }

  @Test func theEndWritesWhatIsLeft() throws {
    let pipe = try Pipe()
    for number in 0..<10 { try pipe.write(number) }
    pipe.log.close()
    #expect(try numbers(pipe.read()) == Array(0..<10))
    #expect(pipe.log.dropped == 0)
  }

  @Test func aPieceForAPipeIsWholeLines() throws {
    let pipe = try Pipe()
    let file = try #require(try AccessLogFile.open(.file(pipe.path)))
    let lines = (0..<100).flatMap { Array("\($0) \(String(repeating: "y", count: 90))\n".utf8) }
    guard case .bytes(let count) = file.write(lines.span) else {
      Issue.record("nothing written")
      return
    }
    #expect(count <= 4096 && count > 3900 && lines[count - 1] == AccessLogFile.lineEnd)
    #expect(pipe.read() == Array(lines.prefix(count)))
  }

  @Test func aFileIsWrittenAtItsEndAndKeepsItsLines() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("access.log", "before\n")
    let file = try #require(try AccessLogFile.open(.file(path)))
    let lines = Array(String(repeating: "a line\n", count: 2000).utf8)
    guard case .bytes(lines.count) = file.write(lines.span) else {
      Issue.record("not one write")
      return
    }
    #expect(unsafe rename(path, path + ".1") == 0)
    guard case .bytes = file.write(Array("old\n".utf8).span) else { return }
    try file.reopen()
    guard case .bytes = file.write(Array("new\n".utf8).span) else { return }
    #expect(
      try SystemFile.read(path + ".1", limit: 1 << 20).bytes == Array("before\n".utf8) + lines + Array("old\n".utf8))
    let new = try SystemFile.read(path, limit: 1 << 20)
    #expect(new.bytes == Array("new\n".utf8) && new.status.mode & 0o137 == 0)
  }

  @Test func whatCannotBeOpenedAgainLeavesTheOldFileInUse() throws {
    let directory = try TemporaryDirectory()
    let path = "\(directory.path)/sub/access.log"
    try #require(unsafe mkdir("\(directory.path)/sub", 0o700) == 0)
    let file = try #require(try AccessLogFile.open(.file(path)))
    try #require(unsafe rename("\(directory.path)/sub", "\(directory.path)/moved") == 0)
    #expect(throws: SystemError("open", errno: ENOENT)) { try file.reopen() }
    guard case .bytes = file.write(Array("kept\n".utf8).span) else { return }
    #expect(try SystemFile.read("\(directory.path)/moved/access.log", limit: 100).bytes == Array("kept\n".utf8))
  }

  @Test func pathsThatCannotBeOpenedAreExplained() throws {
    let directory = try TemporaryDirectory()
    #expect(AccessLogFile.problem(path: "\(directory.path)/new.log") == nil)
    #expect(AccessLogFile.problem(path: try directory.write("old.log", "")) == nil)
    #expect(AccessLogFile.problem(path: directory.path) == "\(directory.path) is a directory")
    #expect(
      AccessLogFile.problem(path: "\(directory.path)/old.log/x.log")
        == "\(directory.path)/old.log/x.log cannot be read: Not a directory")
    #expect(
      AccessLogFile.problem(path: "\(directory.path)/no/x.log")
        == "directory \(directory.path)/no cannot be read: No such file or directory")
    #expect(!TemporaryFiles.exists("\(directory.path)/new.log"), "a check makes no file")
  }
}

private enum TemporaryFiles {
  static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
