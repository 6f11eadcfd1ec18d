// Children, directories and deadlines of the tests.
import GatewayTesting
import Testing

@Suite struct ChildProcessTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  func shell(_ script: String, _ environment: [String: String] = [:]) throws -> ChildProcess {
    try ChildProcess(
      "sh", ["-c", script], environment: ChildProcess.environment(adding: environment), directory: directory,
      name: "sh-\(UInt32.random(in: .min ... .max))", startsThere: true)
  }

  @Test func outputExitAndEnvironment() async throws {
    let child = try shell("echo \"out $X\"; pwd; echo err >&2; exit 7", ["X": "y"])
    #expect(try await child.waitForExit() == .code(7))
    #expect(child.output == "out y\n\(directory.path)\n" && child.errors == "err\n")
  }

  @Test func aSignalEndsTheChild() async throws {
    let child = try shell("echo up; exec sleep 600")
    #expect(try await child.waitForLine(containing: "up") == "up")
    #expect(child.residentBytes > 0 && !child.hasEnded)
    #expect(try await child.stop() == .signal(ChildProcess.terminate))
  }

  @Test func waitingForADeadChildSaysWhatItSaid() async throws {
    let child = try shell("echo because >&2; exit 1")
    let error = await #expect(throws: DeadlinePassed.self) { try await child.waitForLine(containing: "never") }
    #expect(error?.description.contains("because") == true)
  }

  @Test func aChildIsKilledWithItsGroupWhenItIsLetGo() async throws {
    var child: ChildProcess? = try shell("sleep 600 & echo $!; wait")
    let line = try await child?.waitForLine(containing: "")
    let grandchild = try #require(line.flatMap { Int32($0) })
    child = nil
    try await Deadline.wait("the grandchild is gone") {
      // A zombie waits for init and runs no more.
      let status = TemporaryDirectory.read("/proc/\(grandchild)/stat") ?? ""
      return status.isEmpty || status.contains(") Z ")
    }
  }

  @Test func whatIsNotThereIsAnError() {
    #expect(throws: SpawnError.self) { try Products.path("no-such-product") }
    #expect(throws: SpawnError.self) { try ChildProcess("/no/such", [], directory: directory, name: "none") }
  }

  @Test func aDirectoryGoesWithAllThatIsInIt() throws {
    var own: TemporaryDirectory? = try TemporaryDirectory()
    let path = try #require(own?.path)
    #expect(TemporaryDirectory.mode(path) == 0o700)
    try own?.write("file", "text", mode: 0o644)
    #expect(TemporaryDirectory.mode(path + "/file") == 0o644)
    #expect(TemporaryDirectory.read(path + "/file") == "text")
    own = nil
    #expect(TemporaryDirectory.mode(path) == nil)
  }

  @Test func aDeadlineNamesWhatDidNotCome() async {
    let error = await #expect(throws: DeadlinePassed.self) {
      try await Deadline.wait("the moon is blue", within: .milliseconds(20)) { false }
    }
    #expect(error?.description.contains("the moon is blue") == true)
  }
}
