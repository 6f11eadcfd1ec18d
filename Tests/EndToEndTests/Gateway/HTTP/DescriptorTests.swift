// A process that may open few descriptors, or has none left: it sheds new callers, goes on with the others, and recovers.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct DescriptorTests {
  private static let partialHead = "GET /x HTTP/1.1\r\nHost: localhost\r\n"

  /// - Parameter other: the server of `/other`.
  private static func start(through wrapper: [String] = [], other: ScriptedServer? = nil) async throws -> Relay {
    let origin = try ScriptedServer(
      recording: .requests, script: ServerScript { $0.path == "/hang" ? .hang : .answer(.text("origin")) })
    var configuration = GatewayConfiguration.empty
    configuration.more["workers"] = 1
    configuration.timeouts = ["request_head": "60s", "response_head": "60s"]
    configuration.routes = [Relay.plainRoute(to: origin.address)]
    if let other {
      configuration.routes.append(
        GatewayConfiguration.route("other", prefix: "/other", to: other.address, credential: nil))
    }
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration)
    try await gateway.start(through: wrapper)
    return Relay(origin: origin, gateway: gateway)
  }

  private static func load(_ relay: Relay) async throws -> LoadRun.Running {
    var run = LoadRun(to: relay.address, callers: 4, .time(.seconds(60)), OutgoingRequest("/x"))
    run.pause = .milliseconds(5)
    run.check = { $0.status == 200 && $0.bodyText == "origin" ? nil : "\($0.status) \($0.bodyText)" }
    let load = try run.start()
    try await Deadline.wait("the callers are under way") { load.progress.count > 100 }
    return load
  }

  /// Callers that have begun a head, so that their connections are not idle.
  private static func occupants(_ count: Int, _ address: SocketAddress) throws -> [RawClient] {
    try (0..<count).map { _ in
      let client = try RawClient(to: address)
      // It may have been turned away before.
      try? client.send(partialHead)
      return client
    }
  }

  @Test("A low limit of descriptors leaves enough for upstreams: callers over it get 503, those within are served")
  func aLowLimit() async throws {
    let relay = try await Self.start(through: ["prlimit", "--nofile=128:128"])
    let address = relay.address
    let (refused, served) = try await OwnThread.run {
      let clients = try Self.occupants(120, address)
      var served: [RawClient] = []
      var refused = 0
      for client in clients {
        do throws(ClientError) {
          let response = try client.response(within: .milliseconds(20))
          guard response.status == 503, response.problem?.reason == "limit_reached",
            response.fields.contains("Retry-After")
          else { throw .check("\(response)") }
          refused += 1
        } catch {
          switch error {
          case .timedOut: served.append(client)
          // The answer was lost behind the reset that our bytes met.
          case .system, .closed: refused += 1
          default: throw error
          }
        }
      }
      // All who got in get upstream connections of their own at the same time.
      for client in served { try client.send("\r\n") }
      for client in served {
        let response = try client.response()
        guard response.status == 200 else { throw ClientError.check("\(response)") }
      }
      return (refused, served.count)
    }
    #expect(served >= 40 && refused >= 40 && served + refused == 120, "\(served) served, \(refused) refused")
    print("128 descriptors: \(served) more callers served, \(refused) refused")
    try await Deadline.wait("there is room again") { try await relay.gateway.request("GET", "/x").status == 200 }
    #expect(try relay.gateway.log.contains("\"level\":\"warning\""), "the operator is told")
    #expect(try await relay.gateway.stop() == .code(0))
  }

  /// What happens when: No descriptor is left (EMFILE)
  @Test("Without a descriptor new callers are shed and others go on; with some again, all is well")
  func noDescriptorLeft() async throws {
    let other = try ScriptedServer(script: ServerScript { _ in .answer(.text("other")) })
    let relay = try await Self.start(other: other)
    let process = try relay.gateway.process
    let directory = relay.gateway.directory
    let address = relay.address
    let load = try await Self.load(relay)
    let (shed, p99) = try await OwnThread.run {
      try Self.limit(process, to: 60, directory)
      let clients = try Self.occupants(100, address)
      // One after the other by the spare descriptor, with a pause.
      func open() -> [RawClient] {
        clients.filter { client in
          do throws(ClientError) {
            _ = try client.bytesToEnd(within: .milliseconds(1))
            return false
          } catch {
            return error == .timedOut
          }
        }
      }
      try Deadline.block("some are shed", within: .seconds(20)) { open().count <= clients.count - 5 }
      let then = load.progress.count
      try Deadline.block("the others go on") { load.progress.count > then + 50 }
      load.stop()
      try Deadline.block("the last answers are there") { load.isDone }
      let report = load.progress
      guard report.isAll(200) else { throw ClientError.check("\(report.failures)") }

      // Not even the spare one can be used: what is there goes on, what would need another one is told so.
      try Self.limit(process, to: 3, directory)
      let left = open()
      guard let client = left.first else { throw ClientError.check("nobody got in") }
      try client.send("\r\n")
      var response = try client.response()
      guard response.status == 200 else { throw ClientError.check("\(response)") }
      try client.send("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n")
      response = try client.response()
      guard response.status == 503, response.problem?.reason == "limit_reached", response.fields.contains("Retry-After")
      else { throw ClientError.check("\(response)") }

      try Self.limit(process, to: 20_000, directory)
      try client.send("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n")
      response = try client.response()
      guard response.bodyText == "other" else { throw ClientError.check("\(response)") }
      return (clients.count - left.count, report.latency(0.99))
    }
    try await Deadline.wait("new callers are served again") {
      (try? await relay.gateway.request("GET", "/x", within: .seconds(2)).status) == 200
    }
    print("no descriptor left: \(shed) shed, p99 of the others \(p99)")
    #expect(try await relay.gateway.stop() == .code(0))
  }

  @Test("Idle callers make room for an upstream connection that has no descriptor")
  func idleCallersMakeRoom() async throws {
    let relay = try await Self.start()
    let process = try relay.gateway.process
    let address = relay.address
    let directory = relay.gateway.directory
    let origin = relay.origin
    let left = try await OwnThread.run {
      let clients = try (0..<60).map { _ in try RawClient(to: address) }
      for client in clients {
        try client.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = try client.response()
      }
      // Idle for less than a second, they could be about to ask.
      try Deadline.pass(.milliseconds(1200))
      // One that was inherited from whoever runs the tests may have a number far above.
      guard let highest = process.descriptors.filter({ $0 < 200 }).max() else {
        throw SpawnError("the gateway's descriptors can't be seen")
      }
      try Self.limit(process, to: highest + 1, directory)
      // All at once, so that none of them is idle any more when room is looked for.
      process.send(ChildProcess.halt)
      for client in clients.prefix(30) { try client.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n") }
      process.send(ChildProcess.resume)
      try Deadline.block("all have a connection of their own") { origin.record.completed == 60 + 30 }
      let left = KernelTable.connections(to: address)
      try Self.limit(process, to: 20_000, directory)
      return left
    }
    #expect(left >= 30 && left < 60, "\(left) callers are left")
    try await relay.expectWorks()
    #expect(try await relay.gateway.stop() == .code(0))
  }

  /// Sets the soft limit of a running process. Blocks.
  private static func limit(_ process: ChildProcess, to count: Int, _ directory: TemporaryDirectory) throws {
    let change = try ChildProcess(
      "prlimit", ["--pid", "\(process.pid)", "--nofile=\(count):"], directory: directory, name: "prlimit-\(count)")
    try Deadline.block("prlimit ends") { change.hasEnded }
    guard change.exit == .code(0) else { throw SpawnError("prlimit: \(change.errors)") }
  }
}
