// Bad files: nothing changes, and the log, the answer, /api/reload and /metrics say why.
import EventLoop
import GatewayTesting
import Glibc
import Synchronization
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(3))) struct ReloadRefusedTests {
  private static func start() async throws -> (ScriptedServer, GatewayUnderTest, GatewayConfiguration) {
    let origin = try ScriptedServer(recording: .counts) { _ in .answer(.text("fine")) }
    var configuration = GatewayConfiguration.empty
    configuration.routes = [Relay.plainRoute(to: origin.address)]
    return (origin, try await .start(configuration), configuration)
  }

  private struct BadFile: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// A part of the JSON path, and of the message.
    var path: String
    var message: String
    var change: @Sendable (inout GatewayConfiguration, GatewayUnderTest) throws -> Void
  }

  private static let badFiles: [BadFile] = [
    BadFile(testDescription: "unknown key", path: "wrokers", message: "workers") { c, _ in c.more["wrokers"] = 2 },
    BadFile(testDescription: "bad value", path: "timeouts.idle", message: "duration") { c, _ in
      c.timeouts["idle"] = "long"
    },
    BadFile(testDescription: "missing secret file", path: "listeners[0].caller_token", message: "cannot be read") {
      $0.listener["caller_token"] = ["file": .string($1.directory.path("no-such-file"))]
    },
    BadFile(testDescription: "secret file for everybody", path: "listeners[0].caller_token", message: "chmod 6") {
      try $1.directory.write("open-secret", "made-up-secret", mode: 0o644)
      $0.listener["caller_token"] = ["file": .string($1.directory.path("open-secret"))]
    },
    BadFile(testDescription: "missing environment", path: "listeners[0].caller_token", message: "is not set") { c, _ in
      c.listener["caller_token"] = ["env": "NO_SUCH_VARIABLE"]
    },
    BadFile(testDescription: "no CA file", path: "routes[0].upstream.ca_file", message: "cannot be read") { c, _ in
      c.routes[0]["upstream"] = ["url": "https://localhost:1", "ca_file": "/no/such/ca.pem"]
    },
    BadFile(testDescription: "broken CA file", path: "routes[0].upstream.ca_file", message: "can't be used") {
      try $1.directory.write(
        "broken.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", mode: 0o644)
      $0.routes[0]["upstream"] = ["url": "https://localhost:1", "ca_file": .string($1.directory.path("broken.pem"))]
    },
    BadFile(testDescription: "address in use", path: "listeners[1].address", message: "can't listen") { c, gateway in
      let taken = try ScriptedServer(recording: .counts) { _ in .close }
      c.more["listeners"] = [
        ["name": "main", "address": .string("\(gateway.address)")],
        ["name": "taken", "address": .string("\(taken.address)")],
      ]
      Self.keep(taken)
    },
    BadFile(testDescription: "workers", path: "workers", message: "restart") { c, _ in c.more["workers"] = 3 },
    BadFile(testDescription: "admin", path: "admin.address", message: "restart") { c, _ in
      c.more["admin"] = ["address": .string("127.0.0.1:\(try FreePort.take())")]
    },
    BadFile(testDescription: "store", path: "store.path", message: "restart") { c, gateway in
      c.more["store"] = ["kind": "sqlite", "path": .string(gateway.directory.path("other.db"))]
    },
    BadFile(testDescription: "encryption key", path: "store", message: "restart") { c, gateway in
      c.more["store"] = [
        "kind": "sqlite", "path": .string(gateway.storePath),
        "encryption_key": ["value": .string(String(repeating: "0f", count: 32))],
      ]
    },
    BadFile(testDescription: "two routes for the same", path: "routes[1]", message: "same requests") { c, _ in
      var second = c.routes[0]
      second["name"] = "second"
      c.routes.append(second)
    },
    BadFile(testDescription: "access log", path: "log.access", message: "directory") { c, _ in
      c.more["log"] = ["access": "/no/such/directory/access.log"]
    },
  ]

  /// Servers that hold a port until the tests are over.
  private static let kept = Shared(Mutex<[ScriptedServer]>([]))
  private static func keep(_ server: ScriptedServer) { kept.value.withLock { $0.append(server) } }

  @Test func aBadFileLeavesTheOldOneInForce() async throws {
    let (origin, gateway, good) = try await Self.start()
    defer { withExtendedLifetime(origin) {} }
    let load = try UnderLoad(gateway, callers: 8)
    try await load.more()
    for (number, bad) in Self.badFiles.enumerated() {
      var configuration = good
      // What must not take effect.
      configuration.limits["headers"] = 2
      try bad.change(&configuration, gateway)
      try gateway.write(configuration)
      let problems = try await gateway.refusedReload()
      let found = problems.first {
        $0["path"]?.text?.contains(bad.path) == true && $0["message"]?.text?.contains(bad.message) == true
      }
      #expect(found != nil, "\(bad.testDescription): \(problems)")
      #expect(found?["line"]?.int == 1 && (found?["column"]?.int ?? 0) > 1, "\(bad.testDescription)")
      let log = try gateway.log.split(separator: "\n").filter { $0.contains("configuration not reloaded") }
      #expect(log.count == number + 1)
      #expect(log.last?.contains(bad.path) == true && log.last?.contains(bad.message) == true, "\(log.last ?? "")")
      #expect(
        try await gateway.request("GET", "/x", fields: FieldList([("A", "1"), ("B", "2"), ("C", "3")])).status == 200)
      let last = try await gateway.adminGet("/api/reload").json?["last"]
      #expect(last?["result"]?.text == "refused" && last?["problems"]?.elements?.count == problems.count)
      try await load.more(10)
    }
    let page = try await gateway.adminGet("/metrics").bodyText
    #expect(page.contains("gateway_config_last_reload_successful 0"))
    #expect(try await gateway.reloadCount("refused") == Self.badFiles.count)
    #expect(try await gateway.reloadCount("success") == 0)
    try await gateway.reload(good)
    #expect(try await gateway.adminGet("/metrics").bodyText.contains("gateway_config_last_reload_successful 1"))
    _ = try await load.end()
    gateway.expectNoSecretsInOutputs()
  }

  @Test func whatIsNoConfigurationAtAll() async throws {
    let (origin, gateway, good) = try await Self.start()
    defer { withExtendedLifetime(origin) {} }
    for text in ["{", "", "[]", "{\"routes\": [}\n", "\u{1}"] {
      try gateway.write(text)
      #expect(try await gateway.refusedReload().isEmpty == false, "\(text)")
    }
    try gateway.write("{\n  \"listeners\": [,]\n}")
    let problem = try await gateway.refusedReload().first
    #expect(problem?["line"]?.int == 2 && problem?["column"]?.int == 17, "\(String(describing: problem))")
    #expect(unsafe unlink(gateway.configurationPath) == 0)
    #expect(try await gateway.refusedReload().first?["message"]?.text?.contains("cannot be read") == true)
    #expect(try await gateway.request("GET", "/x").status == 200)
    try await gateway.reload(good)
  }

  @Test func whoMayAskForAReload() async throws {
    let (origin, gateway, _) = try await Self.start()
    defer { withExtendedLifetime(origin) {} }
    let admin = gateway.admin
    func status(_ method: String, _ fields: FieldList) async throws -> Int {
      try await OwnThread.run { try RawClient.request(method, "/api/reload", to: admin, fields: fields).status }
    }
    #expect(try await status("POST", []) == 403)
    #expect(try await status("POST", FieldList([("X-Gateway-Admin", "1"), ("Origin", "http://evil.example")])) == 403)
    #expect(try await status("DELETE", FieldList([("X-Gateway-Admin", "1")])) == 405)
    let asked = try await gateway.adminGet("/api/reload").json
    #expect(asked?["last"] == .null && asked?["file"]?.text == gateway.configurationPath)
    #expect(try await status("POST", FieldList([("X-Gateway-Admin", "1")])) == 200)
  }

  /// SIGHUPs that come while a reload goes on are one more reload.
  @Test func aStormOfSignals() async throws {
    let (origin, gateway, _) = try await Self.start()
    defer { withExtendedLifetime(origin) {} }
    let load = try UnderLoad(gateway, callers: 8)
    let process = try gateway.process
    for _ in 0..<2000 { process.send(ChildProcess.hangup) }
    try await load.more()
    try await Deadline.wait("a reload") { try await gateway.reloadCount("success") > 0 }
    #expect(!process.hasEnded)
    async let first = gateway.askReload()
    async let second = gateway.askReload()
    async let third = gateway.askReload()
    let statuses = try await [first.status, second.status, third.status]
    #expect(statuses == [200, 200, 200])
    _ = try await load.end()
    for _ in 0..<50 { process.send(ChildProcess.hangup) }
    process.send(ChildProcess.terminate)
    for _ in 0..<50 { process.send(ChildProcess.hangup) }
    #expect(try await process.waitForExit() == .code(0))
  }

  /// It is done once the start is over.
  @Test func aSignalDuringTheStart() async throws {
    let (origin, gateway, _) = try await Self.start()
    defer { withExtendedLifetime(origin) {} }
    try await gateway.stop()
    for _ in 0..<5 {
      try await gateway.start(waitingFor: nil)
      let process = try gateway.process
      try await process.waitWhileRunning("it has said something") { !process.errors.isEmpty }
      process.send(ChildProcess.hangup)
      try await process.waitWhileRunning("the reload is done") { try await gateway.reloadCount("success") == 1 }
      #expect(try await gateway.request("GET", "/x").status == 200)
      try await gateway.stop()
    }
  }
}
