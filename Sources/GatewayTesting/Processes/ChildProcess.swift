// A program that a test starts: its own process group, its output in files, and never left running.
internal import Glibc
internal import Synchronization

/// A child could not be started.
package struct SpawnError: Error, Sendable, CustomStringConvertible {
  package var description: String
  package init(_ description: String) { self.description = description }
}

/// How a child ended.
package enum ChildExit: Sendable, Equatable {
  case code(Int32)
  case signal(Int32)
}

/// Killed with its group when it is let go.
package final class ChildProcess: Sendable {
  package static let terminate = SIGTERM
  package static let interrupt = SIGINT
  package static let hangup = SIGHUP
  package static let kill = SIGKILL
  package static let replace = SIGUSR2
  /// Halts every thread until `resume`.
  package static let halt = SIGSTOP
  package static let resume = SIGCONT

  package let pid: Int32
  package let name: String
  private let outputPath: String
  private let errorPath: String
  private let ended = Mutex<ChildExit?>(nil)

  /// Starts a program.
  /// - Parameters:
  ///   - path: looked for in PATH when it has no slash.
  ///   - environment: the whole environment; `ChildProcess.environment(adding:)` makes a plain one.
  ///   - directory: where its output goes (`NAME.out`, `NAME.err`), and with `startsThere` where it runs.
  package init(
    _ path: String, _ arguments: [String], environment: [String: String] = ChildProcess.environment(),
    directory: TemporaryDirectory, name: String, startsThere: Bool = false
  ) throws(SpawnError) {
    self.name = name
    outputPath = directory.path(name + ".out")
    errorPath = directory.path(name + ".err")
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    for (number, file) in [(Int32(1), outputPath), (2, errorPath)] {
      // Appending keeps what an earlier start of the same name wrote.
      unsafe posix_spawn_file_actions_addopen(&actions, number, file, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    }
    // The test process ignores SIGPIPE and may block signals: the child starts as from a shell.
    var none = sigset_t()
    var defaults = sigset_t()
    unsafe sigemptyset(&none)
    unsafe sigemptyset(&defaults)
    for signal in [SIGPIPE, SIGTERM, SIGINT, SIGHUP] { unsafe sigaddset(&defaults, signal) }
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    // env(1) changes the directory and becomes the program: posix_spawn's own way is not visible from Swift.
    let program = startsThere ? "env" : path
    let argv = CStrings((startsThere ? ["env", "-C", directory.path, path] : [path]) + arguments)
    let envp = CStrings(environment.map { "\($0.key)=\($0.value)" })
    var pid: pid_t = 0
    let result = unsafe posix_spawnp(&pid, program, &actions, &attributes, argv.pointers, envp.pointers)
    if result != 0 { throw SpawnError("\(path) cannot be started: error \(result)") }
    self.pid = pid
  }

  deinit {
    if hasEnded { return }
    send(Self.kill, toGroup: true)
    var status: Int32 = 0
    unsafe waitpid(pid, &status, 0)
  }

  /// PATH and HOME of this process, the sanitizers' options and what is added; no backtraces, which take seconds.
  package static func environment(adding more: [String: String] = [:]) -> [String: String] {
    var environment = ["SWIFT_BACKTRACE": "enable=no"]
    for name in ["PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"] {
      if let value = unsafe getenv(name) { environment[name] = unsafe String(cString: value) }
    }
    return environment.merging(more) { $1 }
  }

  /// What it has written to its standard output.
  package var output: String { TemporaryDirectory.read(outputPath) ?? "" }
  /// What it has written to its standard error.
  package var errors: String { TemporaryDirectory.read(errorPath) ?? "" }

  /// To any process, such as one that a child has started.
  package static func send(_ signal: Int32, to pid: Int32) { if pid > 1 { _ = Glibc.kill(pid, signal) } }

  package func send(_ signal: Int32, toGroup: Bool = false) { _ = Glibc.kill(toGroup ? -pid : pid, signal) }

  package var hasEnded: Bool { exit != nil }

  /// How it ended; nil while it runs.
  package var exit: ChildExit? {
    ended.withLock { ended in
      if let ended { return ended }
      var status: Int32 = 0
      guard unsafe waitpid(pid, &status, WNOHANG) == pid else { return nil }
      let signal = status & 0x7f
      ended = signal == 0 ? .code(status >> 8 & 0xff) : .signal(signal)
      return ended
    }
  }

  /// Waits for its end.
  @discardableResult
  package func waitForExit(within limit: Duration = .seconds(30)) async throws -> ChildExit {
    var result: ChildExit?
    try await Deadline.wait("\(name) ends", within: limit) {
      result = exit
      return result != nil
    }
    guard let result else { throw DeadlinePassed("\(name) did not end") }
    return result
  }

  /// Signals and waits.
  @discardableResult
  package func stop(
    with signal: Int32 = ChildProcess.terminate, within limit: Duration = .seconds(30)
  ) async throws -> ChildExit {
    send(signal)
    return try await waitForExit(within: limit)
  }

  /// The first complete line of its standard output that has that in it.
  package func waitForLine(containing text: String, within limit: Duration = .seconds(20)) async throws -> String {
    var found: String?
    try await waitWhileRunning("a line with \"\(text)\"", within: limit) {
      let output = output
      guard let last = output.lastIndex(of: "\n") else { return false }
      found = output[..<last].split(separator: "\n").first { $0.contains(text) }.map(String.init)
      return found != nil
    }
    return found ?? ""
  }

  /// Waits for a condition, and gives up at once with the child's standard error when it has ended.
  package func waitWhileRunning(
    _ what: String, within limit: Duration = .seconds(20), until condition: () async throws -> Bool
  ) async throws {
    do {
      try await Deadline.wait("\(name): \(what)", within: limit) {
        if try await condition() { return true }
        if let exit { throw DeadlinePassed("\(name) ended with \(exit) before: \(what)") }
        return false
      }
    } catch let error as DeadlinePassed {
      throw DeadlinePassed("\(error); it said: \(errors.suffix(2000))")
    }
  }

  /// Memory in RAM, in bytes; 0 once it has ended.
  package var residentBytes: Int {
    let status = TemporaryDirectory.read("/proc/\(pid)/status") ?? ""
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }) else { return 0 }
    return (Int(line.filter(\.isNumber)) ?? 0) * 1024
  }

  /// Open file descriptors; 0 once it has ended.
  package var openDescriptors: Int { descriptors.count }
  /// Their numbers.
  package var descriptors: [Int] { TemporaryDirectory.names(in: "/proc/\(pid)/fd").compactMap { Int($0) } }
}

/// A null-terminated array of C strings for one call.
/// Safety: `pointers` has `count` strings of its own and a null for as long as the object lives.
@safe
private final class CStrings {
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  init(_ texts: [String]) {
    count = texts.count
    unsafe pointers = .allocate(capacity: count + 1)
    for (index, text) in texts.enumerated() { unsafe (pointers + index).initialize(to: strdup(text)) }
    unsafe (pointers + count).initialize(to: nil)
  }

  deinit {
    for index in 0..<count { unsafe free(pointers[index]) }
    unsafe pointers.deallocate()
  }
}
