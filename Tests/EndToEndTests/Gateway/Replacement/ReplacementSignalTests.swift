// SIGUSR2: the running gateway starts its own program's file anew, which may be another one by then.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(4))) struct ReplacementSignalTests {
  /// Not a child of the test: killed when it is let go.
  private final class Stray: Sendable {
    let pid: Int32
    init(_ pid: Int32) { self.pid = pid }
    deinit { ChildProcess.send(ChildProcess.kill, to: pid) }
    var isThere: Bool { TemporaryDirectory.read("/proc/\(pid)/stat").map { !$0.contains(") Z ") } ?? false }
    /// The file that it runs.
    var program: String { TemporaryDirectory.link("/proc/\(pid)/exe") ?? "" }
  }

  /// The process that the running one has started last, by the log that both write.
  private func started(_ process: ChildProcess, after count: Int) async throws -> Stray {
    var pids: [Int32] = []
    try await Deadline.wait("a new process was started", within: .seconds(30)) {
      pids = process.errors.split(separator: "\n").filter { $0.contains("a new process was started") }.compactMap {
        line in
        JSONValue.parse(Array(line.utf8))?["process"]?.text.flatMap { Int32($0) }
      }
      return pids.count > count
    }
    return Stray(pids[count])
  }

  private func count(_ text: String, in process: ChildProcess) -> Int {
    process.errors.split(separator: "\n").count { $0.contains(text) }
  }

  @Test func theProgramsFileIsReplacedAndTheSignalTakesTheNewOne() async throws {
    let directory = try TemporaryDirectory()
    let program = directory.path("gateway")
    let copy = { (name: String) in
      let process = try ChildProcess(
        "cp", [try Products.path("gateway"), directory.path(name)], directory: directory, name: "cp-\(name)")
      #expect(try await process.waitForExit() == .code(0))
    }
    try await copy("gateway")
    let rig = try await ReplacementRig.start(program: program)
    let load = try rig.load()
    let first = try rig.gateway.process
    var current = first.pid
    var strays: [Stray] = []
    for number in 0..<3 {
      // As a package manager does it: another file under the same name.
      try await copy("new")
      try TemporaryDirectory.rename(directory.path("new"), program)
      ChildProcess.send(ChildProcess.replace, to: current)
      let new = try await started(first, after: number)
      #expect(new.pid != current)
      try await Deadline.wait("it serves", within: .seconds(60)) {
        count(GatewayUnderTest.servesInPlace, in: first) > number
      }
      #expect(new.program == program, "not the file that was deleted")
      let before = current
      try await Deadline.wait("the old one ends", within: .seconds(60)) {
        before == first.pid ? first.hasEnded : TemporaryDirectory.read("/proc/\(before)/stat") == nil
      }
      current = new.pid
      if number == 2 {
        try await rig.end(load)
        try await rig.expectNoSpentToken()
        ChildProcess.send(ChildProcess.terminate, to: current)
        try await Deadline.wait("it ends", within: .seconds(60)) { !new.isThere }
      }
      strays.append(new)
    }
    #expect(first.exit == .code(0) && strays.count == 3)
  }

  /// The new program does not come to serve: it is told of, and the signal works again once it does.
  @Test func aNewProgramThatFailsLeavesTheOldProcessInItsPlace() async throws {
    let directory = try TemporaryDirectory()
    let program = directory.path("gateway")
    let original = try Products.path("gateway")
    let link = try ChildProcess("ln", ["-s", original, program], directory: directory, name: "ln")
    #expect(try await link.waitForExit() == .code(0))
    let rig = try await ReplacementRig.start(program: program)
    let load = try rig.load(callers: 2)
    let old = try rig.gateway.process
    for (number, content) in ["#!/bin/sh\nexit 3\n", "no program at all", "#!/bin/sh\nkill -9 $$\n"].enumerated() {
      try directory.write("broken", content, mode: 0o700)
      try TemporaryDirectory.rename(directory.path("broken"), program)
      old.send(ChildProcess.replace)
      try await old.waitWhileRunning("it says so") { count("replacement failed, going on", in: old) == number + 1 }
    }
    #expect(old.errors.contains("ended with code 3") && old.errors.contains("signal 9"))
    #expect(try await rig.gateway.adminStatus("/readyz") == 200)
    let again = try ChildProcess("ln", ["-sf", original, program], directory: directory, name: "ln-again")
    #expect(try await again.waitForExit() == .code(0))
    old.send(ChildProcess.replace)
    let new = try await started(old, after: 2)
    try await rig.gateway.expectEnd(of: old)
    try await rig.end(load)
    try await rig.expectNoSpentToken()
    ChildProcess.send(ChildProcess.terminate, to: new.pid)
    try await Deadline.wait("it ends", within: .seconds(60)) { !new.isThere }
  }
}
