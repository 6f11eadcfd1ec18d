// What the tests of reloads share: asking for one, and load whose every answer is checked while it goes on.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

extension GatewayUnderTest {
  /// `POST /api/reload`.
  func askReload() async throws -> ReceivedResponse {
    let admin = admin
    return try await OwnThread.run {
      try RawClient.request(
        "POST", "/api/reload", to: admin, fields: FieldList([("X-Gateway-Admin", "1")]), within: .seconds(60))
    }
  }

  /// Writes the configuration and reloads; it must be taken.
  func reload(_ configuration: GatewayConfiguration, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    try write(configuration)
    let answer = try await askReload()
    #expect(answer.status == 200, "\(answer.bodyText)", sourceLocation: sourceLocation)
    #expect(answer.json?["result"]?.text == "success", sourceLocation: sourceLocation)
  }

  /// Reloads what stands there; it must be refused.
  /// - Returns: the problems.
  func refusedReload(sourceLocation: SourceLocation = #_sourceLocation) async throws -> [JSONValue] {
    let answer = try await askReload()
    #expect(answer.status == 422, "\(answer.bodyText)", sourceLocation: sourceLocation)
    #expect(answer.json?["result"]?.text == "refused", sourceLocation: sourceLocation)
    return answer.json?["problems"]?.elements ?? []
  }

  /// Reloads that are over, by `/metrics`.
  func reloadCount(_ result: String) async throws -> Int {
    let page = try await adminGet("/metrics").bodyText
    let start = "gateway_config_reloads_total{result=\"\(result)\"} "
    let line = page.split(separator: "\n").first { $0.hasPrefix(start) }
    return line.flatMap { Int($0.dropFirst(start.count)) } ?? -1
  }
}

/// Callers that go on while things change: all of their requests must be answered with 200.
struct UnderLoad {
  let load: LoadRun.Running

  /// - Parameter target: what a caller asks for.
  init(_ gateway: GatewayUnderTest, callers: Int = 16, target: String = "/x", pause: Duration = .milliseconds(1)) throws
  {
    var run = LoadRun(to: gateway.address, callers: callers, .time(.seconds(300)), OutgoingRequest(target))
    run.pause = pause
    run.check = { $0.status == 200 ? nil : "status \($0.status): \($0.bodyText)" }
    load = try run.start()
  }

  /// Waits until some more requests were answered.
  func more(_ count: Int = 50) async throws {
    let before = load.progress.count
    try await Deadline.wait("requests are answered", within: .seconds(30)) {
      load.progress.count >= before + count || load.progress.failureCount > 0
    }
  }

  /// Ends it; nothing may have failed.
  func end(sourceLocation: SourceLocation = #_sourceLocation) async throws -> LoadReport {
    load.stop()
    let report = try await load.report()
    #expect(report.isAll(200), "\(report.failures)", sourceLocation: sourceLocation)
    return report
  }
}

/// A caller's connection that stays open over reloads.
final class KeptConnection: Sendable {
  private let client: Mutex<RawClient>

  init(to address: SocketAddress) throws { client = Mutex(try RawClient(to: address)) }

  func status(_ fields: String = "", host: String = "localhost", target: String = "/x") async throws -> Int {
    try await OwnThread.run { [self] in
      try client.withLock { client in
        try client.send("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n")
        return try client.response().status
      }
    }
  }

  func isClosedByPeer() async throws -> Bool {
    try await OwnThread.run { [self] in client.withLock { $0.isClosedByPeer() } }
  }
}
