// Collectors that are away, hang, refuse or are slow: requests never notice, and what is lost is counted.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(4))) struct CollectorFaultTests {
  private static let exported = "gateway_spans_exported_total"

  private static func dropped(_ reason: String) -> String { "gateway_spans_dropped_total{reason=\"\(reason)\"}" }

  private static func relay(_ otlp: OrderedJSON?) async throws -> Relay {
    try await Relay.start(recording: .counts, configure: { configuration, _ in configuration.more["otlp"] = otlp }) {
      _ in .answer(.text("hello"))
    }
  }

  private static func load(_ relay: Relay, _ count: Int) async throws {
    let report = try await LoadRun(
      to: relay.address, callers: 20, .requestsPerCaller(count / 20), OutgoingRequest("/x")
    ).run()
    #expect(report.isAll(200) && report.count == count, "\(report.failures)")
  }

  private static func all(_ metrics: ScrapedMetrics) -> Double {
    let lost = ["buffer_full", "queue_full", "refused", "unavailable", "shutdown"].map { metrics[dropped($0)] ?? -1e9 }
    return (metrics[exported] ?? -1e9) + lost.reduce(0, +)
  }

  @Test(arguments: ["nobody listens", "hangs", "503"]) func aCollectorThatTakesNothing(_ fault: String) async throws {
    let collector = try await CollectorUnderTest.start()
    var settings = collector.settings([("queue", .int(100)), ("batch", .int(50)), ("timeout", "2s")])
    switch fault {
    case "hangs": try await collector.behave(["hang": true])
    case "503": try await collector.behave(["status": 503])
    default: settings["url"] = .string("http://127.0.0.1:\(try FreePort.take())")
    }
    let relay = try await Self.relay(settings)
    try await Self.load(relay, 1000)
    let before = try relay.gateway.process.residentBytes
    try await Self.load(relay, 4000)
    let growth = try relay.gateway.process.residentBytes - before
    #expect(growth < 16 << 20, "\(growth >> 10) KiB for 8,000 spans that nobody took")
    try await relay.gateway.process.waitWhileRunning("drops are counted", within: .seconds(30)) {
      try await relay.gateway.metrics()[Self.dropped("queue_full")] ?? 0 > 8000
    }
    #expect(try await relay.gateway.metrics()[Self.exported] == 0)
    let warnings = AccessLines.parse(try relay.gateway.process.errors).filter {
      $0.text("message") == "the collector does not take spans"
    }
    #expect(warnings.count == 1, "one a minute at most")
    // A collector that hangs does not hold the end up for longer than a call may take.
    let begin = ContinuousClock.now
    #expect(try await relay.gateway.stop() == .code(0))
    #expect(ContinuousClock.now - begin < .seconds(20))
  }

  @Test func spansThatWereNotTakenComeAgain() async throws {
    let collector = try await CollectorUnderTest.start()
    try await collector.behave(["status": 429, "retry_after": 1, "count": 2])
    let relay = try await Self.relay(collector.settings())
    for _ in 0..<5 { #expect(try await relay.gateway.request("GET", "/x").status == 200) }
    let log = try await collector.log(until: "ten spans") { $0.spans.count == 10 }
    #expect(log.calls.count >= 3)
    let metrics = try await relay.gateway.metrics(until: Self.exported, is: 10)
    #expect(Self.all(metrics) == 10, "none was lost, none counted twice")
  }

  /// OTLP/HTTP: what is no passing state must not be sent again.
  @Test func spansThatAreRefusedDoNotComeAgain() async throws {
    let collector = try await CollectorUnderTest.start()
    try await collector.behave(["status": 400, "count": 1])
    let relay = try await Self.relay(collector.settings())
    #expect(try await relay.gateway.request("GET", "/first").status == 200)
    try await relay.gateway.metrics(until: Self.dropped("refused"), is: 2)
    try await collector.behave(["partial": 1])
    #expect(try await relay.gateway.request("GET", "/second").status == 200)
    try await relay.gateway.process.waitWhileRunning("both are counted") {
      try await Self.all(relay.gateway.metrics()) == 4
    }
    let log = try await collector.log()
    #expect(log.spans(.server).map { $0["url.path"]?.text } == ["/second"])
    let metrics = try await relay.gateway.metrics()
    #expect((metrics[Self.dropped("refused")] ?? 0) >= 3 && (metrics[Self.exported] ?? 0) <= 1)
  }

  @Test func everySpanOfALoadComesOnce() async throws {
    let collector = try await CollectorUnderTest.start()
    let relay = try await Self.relay(collector.settings([("queue", .int(100_000))]))
    try await Self.load(relay, 1000)
    try await relay.gateway.process.waitWhileRunning("all are counted", within: .seconds(60)) {
      try await Self.all(relay.gateway.metrics()) == 2000
    }
    let metrics = try await relay.gateway.metrics()
    try await Deadline.wait("all that were exported", within: .seconds(60)) {
      try await Double(collector.count()) == metrics[Self.exported]
    }
    let log = try await collector.log()
    log.expectSound()
    #expect(log.spans.count >= 1500, "\(log.spans.count)")
    #expect(Set(log.spans.map(\.id)).count == log.spans.count)
  }

  /// What was finished is sent before the process ends.
  @Test func theLastSpansAreSentAtTheEnd() async throws {
    let collector = try await CollectorUnderTest.start()
    var settings = collector.settings()
    settings["interval"] = "60s"
    let relay = try await Self.relay(settings)
    for _ in 0..<3 { #expect(try await relay.gateway.request("GET", "/x").status == 200) }
    #expect(try await collector.log().spans.isEmpty)
    #expect(try await relay.gateway.stop() == .code(0))
    let log = try await collector.log()
    log.expectSound()
    #expect(log.spans.count == 6)
  }

  @Test func fieldsOfTheConfigurationGoAlong() async throws {
    let collector = try await CollectorUnderTest.start()
    let headers: OrderedJSON = [
      "Authorization": ["value": "Bearer made-up-key"], "X-Scope": "team", "Api-Key": ["file": "api-key"],
    ]
    let gateway = try GatewayUnderTest()
    try gateway.directory.write("api-key", "made-up-key-2\n", mode: 0o600)
    let origin = try ScriptedServer { _ in .answer(.text("hello")) }
    var configuration = GatewayConfiguration.empty
    configuration.routes = [Relay.plainRoute(to: origin.address)]
    configuration.more["log"] = ["level": "trace"]
    // Without a path.
    configuration.more["otlp"] = [
      "url": .string("http://\(collector.address)"), "interval": "20ms", "headers": headers,
    ]
    try gateway.write(configuration)
    try await gateway.start()
    #expect(try await gateway.request("GET", "/x").status == 200)
    let log = try await collector.log(until: "two spans") { $0.spans.count == 2 }
    let call = try #require(log.calls.first)
    #expect(call["path"]?.text == "/v1/traces" && call["fields"]?["Content-Type"]?.text == "application/json")
    #expect(call["fields"]?["Authorization"]?.text == "Bearer made-up-key")
    #expect(call["fields"]?["X-Scope"]?.text == "team" && call["fields"]?["Api-Key"]?.text == "made-up-key-2")
    #expect(call["fields"]?["User-Agent"]?.text?.hasPrefix("gateway/") == true)
    #expect(try await gateway.stop() == .code(0))
    gateway.expectNoSecretsInOutputs()
  }

  @Test(arguments: [true, false]) func aCollectorOverTLS(isTrusted: Bool) async throws {
    let directory = try TemporaryDirectory()
    let files = try await TLSOrigin.makeCertificate(in: directory)
    let collector = try await CollectorUnderTest.start(tls: files)
    var otlp: OrderedJSON = ["url": .string("https://localhost:\(collector.address.port)"), "interval": "20ms"]
    if isTrusted { otlp["ca_file"] = .string(files.certificate) }
    let relay = try await Self.relay(otlp)
    #expect(try await relay.gateway.request("GET", "/x").status == 200)
    if isTrusted {
      let log = try await collector.log(until: "two spans") { $0.spans.count == 2 }
      #expect(log.calls.first?["path"]?.text == "/v1/traces")
    } else {
      let process = try relay.gateway.process
      try await process.waitWhileRunning("the warning") { process.errors.contains("\"reason\":\"tls_verify\"") }
      #expect(try await collector.log().calls.isEmpty)
    }
  }

  /// On, to another collector, off and on again, while requests go on.
  @Test func aReloadTurnsItOnAndOff() async throws {
    let collectors = [try await CollectorUnderTest.start(), try await CollectorUnderTest.start()]
    let relay = try await Self.relay(nil)
    var configuration = GatewayConfiguration.empty
    configuration.routes = [Relay.plainRoute(to: relay.origin.address)]
    let load = try UnderLoad(relay.gateway, callers: 4, pause: .milliseconds(5))
    for round in 0..<2 {
      for collector in collectors {
        configuration.more["otlp"] = collector.settings()
        try await relay.gateway.reload(configuration)
        let before = try await collector.count()
        try await Deadline.wait("spans of round \(round)", within: .seconds(30)) {
          try await collector.count() > before + 100
        }
      }
      configuration.more["otlp"] = nil
      try await relay.gateway.reload(configuration)
      try await load.more(50)
    }
    let report = try await load.end()
    #expect(report.connections == 4, "no connection was lost")
    // Nothing comes any more.
    try await Deadline.wait("all that was exported came", within: .seconds(30)) {
      let exported = try await relay.gateway.metrics()[Self.exported] ?? -1
      return try await Double(collectors[0].count() + collectors[1].count()) == exported
    }
    let before = try await collectors[0].count() + collectors[1].count()
    for _ in 0..<20 { #expect(try await relay.gateway.request("GET", "/after").status == 200) }
    #expect(try await relay.gateway.stop() == .code(0))
    #expect(try await collectors[0].count() + collectors[1].count() == before)
    for collector in collectors { try await collector.log().expectSound() }
  }
}
