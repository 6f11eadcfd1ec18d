// Scrapes of a gateway with very many credentials and routes: long answers, which others must not wait for.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(4))) struct LargeScrapeTests {
  private static let count = 1500

  /// So many routes with a credential each. Their token endpoint refuses connections.
  private static func start(_ count: Int) async throws -> GatewayUnderTest {
    let nobody = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    var configuration = GatewayConfiguration.empty
    configuration.more["log"] = ["level": "critical"]
    for index in 0..<count {
      let name = "tenant-with-a-rather-long-name-\(index)"
      configuration.credentials[name] = [
        "provider": "oauth2", "token_url": .string("http://\(nobody)/token"), "grant": "refresh_token",
        "client_id": "c", "client_auth": "none", "refresh_token": ["value": .string("made-up-\(index)")],
      ]
      configuration.routes.append(
        GatewayConfiguration.route(name, prefix: "/\(name)/", to: nobody, credential: name))
    }
    let gateway = try GatewayUnderTest()
    let text = configuration.text(
      listenerPort: gateway.address.port, adminPort: gateway.admin.port, storePath: gateway.storePath)
    try gateway.write(text.replacing(",", with: ",\n"))
    try await gateway.start(waitingFor: "/healthz")
    return gateway
  }

  @Test func manyCredentialsAreToldInParts() async throws {
    let gateway = try await Self.start(Self.count)
    #expect(try await gateway.request("GET", "/tenant-with-a-rather-long-name-7/x").status == 502)
    let found = try await gateway.metrics()
    // All are without a token, and say so; of the routes only the one that was used is there.
    #expect(
      found.values.filter { $0.key.hasPrefix("gateway_credential_serving{") && $0.value == 0 }.count == Self.count)
    #expect(found.text.utf8.count > 100_000)
    let routes = found.values.keys.filter { $0.hasPrefix("gateway_requests_total{") && !$0.contains("route=\"\"") }
    #expect(routes.count == 5, "\(routes)")
    let all = "route=\"\",credential=\"\""
    #expect(found["gateway_request_duration_seconds_count{\(all)}"] == 1)
    #expect(found["gateway_errors_total{\(all),reason=\"token_unavailable\",source=\"token_endpoint\"}"] == 1)
    #expect(found.values.keys.filter { $0.hasPrefix("gateway_token_call_duration_seconds_count") }.count == 1)
  }

  /// A reader that stops, one that goes away, one that sends the next request at once: nobody else notices.
  @Test func aSlowReaderHoldsUpNobody() async throws {
    let gateway = try await Self.start(Self.count)
    let admin = gateway.admin
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try await OwnThread.run {
      let stopped = try RawClient(to: admin)
      try stopped.send(String(repeating: request, count: 40))
      for _ in 0..<20 {
        let gone = try RawClient(to: admin)
        try gone.send(request)
        _ = try gone.head()
        gone.close(resetting: true)
      }
      for _ in 0..<20 {
        let began = ContinuousClock.now
        #expect(try RawClient.request("GET", "/healthz", to: admin).status == 200)
        #expect(ContinuousClock.now - began < .seconds(5) * Pace.slowness)
      }
      let first = try stopped.response(within: .seconds(30))
      let second = try stopped.response(within: .seconds(30))
      #expect(first.status == 200 && second.status == 200 && first.body.count > 100_000)
      let old = try RawClient(to: admin)
      try old.send("GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
      let bytes = try old.bytesToEnd(within: .seconds(30))
      let text = String(decoding: bytes, as: UTF8.self)
      #expect(
        !text.contains("Transfer-Encoding") && text.hasSuffix("\n") && text.contains("\nprocess_start_time_seconds "))
      let head = try RawClient(to: admin)
      try head.send("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" + request)
      #expect(try head.response(toHead: true).body.isEmpty)
      #expect(try head.response(within: .seconds(30)).body.count > 100_000)
    }
  }
}
