// strace on the threads of a running gateway: which system calls they make, and SIGKILL at a chosen one.
import EventLoop
import GatewayTesting
import Testing

/// One system call in the life of a thread, counted from the moment at which strace was there.
struct KillPoint: Sendable, Hashable, CustomStringConvertible {
  /// The thread's name.
  var thread: String
  var call: String
  /// Which of that thread's calls of that name, from 1.
  var number: Int

  var kind: String { "\(thread) \(call)" }
  var description: String { "\(thread) \(call)#\(number)" }
}

/// A strace that is attached. Detached when it is let go.
struct Tracer {
  let process: ChildProcess
  private let log: String

  /// Whether this process may trace a gateway that it has started: containers often forbid it, and so does
  /// kernel.yama.ptrace_scope; a gateway is not dumpable, so that its own user may not.
  static func isPermitted() async throws -> Bool {
    var configuration = GatewayConfiguration.empty
    let nowhere = SocketAddress.ipv4(0x7f00_0001, port: 9)
    configuration.routes = [GatewayConfiguration.route("all", prefix: "/", to: nowhere, credential: nil)]
    let gateway = try await GatewayUnderTest.start(configuration, waitingFor: "/healthz")
    let strace = try ChildProcess(
      "strace", ["-p", "\(gateway.process.pid)"], directory: gateway.directory, name: "strace")
    try await Deadline.wait("strace attaches or gives up") { strace.hasEnded || strace.errors.contains(" attached") }
    return !strace.hasEnded
  }

  static let comment: Comment =
    "ptrace is not permitted here: see kernel.yama.ptrace_scope, or the container's seccomp profile; root may"

  /// Writes down all that the threads of a process do.
  static func record(_ pid: Int32, in directory: TemporaryDirectory) async throws -> Tracer {
    try await attach(["-f", "-p", "\(pid)"], threads: threads(of: pid).count, in: directory)
  }

  /// Kills the process when one of its threads enters that call: everything before it has happened, the call does not.
  static func kill(_ pid: Int32, at point: KillPoint, in directory: TemporaryDirectory) async throws -> Tracer {
    guard let thread = threads(of: pid).first(where: { $0.name == point.thread }) else {
      throw SpawnError("the gateway has no thread \(point.thread)")
    }
    let options = [
      "-p", "\(thread.id)", "-e", "trace=\(point.call)", "-e", "inject=\(point.call):signal=KILL:when=\(point.number)",
    ]
    return try await attach(options, threads: 1, in: directory)
  }

  private static func attach(
    _ options: [String], threads: Int, in directory: TemporaryDirectory
  ) async throws -> Tracer {
    let name = "strace-\(UInt32.random(in: .min ... .max))"
    let log = directory.path("\(name).log")
    let process = try ChildProcess("strace", ["-o", log] + options, directory: directory, name: name)
    // Said once for each thread, or once for all of them with their number.
    try await process.waitWhileRunning("strace is attached") {
      process.errors.contains("attached with") || process.errors.split(separator: "\n").count >= threads
    }
    return Tracer(process: process, log: log)
  }

  private static func threads(of pid: Int32) -> [(id: Int32, name: String)] {
    TemporaryDirectory.names(in: "/proc/\(pid)/task").compactMap { Int32($0) }.map { id in
      let name = TemporaryDirectory.read("/proc/\(pid)/task/\(id)/comm") ?? ""
      return (id, String(name.prefix { $0 != "\n" }))
    }
  }

  /// Waits until the traced process has been quiet for a while, and detaches.
  /// - Returns: the calls in the order in which they began.
  func calls(of pid: Int32) async throws -> [KillPoint] {
    var length = -1
    var since = ContinuousClock.now
    try await Deadline.wait("the gateway is quiet", within: .seconds(30)) {
      let now = TemporaryDirectory.read(log)?.utf8.count ?? 0
      if now != length { (length, since) = (now, .now) }
      return ContinuousClock.now - since > .milliseconds(300)
    }
    let names = Dictionary(Self.threads(of: pid).map { ($0.id, $0.name) }) { first, _ in first }
    try await process.stop(with: ChildProcess.interrupt)
    var counts: [String: Int] = [:]
    var points: [KillPoint] = []
    for line in (TemporaryDirectory.read(log) ?? "").split(separator: "\n") {
      // `TID call(arguments`; signals and second halves begin otherwise.
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
      guard parts.count == 2, let id = Int32(parts[0]), let thread = names[id],
        let end = parts[1].firstIndex(of: "(")
      else { continue }
      let call = parts[1][..<end].drop { $0 == " " }
      guard !call.isEmpty, call.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }) else { continue }
      counts["\(thread) \(call)", default: 0] += 1
      points.append(
        KillPoint(thread: thread, call: String(call), number: counts["\(thread) \(call)", default: 0]))
    }
    return points
  }
}
