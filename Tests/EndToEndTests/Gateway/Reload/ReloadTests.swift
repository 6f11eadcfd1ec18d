// What a reload changes, under load: every request is answered, and the next one goes by the new file.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(3))) struct ReloadTests {
  private static func origin(_ name: String) throws -> ScriptedServer {
    try ScriptedServer(recording: .requests) { _ in .after(.milliseconds(2)) { .answer(.text(name)) } }
  }

  private struct Rig {
    let origins: [ScriptedServer]
    let gateway: GatewayUnderTest
    var configuration: GatewayConfiguration

    static func start(_ count: Int = 2) async throws -> Rig {
      let origins = try (0..<count).map { try ReloadTests.origin("origin-\($0)") }
      var configuration = GatewayConfiguration.empty
      configuration.routes = [Relay.plainRoute(to: origins[0].address)]
      return Rig(origins: origins, gateway: try await .start(configuration), configuration: configuration)
    }

    func get(_ target: String, _ fields: FieldList = []) async throws -> ReceivedResponse {
      try await gateway.request("GET", target, fields: fields)
    }
  }

  @Test func routesComeMoveAndGo() async throws {
    var rig = try await Rig.start()
    let load = try UnderLoad(rig.gateway)
    try await load.more()
    #expect(try await rig.get("/new/x").bodyText == "origin-0")
    // One more.
    rig.configuration.routes.append(
      GatewayConfiguration.route("new", prefix: "/new/", to: rig.origins[1].address, credential: nil))
    try await rig.gateway.reload(rig.configuration)
    #expect(try await rig.get("/new/x").bodyText == "origin-1")
    try await load.more()
    // Another upstream for what the callers use.
    rig.configuration.routes[0] = Relay.plainRoute(to: rig.origins[1].address)
    try await rig.gateway.reload(rig.configuration)
    #expect(try await rig.get("/x").bodyText == "origin-1")
    try await load.more()
    // Two servers.
    rig.configuration.routes[0]["upstream"] = [
      "urls": .array(rig.origins.map { .string("http://\($0.address)") })
    ]
    try await rig.gateway.reload(rig.configuration)
    try await load.more()
    // The added one goes, and comes back.
    let added = rig.configuration.routes.remove(at: 1)
    try await rig.gateway.reload(rig.configuration)
    #expect(try await rig.get("/new/x").bodyText.hasPrefix("origin"))
    try await load.more()
    rig.configuration.routes.append(added)
    rig.configuration.routes[0] = Relay.plainRoute(to: rig.origins[0].address)
    try await rig.gateway.reload(rig.configuration)
    #expect(try await rig.get("/new/x").bodyText == "origin-1")
    #expect(try await rig.get("/x").bodyText == "origin-0")
    try await load.more()
    let report = try await load.end()
    #expect(report.connections == 16, "no connection of a caller was closed")
    let page = try await rig.gateway.adminGet("/metrics").bodyText
    #expect(page.contains("gateway_config_last_reload_successful 1"))
    #expect(try await rig.gateway.reloadCount("success") == 5)
    #expect(page.contains("gateway_requests_total{route=\"new\",credential=\"\",status=\"2xx\"} 2"))
  }

  /// The connections to a server that no route leads to any more are closed when they are free, not before.
  @Test func aLongAnswerOfARemovedRouteIsFinished() async throws {
    let slow = try ScriptedServer(recording: .requests) { _ in .after(.seconds(2)) { .answer(.text("late")) } }
    var rig = try await Rig.start()
    let plain = rig.configuration
    rig.configuration.routes.append(
      GatewayConfiguration.route("slow", prefix: "/slow/", to: slow.address, credential: nil))
    try await rig.gateway.reload(rig.configuration)
    let gateway = rig.gateway
    let answer = Task { try await gateway.request("GET", "/slow/x") }
    try await Deadline.wait("the origin has the request") { slow.record.completed == 1 }
    try await gateway.reload(plain)
    #expect(try await rig.get("/slow/x").bodyText == "origin-0")
    let late = try await answer.value
    #expect(late.status == 200 && late.bodyText == "late")
    try await Deadline.wait("the connection to the removed server is closed") { slow.record.openConnections == 0 }
  }

  /// Connections of callers stay; their next request is judged by the new file.
  @Test func whoMayCallChangesOnOpenConnections() async throws {
    var rig = try await Rig.start()
    let gateway = rig.gateway
    let caller = try KeptConnection(to: gateway.address)
    #expect(try await caller.status() == 200)
    rig.configuration.listener["caller_token"] = ["value": "made-up-caller-token"]
    try await gateway.reload(rig.configuration)
    #expect(try await caller.status() == 401)
    #expect(try await caller.status("X-Gateway-Token: made-up-caller-token\r\n") == 200)
    rig.configuration.listener["caller_token"] = nil
    rig.configuration.listener["allow"] = ["10.0.0.0/8"]
    try await gateway.reload(rig.configuration)
    #expect(try await caller.status() == 403)
    rig.configuration.listener["allow"] = nil
    rig.configuration.listener["hosts"] = ["other.internal"]
    try await gateway.reload(rig.configuration)
    #expect(try await caller.status() == 421)
    #expect(try await caller.status(host: "other.internal") == 200)
    rig.configuration.listener["hosts"] = nil
    rig.configuration.limits["headers"] = 3
    try await gateway.reload(rig.configuration)
    #expect(try await caller.status("A: 1\r\nB: 2\r\n") == 200)
    #expect(try await caller.status("A: 1\r\nB: 2\r\nC: 3\r\n") == 431)
  }

  @Test func limitsAndTimeoutsChange() async throws {
    var rig = try await Rig.start()
    let load = try UnderLoad(rig.gateway)
    let gateway = rig.gateway
    #expect(try await gateway.request("POST", "/x", body: [UInt8](repeating: 1, count: 2000)).status == 200)
    rig.configuration.limits = [
      "request_body": "1000B", "connections": 100, "parked": 7, "replay_memory": "1MiB", "upstream_connections": 3,
    ]
    rig.configuration.timeouts = ["idle": "2s", "response_head": "1s", "upstream_idle": "1s"]
    try await gateway.reload(rig.configuration)
    #expect(try await gateway.request("POST", "/x", body: [UInt8](repeating: 1, count: 2000)).status == 413)
    try await load.more()
    let closes = try await OwnThread.run {
      let client = try RawClient(to: gateway.address)
      return client.isClosedByPeer(within: .seconds(20))
    }
    #expect(closes, "the new idle time")
    _ = try await load.end()
  }

  /// The path of `ca_file` stays, what is in the file is another authority.
  @Test func aReplacedFileOfAuthoritiesCounts() async throws {
    let origin = try await TLSOrigin.start(script: "tls_origin.py")
    let stranger = try await TLSOrigin.start(script: "tls_origin.py")
    let gateway = try GatewayUnderTest()
    let file = gateway.directory.path("trusted.pem")
    func trust(_ other: TLSOrigin) throws {
      let text = try #require(TemporaryDirectory.read(other.upstream["ca_file"]?.stringValue ?? ""))
      try gateway.directory.write("trusted.pem", text, mode: 0o644)
    }
    var upstream = origin.upstream
    upstream["ca_file"] = .string(file)
    var configuration = GatewayConfiguration.empty
    configuration.routes = [Relay.plainRoute(to: gateway.address)]
    configuration.routes[0]["upstream"] = upstream
    try trust(stranger)
    try gateway.write(configuration)
    try await gateway.start()
    for good in [false, true, false, true] {
      try trust(good ? origin : stranger)
      let answer = try await gateway.askReload()
      #expect(answer.status == 200, "\(answer.bodyText)")
      let load = try await LoadRun(
        to: gateway.address, callers: 4, .requestsPerCaller(5), OutgoingRequest("/length")
      ).run()
      // Connections of before are not used any more.
      #expect(load.isAll(good ? 200 : 502), "\(load.failures)")
    }
    let same = try await gateway.askReload().json?["changes"]?["routes"]?["changed"]?["count"]?.int
    #expect(same == 0)
    try trust(stranger)
    let changed = try await gateway.askReload().json?["changes"]?["routes"]?["changed"]
    #expect(
      changed?["count"]?.int == 1 && changed?["names"]?.elements?.first?.text == "all", "\(String(describing: changed))"
    )
  }

  /// An address more, the same name at another address, and an address less.
  @Test func listenersComeMoveAndGo() async throws {
    var rig = try await Rig.start()
    let load = try UnderLoad(rig.gateway)
    let second = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    let third = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    let main = rig.gateway.address
    func listeners(_ list: (String, SocketAddress)...) -> OrderedJSON {
      .array(list.map { ["name": .string($0.0), "address": .string("\($0.1)")] })
    }
    func status(_ address: SocketAddress) async -> Int {
      await (try? OwnThread.run { try RawClient.request("GET", "/x", to: address).status }) ?? 0
    }
    #expect(await status(second) == 0)
    rig.configuration.more["listeners"] = listeners(("second", second), ("main", main))
    try await rig.gateway.reload(rig.configuration)
    try await load.more()
    #expect(await status(second) == 200)
    let gateway = rig.gateway
    let idle = try KeptConnection(to: second)
    #expect(try await idle.status() == 200)
    rig.configuration.more["listeners"] = listeners(("main", main), ("second", third))
    try await gateway.reload(rig.configuration)
    try await Deadline.wait("nobody listens there any more") { await status(second) == 0 }
    #expect(await status(third) == 200)
    rig.configuration.more["listeners"] = listeners(("main", main))
    try await gateway.reload(rig.configuration)
    try await Deadline.wait("nobody listens there any more") { await status(third) == 0 }
    #expect(try await idle.isClosedByPeer(), "connections of a listener that has gone end")
    try await load.more()
    _ = try await load.end()
  }

  @Test func theLogsChange() async throws {
    var rig = try await Rig.start()
    let load = try UnderLoad(rig.gateway)
    let gateway = rig.gateway
    let file = gateway.directory.path("access.log")
    rig.configuration.more["log"] = ["format": "text", "access": .string(file)]
    try await gateway.reload(rig.configuration)
    #expect(try await rig.get("/logged").status == 200)
    try await Deadline.wait("a line in the access log") {
      TemporaryDirectory.read(file)?.contains("GET /logged") == true
    }
    #expect(try gateway.log.contains(" notice configuration reloaded"))
    rig.configuration.more["log"] = ["level": "error", "access": .string(file)]
    try await gateway.reload(rig.configuration)
    #expect(try await rig.get("/as-json").status == 200)
    try await Deadline.wait("a line of the other format") {
      TemporaryDirectory.read(file)?.contains("\"path\":\"/as-json\"") == true
    }
    #expect(try gateway.log.components(of: "configuration reloaded") == 1, "the level has changed")
    try await Deadline.wait("a caller's line says where the answer came from") {
      TemporaryDirectory.read(file)?.split(separator: "\n").contains {
        $0.contains("\"path\":\"/x\"") && $0.contains("\"upstream\":\"\(rig.origins[0].address)\"")
      } == true
    }
    rig.configuration.more["log"] = nil
    try await gateway.reload(rig.configuration)
    #expect(try await rig.get("/unlogged").status == 200)
    try await load.more()
    #expect(TemporaryDirectory.read(file)?.contains("/unlogged") == false)
    _ = try await load.end()
  }
}

extension String {
  /// How often a text stands in it.
  fileprivate func components(of text: String) -> Int {
    split(separator: text, omittingEmptySubsequences: false).count - 1
  }
}
