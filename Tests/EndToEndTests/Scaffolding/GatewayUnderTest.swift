// The gateway as a process, on a configuration in a directory of the test.
import EventLoop
import GatewayTesting
import Synchronization
import TokenKit

/// One gateway with its directory, its ports and its store; started, stopped and started again by the test. Killed when
/// it is let go.
final class GatewayUnderTest: Sendable {
  let directory: TemporaryDirectory
  let address: SocketAddress
  let admin: SocketAddress
  private let running = Mutex<ChildProcess?>(nil)
  private let starts = Atomic(0)

  /// nil is the product that was built with the tests.
  private let program: String?

  /// Nothing runs yet.
  init(directory: TemporaryDirectory? = nil, program: String? = nil) throws {
    self.program = program
    self.directory = try directory ?? TemporaryDirectory()
    address = .ipv4(0x7f00_0001, port: try FreePort.take())
    admin = .ipv4(0x7f00_0001, port: try FreePort.take())
  }

  /// Writes the configuration, starts, and waits.
  static func start(
    _ configuration: GatewayConfiguration, environment: [String: String] = [:], waitingFor path: String = "/readyz"
  ) async throws -> GatewayUnderTest {
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration)
    try await gateway.start(environment: environment, waitingFor: path)
    return gateway
  }

  var configurationPath: String { directory.path("gateway.json") }
  var storePath: String { directory.path("gateway.db") }

  /// Writes gateway.json; a running gateway does not see it before it is started again or reloads.
  func write(_ configuration: GatewayConfiguration) throws {
    try write(
      configuration.text(listenerPort: address.port, adminPort: admin.port, storePath: storePath))
  }

  /// Writes a gateway.json of any text.
  func write(_ text: String) throws { try directory.write("gateway.json", text, mode: 0o600) }

  /// Starts `gateway serve --config` and waits until the admin listener answers 200 there: `/readyz` when the first
  /// tokens can be had, `/healthz` when they cannot, nil waits for nothing.
  /// - Parameters:
  ///   - wrapper: a command that becomes the gateway, such as `prlimit` with its options.
  ///   - arguments: more of them.
  func start(
    environment: [String: String] = [:], waitingFor path: String? = "/readyz", through wrapper: [String] = [],
    arguments: [String] = []
  ) async throws {
    let number = starts.add(1, ordering: .relaxed).newValue
    let command =
      wrapper + [try program ?? Products.path("gateway"), "serve", "--config", configurationPath] + arguments
    let process = try ChildProcess(
      command[0], Array(command.dropFirst()),
      environment: ChildProcess.environment(adding: environment), directory: directory, name: "gateway-\(number)")
    running.withLock { $0 = process }
    guard let path else { return }
    try await process.waitWhileRunning("\(path) answers 200") { try await self.adminStatus(path) == 200 }
  }

  /// The process of the last start.
  var process: ChildProcess {
    get throws {
      guard let process = running.withLock({ $0 }) else { throw SpawnError("the gateway was not started") }
      return process
    }
  }

  /// A process that was this gateway's before is so again.
  func adopt(_ process: ChildProcess) { running.withLock { $0 = process } }

  /// SIGTERM, and waits for its end.
  @discardableResult
  func stop(within limit: Duration = .seconds(40)) async throws -> ChildExit { try await process.stop(within: limit) }

  /// SIGKILL, and waits for its end.
  func kill() async throws { try await process.stop(with: ChildProcess.kill) }

  /// What it wrote to both outputs since its last start.
  var log: String { get throws { try process.output + process.errors } }

  /// 0 when nobody listens.
  func adminStatus(_ path: String) async throws -> Int {
    let admin = admin
    return await (try? OwnThread.run { try RawClient.request("GET", path, to: admin).status }) ?? 0
  }

  /// An answer of the admin listener.
  func adminGet(_ path: String) async throws -> ReceivedResponse {
    let admin = admin
    return try await OwnThread.run { try RawClient.request("GET", path, to: admin) }
  }

  /// One request on a connection of its own.
  func request(
    _ method: String, _ target: String, fields: FieldList = [], body: [UInt8]? = nil,
    within limit: Duration = .seconds(30)
  ) async throws -> ReceivedResponse {
    let address = address
    return try await OwnThread.run {
      try RawClient.request(method, target, to: address, fields: fields, body: body, within: limit)
    }
  }

  /// Runs another command of the gateway to its end, such as `check`.
  func command(_ arguments: [String], environment: [String: String] = [:]) async throws -> (
    exit: ChildExit, output: String, errors: String
  ) {
    let process = try ChildProcess(
      Products.path("gateway"), arguments, environment: ChildProcess.environment(adding: environment),
      directory: directory, name: "command-\(UInt32.random(in: .min ... .max))")
    let exit = try await process.waitForExit()
    return (exit, process.output, process.errors)
  }

  /// `gateway check --config` on the configuration.
  func check() async throws -> (exit: ChildExit, output: String, errors: String) {
    try await command(["check", "--config", configurationPath])
  }
}
