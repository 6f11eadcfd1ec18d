// Snapshots as JSON, and the document that shows them.
import EventLoop
import FoundationEssentials
import GatewayTesting
import Testing
import TokenKit
import TokenService

@testable import Gateway

@Suite struct StatusSnapshotTests {
  private static func report(
    _ now: CounterSnapshot, window: StatusWindow = StatusWindow(), names: MetricNames,
    phase: StatusReport.Phase = .serving, lastReload: LastReload? = nil
  ) throws -> StatusReport {
    let metrics = MetricsReport(
      names: names, counters: now, manager: nil, credentialCounters: CredentialCounters(credentials: 0),
      leases: SharedLeaseState(credentials: 0, routed: [], parked: 1), process: ProcessStatistics.read(),
      controlTiming: try EventLoop().timing, storeOperations: 0,
      reloads: ReloadCounts(last: SystemClock().now.wall), now: SystemClock().now)
    return StatusReport(
      metrics: metrics, counters: StatusCounters(window, now: now), phase: phase, refreshes: RefreshHistory(),
      lastReload: lastReload)
  }

  private static func json(_ report: StatusReport) throws -> JSONValue {
    let bytes = StatusRendering(report).all()
    #expect(!bytes.contains(0x0a) && !bytes.contains(0x0d), "an event's data is one line")
    #expect(!bytes.contains(UInt8(ascii: "<")), "nothing ends a script's element")
    return try #require(JSONValue.parse(bytes), "\(String(decoding: bytes, as: UTF8.self))")
  }

  @Test func namesAreEscaped() throws {
    let names = MetricNames(
      routes: [("</script><script>alert(1)</script>", ""), ("back\\slash&'\u{e9}", "")], listeners: ["main"],
      upstreams: ["http://[::1]:80"])
    let json = try Self.json(try Self.report(StatusFigures().at(1), names: names))
    let routes = json["routes"]?.elements ?? []
    #expect(routes.map { $0["name"]?.text } == names.routes.map { $0.name })
    #expect(json["upstreams"]?.elements?.first?["name"]?.text == "http://[::1]:80")
    #expect(json["headline"]?["level"]?.text == "ok" && json["problem_count"]?.int == 0)
  }

  @Test(arguments: ["\u{0}", "\u{1f}\u{7f}", "a\"b\\c", "\n\r\t", "\u{2028}", "🙂"])
  func anyTextIsReadBack(text: String) {
    var writer = SnapshotWriter()
    writer.object { $0.member("t", text) }
    #expect(JSONValue.parse(writer.bytes)?["t"]?.text == text)
  }

  @Test func numbers() {
    var writer = SnapshotWriter()
    writer.object {
      $0.member("a", rounded: 0.12345)
      $0.member("none", rounded: nil)
      $0.member("infinite", rounded: .infinity)
      $0.member("b", rounded: -1.5)
      $0.open("[", "list")
      $0.close("]")
      $0.member("c", UInt64.max)
    }
    #expect(
      String(decoding: writer.bytes, as: UTF8.self)
        == "{\"a\":0.123,\"b\":-1.5,\"list\":[],\"c\":18446744073709551615}")
  }

  @Test func whatIsWrongStandsInTheHeadline() throws {
    var figures = StatusFigures()
    var window = StatusWindow()
    window.add(figures.at(1))
    figures.answer(9, .serverError, route: 1, reason: .connectionRefused)
    figures.set(.shed, to: 4)
    figures.set(.ejected, to: 1)
    let now = figures.at(2)
    window.add(now)
    let names = MetricNames(routes: [("a", ""), ("b", "c")], listeners: ["main"], upstreams: ["http://u:1"])
    let problem = LastReload(time: WallTime(milliseconds: 7), isTaken: false, problem: "line 3: no")
    let json = try Self.json(try Self.report(now, window: window, names: names, lastReload: problem))
    #expect(json["headline"]?["level"]?.text == "critical" && json["problem_count"]?.int == 4)
    let texts = (json["problems"]?.elements ?? []).compactMap { $0["text"]?.text }
    #expect(texts.count == 4 && texts.first == json["headline"]?["text"]?.text)
    for part in ["Route b: 9 of 9", "main has turned 4", "http://u:1", "line 3: no"] {
      #expect(texts.contains { $0.contains(part) }, "\(part)")
    }
    #expect(json["routes"]?.elements?.map { $0["level"]?.text } == [nil, "critical"])
    #expect(json["reload"]?["taken"] == .bool(false) && json["totals"]?["failures"]?.int == 9)
    #expect(json["totals"]?["rate"]?.int == 9)
  }

  @Test(arguments: [StatusReport.Phase.starting, .draining])
  func startingAndStoppingAreSaid(phase: StatusReport.Phase) throws {
    let json = try Self.json(
      try Self.report(StatusFigures().at(1), names: MetricNames(listeners: ["m"], upstreams: ["u"]), phase: phase))
    #expect(json["state"]?.text == phase.rawValue && json["headline"]?["level"]?.text == "warning")
  }

  /// Many rows are written in many turns, and nothing is lost between them.
  @Test func aThousandRoutes() throws {
    let names = MetricNames(
      routes: (0..<1000).map { ("route-\($0)", "") }, listeners: ["main"], upstreams: ["u"])
    let rendering = StatusRendering(try Self.report(StatusFigures(routes: 1000).at(1), names: names))
    var steps = 1
    var snapshot = rendering.step()
    while snapshot == nil {
      snapshot = rendering.step()
      steps += 1
    }
    #expect(steps > 10)
    let routes = JSONValue.parse(snapshot ?? [])?["routes"]?.elements ?? []
    #expect(routes.map { $0["name"]?.text } == names.routes.map { $0.name })
  }

  // MARK: The document

  private static let document = StatusPage.answer.body
  private static let policy = StatusPage.answer.fields.first { $0.name == "Content-Security-Policy" }?.value ?? ""

  /// The content of the one element of that name.
  private static func content(_ start: String, _ end: String) throws -> Substring {
    let parts = document.components(separatedBy: start)
    #expect(parts.count == 2, "\(start)")
    return try #require(parts.last?.components(separatedBy: end).first)[...]
  }

  @Test func thePolicyAllowsJustWhatIsInTheDocument() throws {
    for (start, end, directive) in [
      ("<style>", "</style>", "style-src"), ("<script type=\"module\">", "</script>", "script-src"),
    ] {
      let content = try Self.content(start, end)
      #expect(content.utf8.count > 1000)
      let hash = Data(Digest.sha256(Array(content.utf8))).base64EncodedString()
      #expect(Self.policy.contains("\(directive) 'sha256-\(hash)'"))
    }
    #expect(Self.policy.hasPrefix("default-src 'none'; ") && Self.policy.contains("frame-ancestors 'none'"))
    #expect(!Self.policy.contains("unsafe") && !Self.policy.contains("http"))
  }

  @Test func theDocumentNeedsNothingFromElsewhere() throws {
    for part in ["src=", "@import", "url(", "innerHTML", "insertAdjacent", "document.write", "eval(", "Function("] {
      #expect(!Self.document.contains(part), "\(part)")
    }
    for part in [" style=", " onclick=", "javascript:"] { #expect(!Self.document.contains(part), "\(part)") }
    let links = Self.document.components(separatedBy: "://").count - 1
    #expect(links == 1 && Self.document.contains("http://www.w3.org/2000/svg"), "the name of SVG's namespace only")
    #expect(Self.document.utf8.count < 100_000)
  }
}
