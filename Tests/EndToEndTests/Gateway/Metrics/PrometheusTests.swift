// The same numbers through Prometheus itself, and the files that come with them: rules and dashboard.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(4)), .enabled(if: Promtool.isThere, Promtool.comment))
struct PrometheusTests {
  /// A server of its own that scrapes one gateway several times a second.
  private struct Server {
    let process: ChildProcess
    let address: SocketAddress

    static func start(scraping gateway: GatewayUnderTest, in directory: TemporaryDirectory) async throws -> Server {
      let address = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
      try directory.write(
        "prometheus.yml",
        """
        global: { scrape_interval: 500ms }
        scrape_configs:
          - job_name: gateway
            static_configs: [ { targets: ["\(gateway.admin)"] } ]

        """)
      let process = try ChildProcess(
        Promtool.server,
        [
          "--config.file=\(directory.path("prometheus.yml"))", "--storage.tsdb.path=\(directory.path("data"))",
          "--web.listen-address=\(address)",
        ], directory: directory, name: "prometheus")
      let server = Server(process: process, address: address)
      try await process.waitWhileRunning("Prometheus is ready", within: .seconds(60)) {
        await (try? server.get("/-/ready").status) == 200
      }
      return server
    }

    func get(_ target: String) async throws -> ReceivedResponse {
      let address = address
      return try await OwnThread.run { try RawClient.request("GET", target, to: address) }
    }

    /// The value of an expression with one result; nil when there is none.
    func value(_ expression: String) async throws -> Double? {
      let answer = try await get("/api/v1/query?query=\(Self.escaped(expression))")
      guard answer.status == 200 else { throw SpawnError("\(expression): \(answer.bodyText)") }
      let results = answer.json?["data"]?["result"]?.elements ?? []
      return results.count == 1 ? results[0]["value"]?.elements?.last?.text.flatMap(Double.init) : nil
    }

    static func escaped(_ text: String) -> String {
      text.utf8.map { byte in
        let isPlain = (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte & 0xdf)
        return isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }.joined()
    }
  }

  @Test func prometheusSeesEachOfAThousandRequests() async throws {
    let rig = try await TokenRig()
    let directory = try TemporaryDirectory()
    let server = try await Server.start(scraping: rig.gateway, in: directory)
    try await server.process.waitWhileRunning("the first scrape", within: .seconds(60)) {
      try await server.value("up{job=\"gateway\"}") == 1
    }
    let report = try await rig.load(callers: 8, .requestsPerCaller(125)) { _, _ in OutgoingRequest("/vinid/echo") }
      .run()
    #expect(report.count == 1000 && report.isAll(200), "\(report.failures)")
    let total = "sum(gateway_requests_total{route=\"vinid\",status=\"2xx\"})"
    try await server.process.waitWhileRunning("all requests are there", within: .seconds(60)) {
      try await server.value(total) == 1000
    }
    #expect(try await server.value("sum(gateway_requests_total)") == 1000)
    #expect(try await server.value("sum(gateway_request_duration_seconds_count)") == 1000)
    #expect(try await server.value("gateway_refreshes_total{credential=\"vinid\",result=\"success\"}") == 1)
    let quantile = "histogram_quantile(0.99, sum by (le) (gateway_request_duration_seconds_bucket))"
    let late = try await server.value(quantile) ?? .nan
    #expect(late > 0 && late <= 60, "\(late)")
    #expect((try await server.value("gateway_lease_expires_timestamp_seconds - time()") ?? 0) > 0)
    // Counted from 0: every series was there before the load.
    try await server.process.waitWhileRunning("two scrapes after the load", within: .seconds(60)) {
      let increase = try await server.value(
        "max_over_time(\(total)[5m:500ms]) - min_over_time(\(total)[5m:500ms])")
      return increase == 1000
    }
    try await expectDashboardParses(server)
    try await server.process.stop(within: .seconds(30))
    try await rig.finish()
  }

