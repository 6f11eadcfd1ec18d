// Gateways that share a PostgreSQL server and a rotating token server, each with callers of its own; killed, started and
// cut off from their store by tests.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

/// One gateway under load, and when it was not there for its callers.
final class ReplicaUnderTest: Sendable {
  let gateway: GatewayUnderTest
  private let environment: [String: String]
  private let load = Mutex<(run: LoadRun.Running, start: ContinuousClock.Instant)?>(nil)
  private let gaps = Mutex<[(from: ContinuousClock.Instant, to: ContinuousClock.Instant)]>([])

  init(_ configuration: GatewayConfiguration, environment: [String: String]) throws {
    gateway = try GatewayUnderTest()
    try gateway.write(configuration)
    self.environment = environment
  }

  /// Whether its log says that a grant is out.
  var isInCall: Bool {
    guard let lines = try? gateway.log.split(separator: "\n") else { return false }
    let last = lines.last { line in
      ["\"grant sent\"", "\"token refreshed\"", "\"grant failed\""].contains { line.contains($0) }
    }
    return last?.contains("\"grant sent\"") ?? false
  }

  func start() async throws { try await gateway.start(environment: environment) }

  /// Callers from now on.
  func beginLoad(callers: Int, target: String) throws {
    var run = LoadRun(to: gateway.address, callers: callers, .time(.seconds(3600)), OutgoingRequest(target))
    run.pause = .milliseconds(25)
    run.timeout = .seconds(60)
    run.keepsBodies = false
    let started = ContinuousClock.now
    let running = try run.start()
    load.withLock { $0 = (running, started) }
  }

  /// SIGKILL, and a new start after a while.
  func killAndStart(after pause: Duration) async throws {
    let killed = ContinuousClock.now
    try await gateway.kill()
    try await Task.sleep(for: pause)
    try await start()
    let back = ContinuousClock.now
    gaps.withLock { $0.append((killed, back)) }
  }

  /// Stops the callers. Gives all answers, and those that were wrong while it was there.
  func endLoad() async throws -> (count: Int, wrong: [String]) {
    guard let (run, start) = load.withLock({ $0 }) else { return (0, []) }
    run.stop()
    let report = try await run.report()
    let gaps = gaps.withLock { $0 }
    let wrong = report.entries.filter { entry in
      guard entry.status != 200 else { return false }
      let (from, to) = (start + entry.start, start + entry.start + entry.duration)
      return !gaps.contains { from <= $0.to + .milliseconds(100) && to >= $0.from - .milliseconds(100) }
    }
    return (report.count, wrong.map { "\($0.status) at \($0.start), took \($0.duration)" })
  }
}

/// Three replicas on one store.
final class ReplicaRig: Sendable {
  let database: PostgresServer
  let server: RotatingServer
  let replicas: [ReplicaUnderTest]

  /// Access tokens live `lifetime` seconds, rotated refresh tokens another `grace`.
  init(lifetime: Int, grace: Int, count: Int = 3, more: [String: OrderedJSON] = [:]) async throws {
    let database = try await PostgresServer.start()
    let server = try await RotatingServer.start(.sandboxVinID, lifetime: lifetime, grace: grace)
    self.database = database
    self.server = server
    var configuration = server.configuration()
    configuration.more["workers"] = 1
    configuration.more["store"] = .object(
      [("kind", "postgres"), ("url", ["env": "GATEWAY_STORE_URL"])] + more.sorted { $0.key < $1.key }.map { ($0, $1) })
    let environment = ["GATEWAY_STORE_URL": database.tcpURL()]
    replicas = try (0..<count).map { _ in try ReplicaUnderTest(configuration, environment: environment) }
    for replica in replicas { try await replica.start() }
  }

  func beginLoad(callers: Int = 4) throws {
    for replica in replicas { try replica.beginLoad(callers: callers, target: "/main/user-management/user-info") }
  }

  /// Ends all load; nothing may have gone wrong but what a killed replica took with it.
  func endLoad(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Int {
    var total = 0
    for (index, replica) in replicas.enumerated() {
      let (count, wrong) = try await replica.endLoad()
      total += count
      #expect(wrong.isEmpty, "replica \(index): \(wrong.prefix(5)) of \(wrong.count)", sourceLocation: sourceLocation)
      #expect(count > 50, "replica \(index) had \(count) requests", sourceLocation: sourceLocation)
    }
    return total
  }

  func stop() async throws {
    for replica in replicas {
      #expect(try await replica.gateway.stop() == .code(0))
      replica.gateway.expectNoSecretsInOutputs()
    }
  }

  /// Whether the store has a mark: a grant is in flight somewhere, or its answer never came.
  func isMarked() async throws -> Bool {
    try await database.sql("SELECT count(*) FROM gateway_credential WHERE mark_owner IS NOT NULL") != "0"
  }

  var stores: String { get async throws { try await database.sql("SELECT * FROM gateway_credential") } }
}

extension GatewayUnderTest {
  /// When, in milliseconds of the day, it made or adopted the pair of a generation, as its log says.
  var leaseEvents: (made: [Int: Int], adopted: [Int: Int]) {
    var events: (made: [Int: Int], adopted: [Int: Int]) = ([:], [:])
    for line in allLogs.split(separator: "\n") {
      guard let json = JSONValue.parse(Array(line.utf8)), let time = json["time"]?.text?.dropFirst(11).dropLast(),
        let generation = json["generation"]?.text.flatMap({ Int($0) }) ?? json["generation"]?.int
      else { continue }
      let parts = time.split { ":.".contains($0) }.compactMap { Int($0) }
      guard parts.count == 4 else { continue }
      let milliseconds = ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1000 + parts[3]
      switch json["message"]?.text {
      case "token refreshed": events.made[generation] = milliseconds
      case "newer pair adopted from the store": events.adopted[generation] = milliseconds
      default: break
      }
    }
    return events
  }
}
