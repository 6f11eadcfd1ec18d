// What docs/threat-model.md says and no other test shows.
import EventLoop
import GatewayTesting
import Glibc
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(2))) struct ThreatModelTests {
  /// Root may read everything: it gives its rights up, for the processes that are looked at as well as for the one that
  /// looks.
  private static let wrapper = geteuid() == 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : []

  /// What a process of the same user sees of another one's environment.
  private static func environment(of pid: Int32, _ directory: TemporaryDirectory) async throws -> (
    exit: ChildExit, text: String
  ) {
    let command = wrapper + ["cat", "/proc/\(pid)/environ"]
    let process = try ChildProcess(
      command[0], Array(command.dropFirst()), directory: directory, name: "cat-\(UInt32.random(in: .min ... .max))")
    return (try await process.waitForExit(), process.output + process.errors)
  }

  @Test func theProcessCannotBeReadOrDumped() async throws {
    let sandbox = try Sandbox()
    let gateway = try GatewayUnderTest()
    var configuration = GatewayConfiguration.only(.vinid, sandbox.addresses)
    configuration.credentials["vinid"]?["refresh_token"] = ["env": "SEED"]
    try gateway.write(configuration)
    try await gateway.start(environment: ["SEED": "sandbox-vinid-refresh-token"], through: Self.wrapper)
    let pid = try gateway.process.pid
    let seen = try await Self.environment(of: pid, gateway.directory)
    #expect(seen.exit != .code(0) && !seen.text.contains("SEED"), "\(seen)")
    #expect(seen.text.contains("Permission denied"), "\(seen)")
    // The same of a process that does not mind.
    let command = Self.wrapper + ["sleep", "60"]
    let other = try ChildProcess(
      command[0], Array(command.dropFirst()), environment: ChildProcess.environment(adding: ["SEED": "shown"]),
      directory: gateway.directory, name: "sleep")
    try await other.waitWhileRunning("its environment is there") {
      try await Self.environment(of: other.pid, gateway.directory).text.contains("SEED=shown")
    }
  }

  /// A token must not follow a redirect.
  @Test(arguments: [301, 302, 303, 307, 308])
  func aRedirectOfAnUpstreamIsPassedOnNotFollowed(_ status: Int) async throws {
    let other = try ScriptedServer(recording: .counts) { _ in .answer(.text("followed")) }
    let relay = try await Relay.start { _ in
      var answer = Answer.text("elsewhere", status: status)
      answer.fields.add("Location", "http://\(other.address)/there")
      return .answer(answer)
    }
    let response = try await relay.gateway.request("GET", "/x")
    #expect(response.status == status && response.fields["Location"] == "http://\(other.address)/there")
    #expect(response.bodyText == "elsewhere" && other.record.connections == 0)
  }

  /// Callers with different rights have listeners of their own.
  @Test func aRouteOfAnotherListenerIsNotThere() async throws {
    let origin = try ScriptedServer(recording: .counts) { _ in .answer(.text("fine")) }
    let gateway = try GatewayUnderTest()
    let second = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    var configuration = GatewayConfiguration.empty
    configuration.more["listeners"] = [
      ["name": "main", "address": .string("\(gateway.address)")],
      [
        "name": "second", "address": .string("\(second)"), "caller_token": ["value": "made-up-caller-token"],
      ],
    ]
    configuration.routes = ["main", "second"].map { name in
      var route = GatewayConfiguration.route(name, prefix: "/\(name)/", to: origin.address, credential: nil)
      route["match"] = ["listener": .string(name), "path_prefix": .string("/\(name)/")]
      return route
    }
    try gateway.write(configuration)
    try await gateway.start()
    func status(_ address: SocketAddress, _ path: String, _ token: String? = nil) async throws -> Int {
      let fields = FieldList(token.map { [("X-Gateway-Token", $0)] } ?? [])
      return try await OwnThread.run { try RawClient.request("GET", path, to: address, fields: fields).status }
    }
    #expect(try await status(gateway.address, "/main/x") == 200)
    #expect(try await status(gateway.address, "/second/x") == 404)
    #expect(try await status(gateway.address, "/second/x", "made-up-caller-token") == 404)
    #expect(try await status(second, "/second/x") == 401)
    #expect(try await status(second, "/second/x", "made-up-caller-token") == 200)
    #expect(try await status(second, "/main/x", "made-up-caller-token") == 404)
  }
}