  /// Every expression of the dashboard is one, and asks for what exists.
  private func expectDashboardParses(_ server: Server) async throws {
    let text = try #require(TemporaryDirectory.read("\(Promtool.top)/scripts/monitoring/dashboard.json"))
    let dashboard = try #require(JSONValue.parse(Array(text.utf8)))
    let panels = dashboard["panels"]?.elements ?? []
    var expressions: [String] = []
    for panel in panels {
      for target in panel["targets"]?.elements ?? [] { expressions.append(target["expr"]?.text ?? "") }
    }
    #expect(expressions.count >= 15)
    for expression in expressions {
      let asked = expression.replacing("$__rate_interval", with: "1m").replacing("$instance", with: ".*")
      let answer = try await server.get("/api/v1/query?query=\(Server.escaped(asked))")
      #expect(answer.status == 200, "\(expression): \(answer.bodyText)")
    }
  }

  @Test func promtoolFindsNothingWrongWithTheMetrics() async throws {
    let rig = try await TokenRig(base: { .standard($0) }) { _ in }
    for path in ["/vinid/echo", "/cukcuk/echo", "/oauth2/echo"] { #expect(try await rig.get(path).status == 200) }
    _ = try await rig.get("/nowhere")
    let (isGood, output) = try await Promtool.run(["check", "metrics"], input: try await rig.gateway.metrics().text)
    #expect(isGood && output.isEmpty, "\(output)")
    let (_, wrong) = try await Promtool.run(["check", "metrics"], input: "# TYPE wrongName counter\nwrongName 1\n")
    #expect(!wrong.isEmpty, "it would find something")
    try await rig.finish()
  }

  /// The table in the README has every metric with its type and labels, and no other one.
  @Test func theREADMEListsThemAll() async throws {
    let rig = try await TokenRig()
    #expect(try await rig.get("/vinid/echo").status == 200)
    #expect(try await rig.get("/nowhere").status == 404)
    _ = try await rig.gateway.metrics()
    let found = try await rig.gateway.metrics()
    let readme = try #require(TemporaryDirectory.read("\(Promtool.top)/README.md"))
    let section = try #require(readme.split(separator: "\n## ").first { $0.hasPrefix("Metrics\n") })
    var rows: [String: (type: String, labels: Set<String>)] = [:]
    for line in section.split(separator: "\n") where line.hasPrefix("| `") {
      let cells = line.split(separator: "|", omittingEmptySubsequences: false).map { $0.filter { !" `".contains($0) } }
      rows[cells[1]] = (cells[2], Set(cells[3].split(separator: ",").map(String.init)))
    }
    #expect(Set(rows.keys) == Set(found.types.keys) && rows.count > 40)
    for (name, row) in rows {
      #expect(found.types[name] == row.type && found.helps[name] != nil, "\(name)")
      #expect(found.labels(of: name) == row.labels, "\(name)")
    }
    // What rules and dashboard ask for exists.
    for file in ["gateway.rules.yml", "dashboard.json"] {
      let text = try #require(TemporaryDirectory.read("\(Promtool.top)/scripts/monitoring/\(file)"))
      var asked: Set<String> = []
      for match in text.matches(of: #/\b(gateway|process)_[a-z_]+/#) {
        var name = String(match.0)
        if found.types[name] == nil {
          for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) { name.removeLast(suffix.count) }
        }
        asked.insert(name)
      }
      #expect(asked.isSubset(of: found.types.keys) && asked.count > 10, "\(asked.subtracting(found.types.keys))")
    }
    try await rig.finish()
  }

  @Test func theRulesAreRulesAndFireWhenTheyShould() async throws {
    let folder = "\(Promtool.top)/scripts/monitoring"
    let (isGood, output) = try await Promtool.run(["check", "rules", "\(folder)/gateway.rules.yml"])
    #expect(isGood && output.contains("SUCCESS"), "\(output)")
    let (passes, tests) = try await Promtool.run(["test", "rules", "\(folder)/gateway.rules.test.yml"])
    #expect(passes && tests.contains("SUCCESS"), "\(tests)")
  }
}
