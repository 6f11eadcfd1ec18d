// Upstreams that misbehave, as scripts for Debian's `varnishtest`: it plays the upstream and the callers, the gateway
// stands between them.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct VarnishtestTests {
  /// Beside the tests' sources: SwiftPM copies nothing of it.
  private static let folder =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    + "/Varnishtest"

  private static let scripts = TemporaryDirectory.names(in: folder).filter { $0.hasSuffix(".vtc") }.sorted()

  @Test func thereAreScripts() { #expect(Self.scripts.count >= 12, "\(Self.scripts)") }

  /// A script gets `upstream` and `gateway` (address and port, as `-listen` and `-connect` want them) and the gateway's
  /// `pid`. It waits 3 s at most for an answer's head or for the next byte.
  @Test(arguments: scripts) func anUpstreamThatMisbehaves(_ script: String) async throws {
    let upstream = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    var configuration = GatewayConfiguration.empty
    // One loop: the order in which it learns of events is the scripts' own.
    configuration.more["workers"] = 1
    configuration.routes = [Relay.plainRoute(to: upstream)]
    configuration.timeouts = ["response_head": "3s", "stream_idle": "3s"]
    configuration.limits = ["upstream_connections": 1]
    let gateway = try await GatewayUnderTest.start(configuration)
    let process = try gateway.process
    let tester = try ChildProcess(
      "varnishtest",
      [
        "-v", "-t", "90", "-D", "upstream=127.0.0.1 \(upstream.port)", "-D",
        "gateway=127.0.0.1 \(gateway.address.port)",
        "-D", "pid=\(process.pid)", "\(Self.folder)/\(script)",
      ],
      environment: ChildProcess.environment(adding: ["TMPDIR": gateway.directory.path]), directory: gateway.directory,
      name: "varnishtest")
    let exit = try await tester.waitForExit(within: .seconds(100))
    #expect(exit == .code(0), "\(exit)\n\(tester.output.suffix(8000))\n\(tester.errors.suffix(2000))")
    #expect(!process.hasEnded)
    process.send(ChildProcess.resume)
    #expect(try await gateway.stop() == .code(0))
  }
}
