// `gateway reload`: what it prints and with which code it ends, against running gateways.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(3))) struct ReloadCommandTests {
  private typealias Result = (exit: ChildExit, output: String, errors: String)

  private struct Rig {
    let sandbox: Sandbox
    let origin: ScriptedServer
    let gateway: GatewayUnderTest
    var configuration: GatewayConfiguration

    static func start(_ more: [String: OrderedJSON] = [:]) async throws -> Rig {
      let sandbox = try Sandbox()
      let origin = try ScriptedServer(recording: .counts) { _ in .answer(.text("fine")) }
      var configuration = GatewayConfiguration.only(.vinid, sandbox.addresses)
      configuration.routes.append(
        GatewayConfiguration.route("plain", prefix: "/plain/", to: origin.address, credential: nil))
      for (key, value) in more { configuration.more[key] = value }
      return Rig(
        sandbox: sandbox, origin: origin, gateway: try await .start(configuration), configuration: configuration)
    }

    func reload(_ options: String..., file: String? = nil) async throws -> Result {
      let result = try await gateway.command(["reload", "--config", file ?? gateway.configurationPath] + options)
      SecretMarks.expectNone(in: result.output + result.errors)
      return result
    }

    func expectReloads(taken: Int, refused: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
      #expect(try await gateway.reloadCount("success") == taken, sourceLocation: sourceLocation)
      #expect(try await gateway.reloadCount("refused") == refused, sourceLocation: sourceLocation)
    }
  }

  @Test func itSaysWhatHasChanged() async throws {
    var rig = try await Rig.start()
    let file = rig.gateway.configurationPath
    let same = try await rig.reload()
    #expect(same.exit == .code(0), "\(same)")
    #expect(same.output.hasPrefix("\(file) is in force after "), "\(same.output)")
    #expect(same.output.hasSuffix(" ms; nothing in it has changed\n"), "\(same.output)")

    rig.configuration.routes[1] = GatewayConfiguration.route(
      "moved", prefix: "/plain/", to: rig.origin.address, credential: nil)
    rig.configuration.routes[0]["preserve_host"] = true
    rig.configuration.credentials["vinid"]?["extra_headers"] = ["X-Shop": ["value": "made-up-shop"]]
    rig.configuration.credentials["oauth2"] = GatewayConfiguration.oauth2(rig.sandbox.addresses)
    rig.configuration.listener["half_close"] = true
    rig.configuration.timeouts["idle"] = "60s"
    rig.configuration.limits["headers"] = 90
    rig.configuration.more["log"] = ["level": "notice"]
    try rig.gateway.write(rig.configuration)
    let changed = try await rig.reload()
    #expect(changed.exit == .code(0), "\(changed)")
    #expect(
      changed.output.split(separator: "\n").dropFirst() == [
        "  listeners: changed main", "  routes: added moved; changed vinid; removed plain",
        "  credentials: added oauth2; changed vinid", "  settings: timeouts.idle, limits.headers, log.level",
      ], "\(changed.output)")
    #expect(changed.errors.contains("warning: credentials.oauth2: is used by no route"), "\(changed.errors)")
    #expect(try rig.gateway.log.contains("routes: added moved; changed vinid; removed plain"))

    // A route's own time-out, and those of all routes.
    rig.configuration.credentials["oauth2"] = nil
    rig.configuration.routes[1]["timeouts"] = ["connect": "3s"]
    rig.configuration.timeouts["response_head"] = "40s"
    try rig.gateway.write(rig.configuration)
    let third = try await rig.reload()
    #expect(
      third.output.split(separator: "\n").dropFirst() == [
        "  routes: changed moved", "  credentials: removed oauth2", "  settings: timeouts.response_head",
      ], "\(third)")
    try await rig.expectReloads(taken: 3, refused: 0)
    #expect(try await rig.gateway.request("GET", "/plain/x").bodyText == "fine")
  }

  /// As `gateway check` says it, and the gateway never hears of it.
  @Test func aWrongFileIsNotSent() async throws {
    var rig = try await Rig.start()
    rig.configuration.timeouts["idle"] = "long"
    rig.configuration.more["wrokers"] = 2
    try rig.gateway.write(rig.configuration)
    let result = try await rig.reload()
    let check = try await rig.gateway.check()
    #expect(result.exit == .code(1) && result.output.isEmpty, "\(result)")
    #expect(result.errors == check.errors && result.errors.contains("2 errors"), "\(result.errors)")
    for text in ["{", "", "[]"] {
      try rig.gateway.write(text)
      #expect(try await rig.reload().exit == .code(1), "\(text)")
    }
    #expect(try await rig.reload(file: "/no/such/gateway.json").exit == .code(1))
    try await rig.expectReloads(taken: 0, refused: 0)
  }

  /// What is right in itself, and not for the gateway that runs.
  @Test func whatTheGatewayRefusesIsAnError() async throws {
    var rig = try await Rig.start()
    rig.configuration.more["workers"] = 3
    rig.configuration.routes.removeLast()
    try rig.gateway.write(rig.configuration)
    let result = try await rig.reload()
    #expect(result.exit == .code(1) && result.output.isEmpty, "\(result)")
    #expect(result.errors.contains("\(rig.gateway.configurationPath):1:"), "\(result.errors)")
    #expect(result.errors.contains("workers: can't change while the gateway runs"), "\(result.errors)")
    #expect(result.errors.contains("^"), "the place is not shown: \(result.errors)")
    #expect(
      result.errors.hasSuffix(
        "gateway: the running gateway refused \(rig.gateway.configurationPath), and goes on as before\n"))
    #expect(try await rig.gateway.request("GET", "/plain/x").bodyText == "fine")
    try await rig.expectReloads(taken: 0, refused: 1)
  }

  @Test func withoutAGatewayThereIsNothingToReload() async throws {
    let gateway = try GatewayUnderTest()
    var configuration = GatewayConfiguration.empty
    configuration.routes = [Relay.plainRoute(to: gateway.address)]
    try gateway.write(configuration)
    let result = try await gateway.command(["reload", "--config", gateway.configurationPath])
    #expect(result.exit == .code(2) && result.output.isEmpty, "\(result)")
    #expect(result.errors == "gateway: none runs at \(gateway.admin): there is nothing to reload\n")
    for wrong in ["1", "-1", "0", "all", "99999999999"] {
      let result = try await gateway.command(["reload", "--config", gateway.configurationPath, "--pid=\(wrong)"])
      #expect(result.exit == .code(64), "\(wrong): \(result)")
    }
  }

  /// The file that was checked must be the one that the gateway reads.
  @Test func anotherFileIsNotSent() async throws {
    let rig = try await Rig.start()
    let text = try #require(TemporaryDirectory.read(rig.gateway.configurationPath))
    try rig.gateway.directory.write("other.json", text)
    let other = try await rig.reload(file: rig.gateway.directory.path("other.json"))
    #expect(other.exit == .code(2), "\(other)")
    #expect(other.errors.contains("started with \(rig.gateway.configurationPath), which is another file"))
    // Another way to the same one.
    let detour = rig.gateway.directory.path + "/../" + (rig.gateway.directory.path.split(separator: "/").last ?? "")
    #expect(try await rig.reload(file: detour + "/gateway.json").exit == .code(0))
    try await rig.expectReloads(taken: 1, refused: 0)
  }

  /// What only the service has in its environment.
  @Test func secretsThatTheCommandCannotReadAreTheGatewaysBusiness() async throws {
    let sandbox = try Sandbox()
    let gateway = try GatewayUnderTest()
    var configuration = GatewayConfiguration.only(.vinid, sandbox.addresses)
    configuration.credentials["vinid"]?["refresh_token"] = ["env": "SEED"]
    configuration.more["store"] = [
      "kind": "sqlite", "path": .string(gateway.storePath), "encryption_key": ["env": "KEY"],
    ]
    try gateway.write(configuration)
    let key = String(repeating: "5a", count: 32)
    try await gateway.start(environment: ["SEED": "sandbox-vinid-refresh-token", "KEY": key])
    func reload(_ options: String...) async throws -> Result {
      try await gateway.command(["reload", "--config", gateway.configurationPath] + options)
    }
    configuration.timeouts["idle"] = "60s"
    try gateway.write(configuration)
    let taken = try await reload()
    #expect(taken.exit == .code(0) && taken.output.hasSuffix("  settings: timeouts.idle\n"), "\(taken)")
    // One that the gateway has not either.
    configuration.credentials["vinid"]?["client_secret"] = ["credential": "no-such"]
    try gateway.write(configuration)
    let refused = try await reload()
    #expect(refused.exit == .code(1) && refused.errors.contains("credential no-such was not passed"), "\(refused)")
    // The token of the admin listener itself.
    configuration.credentials["vinid"]?["client_secret"] = nil
    configuration.more["admin"] = ["address": .string("\(gateway.admin)"), "token": ["env": "KEY"]]
    try gateway.write(configuration)
    let lost = try await reload()
    #expect(lost.exit == .code(2) && lost.errors.contains("admin.token can't be read here"), "\(lost)")
    let pid = "\(try gateway.process.pid)"
    let signalled = try await reload("--pid", pid)
    #expect(signalled.exit == .code(0) && signalled.output.contains("is in force"), "\(signalled)")
    configuration.more["workers"] = 5
    try gateway.write(configuration)
    let again = try await reload("--pid", pid)
    #expect(again.exit == .code(1) && again.errors.contains("refused") && again.output.isEmpty, "\(again)")
    #expect(try await gateway.request("GET", "/vinid/x").status == 200)
    gateway.expectNoSecretsInOutputs()
  }

  /// The command reads the new token where the gateway still has the old one.
  @Test func anAdminTokenChangesByASignal() async throws {
    let address = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    func admin(_ token: String) -> OrderedJSON {
      ["address": .string("\(address)"), "token": ["value": .string(token)]]
    }
    var configuration = GatewayConfiguration.empty
    configuration.more["admin"] = admin("made-up-first-token")
    let gateway = try GatewayUnderTest()
    let origin = try ScriptedServer(recording: .counts) { _ in .answer(.text("fine")) }
    configuration.routes = [Relay.plainRoute(to: origin.address)]
    try gateway.write(configuration)
    try await gateway.start(waitingFor: nil)
    let process = try gateway.process
    try await process.waitWhileRunning("it listens") { process.errors.contains("\"listening\"") }
    func reload(_ options: String...) async throws -> Result {
      let result = try await gateway.command(["reload", "--config", gateway.configurationPath] + options)
      SecretMarks.expectNone(in: result.output + result.errors)
      return result
    }
    #expect(try await reload().exit == .code(0))
    #expect(try await reload("--pid", "\(process.pid)").exit == .code(0))

    configuration.more["admin"] = admin("made-up-second-token")
    try gateway.write(configuration)
    let refused = try await reload()
    #expect(refused.exit == .code(2) && refused.errors.contains("does not take admin.token"), "\(refused)")
    let taken = try await reload("--pid", "\(process.pid)")
    #expect(taken.exit == .code(0) && taken.output.hasSuffix("  settings: admin.token\n"), "\(taken)")
    #expect(try await reload().exit == .code(0))
    #expect(try await gateway.request("GET", "/x").bodyText == "fine")
    gateway.expectNoSecretsInOutputs()
  }
}
