// What becomes of a caller's trace on its way to the upstream, and which spans tell of it.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(3))) struct TraceContextTests {
  static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  static let parent = "00f067aa0ba902b7"

  private struct Rig {
    let collector: CollectorUnderTest
    let relay: Relay

    static func start(_ more: [(String, OrderedJSON)] = []) async throws -> Rig {
      let collector = try await CollectorUnderTest.start()
      let relay = try await Relay.start(
        configure: { configuration, _ in
          configuration.more["otlp"] = collector.settings(more)
          configuration.more["workers"] = 1
          configuration.logAccess()
        }) { _ in .answer(.text("hello")) }
      return Rig(collector: collector, relay: relay)
    }

    /// Sends a GET with these fields.
    /// - Returns: what the upstream got.
    func get(_ fields: [(String, String)], target: String = "/x") async throws -> IncomingRequest {
      let response = try await relay.gateway.request("GET", target, fields: FieldList(fields))
      #expect(response.status == 200)
      return try #require(relay.origin.record.requests.last)
    }
  }

  @Test func aCallersTraceGoesOn() async throws {
    let rig = try await Rig.start([("service_name", "edge")])
    let state = ["vendor=a", "other=b,third=\"c\""]
    let seen = try await rig.get(
      [("TraceParent", "00-\(Self.trace)-\(Self.parent)-01")] + state.map { ("tracestate", $0) },
      target: "/some/path?key=made-up-1")
    let context = try #require(SeenContext(seen.fields))
    #expect(context.trace == Self.trace && context.flags == "01" && context.parent != Self.parent)
    #expect(seen.fields.all("tracestate") == state)
    let log = try await rig.collector.log(until: "two spans") { $0.spans.count == 2 }
    let server = try #require(log.spans(.server).first)
    let client = try #require(log.spans(.client).first)
    #expect(client.id == context.parent && client.parent == server.id && server.parent == Self.parent)
    #expect(log.spans.allSatisfy { $0.trace == Self.trace && !$0.isError && $0.scope == "gateway" })
    #expect(server.flags == 0x301 && client.flags == 0x101)
    #expect(server.start <= client.start && client.end <= server.end)
    let now = Double(Process.wallClockMilliseconds()) * 1e6
    #expect(abs(server.end - now) < 60e9)

    #expect(server.name == "GET all" && client.name == "GET")
    #expect(server["http.request.method"]?.text == "GET" && client["http.request.method"]?.text == "GET")
    #expect(server["url.path"]?.text == "/some/path", "without the query")
    #expect(client["url.full"]?.text == "http://\(rig.relay.origin.address)/some/path")
    #expect(server["http.response.status_code"]?.int == 200 && client["http.response.status_code"]?.int == 200)
    #expect(server["gateway.route"]?.text == "all" && server["gateway.listener"]?.text == "main")
    #expect(server["network.peer.address"]?.text == "127.0.0.1" && server["gateway.replayed"]?.bool == false)
    #expect(client["server.address"]?.text == "127.0.0.1" && client["network.peer.address"]?.text == "127.0.0.1")
    #expect(client["server.port"]?.int == Int(rig.relay.origin.address.port))
    #expect(client["network.peer.port"]?.int == Int(rig.relay.origin.address.port))
    #expect(client["gateway.connection_reused"]?.bool == false)
    #expect(server["error.type"] == nil && client["error.type"] == nil)
    let connected = try #require(client.event("connected"))
    let firstByte = try #require(client.event("first byte"))
    #expect(client.start <= connected && connected <= firstByte && firstByte <= client.end)
    for span in log.spans {
      #expect(span.resource("service.name") == "edge" && span.resource("service.instance.id") != nil)
    }
    let line = try await rig.relay.gateway.accessLines(1)[0]
    #expect(line.text("trace_id") == Self.trace && line.text("span_id") == server.id)
  }

  /// https://www.w3.org/TR/trace-context/ sections 3.2.2 and 4.
  @Test(arguments: [
    ("upper-case digits", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
    ("a digit that is none", "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"),
    ("a trace id of zeros", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
    ("a parent id of zeros", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
    ("version ff", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("version 00 with more", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"),
    ("a short trace id", "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01"),
    ("no flags", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"),
    ("another separator", "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"),
    ("a later version that does not go on with a dash", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x"),
    ("nothing", ""),
    (
      "several in one",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01,00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    ),
  ])
  func whatIsNoContextBeginsANewTrace(_ rule: String, _ value: String) async throws {
    let rig = try await Rig.start()
    let seen = try await rig.get(fields(value))
    try await expectNew(rig, seen)
  }

  @Test func severalContextsAreNone() async throws {
    let rig = try await Rig.start()
    let value = "00-\(Self.trace)-\(Self.parent)-01"
    let seen = try await rig.get([("traceparent", value), ("traceparent", value), ("tracestate", "vendor=a")])
    try await expectNew(rig, seen)
  }

  @Test func withoutAContextATraceBegins() async throws {
    let rig = try await Rig.start()
    let seen = try await rig.get([("tracestate", "vendor=a")])
    try await expectNew(rig, seen)
  }

  private func fields(_ value: String) -> [(String, String)] { [("traceparent", value), ("tracestate", "vendor=a")] }

  private func expectNew(
    _ rig: Rig, _ seen: IncomingRequest, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let context = try #require(SeenContext(seen.fields), sourceLocation: sourceLocation)
    #expect(context.trace != Self.trace && context.flags == "01", sourceLocation: sourceLocation)
    #expect(seen.fields.all("tracestate").isEmpty, "it belongs to another trace", sourceLocation: sourceLocation)
    let log = try await rig.collector.log(until: "two spans") { $0.spans.count == 2 }
    let server = try #require(log.spans(.server).first, sourceLocation: sourceLocation)
    #expect(server.parent.isEmpty && server.trace == context.trace, sourceLocation: sourceLocation)
    #expect(log.spans(.client).map(\.id) == [context.parent], sourceLocation: sourceLocation)
  }

  /// Section 4: what is known of a later version is taken, and goes on as version 00.
  @Test(arguments: [
    "cc-\(trace)-\(parent)-01", "01-\(trace)-\(parent)-09-what-the-future-brings", "00-\(trace)-\(parent)-01",
  ])
  func aLaterVersionIsRead(_ value: String) async throws {
    let rig = try await Rig.start()
    let context = try #require(SeenContext(try await rig.get(fields(value)).fields))
    #expect(context.trace == Self.trace && context.flags == "01")
  }

  /// Flags that are not known are not passed on.
  @Test func flagsThatAreNotKnown() async throws {
    let rig = try await Rig.start()
    let context = try #require(SeenContext(try await rig.get(fields("00-\(Self.trace)-\(Self.parent)-fd")).fields))
    #expect(context.trace == Self.trace && context.flags == "01")
  }

  @Test func aTraceThatIsNotSampledLeavesNoSpan() async throws {
    let rig = try await Rig.start()
    let seen = try await rig.get(fields("00-\(Self.trace)-\(Self.parent)-00"))
    let context = try #require(SeenContext(seen.fields))
    #expect(context.trace == Self.trace && context.flags == "00" && context.parent != Self.parent)
    #expect(seen.fields.all("tracestate") == ["vendor=a"])
    let sampled = try #require(SeenContext(try await rig.get([]).fields))
    let log = try await rig.collector.log(until: "the spans of the next one") { $0.spans.count >= 2 }
    #expect(log.spans.allSatisfy { $0.trace == sampled.trace })
    let lines = try await rig.relay.gateway.accessLines(2)
    #expect(lines[0].text("trace_id") == Self.trace && lines[0]["span_id"] == nil)
  }

  @Test func theRatioIsForTracesThatBeginHere() async throws {
    let rig = try await Rig.start([("sample_ratio", .int(0))])
    let own = try #require(SeenContext(try await rig.get([]).fields))
    #expect(own.flags == "00")
    let callers = try #require(SeenContext(try await rig.get(fields("00-\(Self.trace)-\(Self.parent)-01")).fields))
    #expect(callers.flags == "01")
    let log = try await rig.collector.log(until: "the caller's spans") { $0.spans.count >= 2 }
    #expect(log.spans.allSatisfy { $0.trace == Self.trace })
  }

  /// As nginx does with what it knows nothing of.
  @Test func withoutTracingFieldsPassUntouched() async throws {
    let relay = try await Relay.start(configure: { configuration, _ in configuration.logAccess() }) { _ in
      .answer(.text("hello"))
    }
    let valid = "00-\(Self.trace)-\(Self.parent)-fd"
    for values in [[valid], ["nonsense"], [valid, valid], []] {
      let fields = values.map { ("TraceParent", $0) } + [("TraceState", "vendor=a")]
      _ = try await relay.gateway.request("GET", "/x", fields: FieldList(fields))
      let seen = try #require(relay.origin.record.requests.last)
      #expect(seen.fields.all("traceparent") == values && seen.fields.all("tracestate") == ["vendor=a"])
      #expect(seen.lines.filter { $0.hasPrefix("Trace") }.count == values.count + 1, "not rewritten")
    }
    let lines = try await relay.gateway.accessLines(4)
    #expect(lines.map { $0.text("trace_id") } == [Self.trace, nil, nil, nil])
    #expect(lines.allSatisfy { $0["span_id"] == nil })
  }
}
