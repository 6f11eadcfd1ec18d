// A PostgreSQL server of one test: its own cluster in a temporary directory, a free port, and a Unix socket beside it.
package import EventLoop
internal import Glibc
internal import Synchronization

/// Debian's `postgresql`, run by an unprivileged user (as root: `nobody`). Stopped when it is let go.
package final class PostgresServer: Sendable {
  /// How a server is stopped.
  package enum Stop: Sendable {
    /// Sessions are ended, then it writes everything out (SIGINT).
    case fast
    /// As after a power failure: it recovers from its log at the next start (SIGQUIT).
    case immediate

    fileprivate var signal: Int32 { self == .fast ? SIGINT : SIGQUIT }
  }

  /// What the one user needs over TCP.
  package static let password = "made-up-p@ss/word"
  package static let encodedPassword = "made-up-p%40ss%2Fword"

  private let directory: TemporaryDirectory
  /// Where it listens besides its socket.
  package let address: SocketAddress
  private let programs: String
  private let running = Mutex<ChildProcess?>(nil)
  private let starts = Atomic(0)

  private init() throws {
    directory = try TemporaryDirectory()
    address = .ipv4(0x7f00_0001, port: try FreePort.take())
    let versions = TemporaryDirectory.names(in: "/usr/lib/postgresql").compactMap { Int($0) }
    guard let version = versions.max() else { throw SpawnError("Debian's package postgresql is not installed") }
    programs = "/usr/lib/postgresql/\(version)/bin"
  }

  deinit {
    guard let process = running.withLock({ $0 }), !process.hasEnded else { return }
    process.send(SIGINT)
    // What doesn't end by itself is killed with its object.
    try? Deadline.block("PostgreSQL stops", within: .seconds(10)) { process.hasEnded }
  }

  /// Makes a cluster and starts it.
  package static func start() async throws -> PostgresServer {
    let server = try PostgresServer()
    try await server.makeCluster()
    try await server.start()
    return server
  }

  /// A URL over the Unix socket, without a password.
  /// - Parameter options: more of the query, such as `sslmode=disable`.
  package func url(database: String = "postgres", options: String = "") -> String {
    let host = directory.path.map { $0 == "/" ? "%2F" : String($0) }.joined()
    let more = options.isEmpty ? "" : "&\(options)"
    return "postgres://gateway@/\(database)?host=\(host)&port=\(address.port)\(more)"
  }

  /// A URL over TCP.
  package func tcpURL(password: String = encodedPassword, database: String = "postgres") -> String {
    "postgres://gateway:\(password)@127.0.0.1:\(address.port)/\(database)"
  }

  private func makeCluster() async throws {
    if geteuid() == 0 {
      guard let user = unsafe getpwnam("nobody") else { throw SpawnError("there is no user nobody") }
      let (uid, gid) = unsafe (user.pointee.pw_uid, user.pointee.pw_gid)
      try directory.write("password", Self.password, mode: 0o644)
      guard unsafe chown(directory.path, uid, gid) == 0 else { throw SpawnError("chown: error \(errno)") }
    } else {
      try directory.write("password", Self.password)
    }
    let process = try run(
      "initdb",
      [
        "-D", directory.path("data"), "-U", "gateway", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions",
        "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile", directory.path("password"),
      ], name: "initdb")
    guard try await process.waitForExit(within: .seconds(60)) == .code(0) else {
      throw SpawnError("initdb: \(process.errors)")
    }
  }

  private func run(_ program: String, _ arguments: [String], name: String) throws(SpawnError) -> ChildProcess {
    let program = "\(programs)/\(program)"
    // initdb and postgres refuse root.
    let command =
      geteuid() == 0
      ? ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--", program] : [program]
    return try ChildProcess(
      command[0], command.dropFirst() + arguments, environment: ChildProcess.environment(adding: ["LC_ALL": "C"]),
      directory: directory, name: name)
  }

  /// Starts it, and waits until it takes connections.
  package func start() async throws {
    let number = starts.add(1, ordering: .relaxed).newValue
    let settings = [
      "listen_addresses=127.0.0.1", "unix_socket_directories=\(directory.path)", "shared_buffers=16MB", "fsync=off",
      "max_connections=50", "logging_collector=off",
    ]
    let process = try run(
      "postgres", ["-D", directory.path("data"), "-p", "\(address.port)"] + settings.flatMap { ["-c", $0] },
      name: "postgres-\(number)")
    running.withLock { $0 = process }
    try await process.waitWhileRunning("PostgreSQL takes connections", within: .seconds(60)) {
      process.errors.contains("database system is ready to accept connections")
    }
  }

  /// Stops it and waits for its end.
  package func stop(_ how: Stop = .fast) async throws {
    guard let process = running.withLock({ $0 }) else { return }
    try await process.stop(with: how.signal)
  }

  /// Stops it and starts it again.
  package func restart(_ how: Stop = .fast) async throws {
    try await stop(how)
    try await start()
  }

  /// Runs SQL with psql; gives what it prints, unaligned and without headers.
  @discardableResult
  package func sql(_ text: String, database: String = "postgres") async throws -> String {
    let name = "psql-\(UInt32.random(in: .min ... .max))"
    let process = try ChildProcess(
      "\(programs)/psql", ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url(database: database), "-c", text],
      directory: directory, name: name)
    guard try await process.waitForExit() == .code(0) else { throw SpawnError("psql: \(process.errors)") }
    return process.output.split(separator: "\n").joined(separator: "\n")
  }

  /// Stops the server's processes where they are, as if the machine had vanished, or lets them go on.
  package func freeze(_ isFrozen: Bool) async throws {
    guard let process = running.withLock({ $0 }) else { return }
    let children = TemporaryDirectory.read("/proc/\(process.pid)/task/\(process.pid)/children") ?? ""
    for pid in children.split(separator: " ").compactMap({ Int32($0) }) + [process.pid] {
      kill(pid, isFrozen ? SIGSTOP : SIGCONT)
    }
  }
}
