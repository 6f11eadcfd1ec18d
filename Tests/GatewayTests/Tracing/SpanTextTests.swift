// Spans as OTLP's JSON, and how they get there.
import EventLoop
import GatewayTesting
import HTTPWire
import Testing
import TokenKit
import TokenService

@testable import Gateway

@Suite struct SpanTextTests {
  private static func places() throws -> PlanPlaces {
    var configuration = GatewayConfiguration()
    configuration.listeners = [ListenerConfiguration(name: "m\"ain", address: .ipv4(0x7f00_0001, port: 1))]
    let origin = UpstreamOrigin(try HTTPURL.parse("https://api.example").get())
    configuration.routes = [
      RouteConfiguration(name: "r\\oute", upstream: UpstreamConfiguration(origins: [origin]))
    ]
    return PlanPlaces(configuration)
  }

  private static func record(_ kind: SpanRecord.Kind) -> SpanRecord {
    var record = SpanRecord(
      kind, trace: TraceID(high: 1, low: 0xab), id: 0xcd, parent: 0, flags: 1, begun: 1_000, ended: 2_500)
    record.route = 0
    record.listener = 0
    record.upstream = 0
    return record
  }

  private func json(_ record: SpanRecord, method: [UInt8] = [], path: [UInt8] = []) throws -> JSONValue {
    var buffer = SpanBuffer()
    let isTaken = buffer.append(record, method: method.span, path: path.span)
    #expect(isTaken)
    var text = SpanText(try Self.places())
    let out = ByteBuffer(capacity: 16)
    text.write(try #require(buffer.records.first), buffer.text.span, offset: 1_700_000_000_000_000_000, into: out)
    let bytes = out.withSpan { span in (0..<span.count).map { span[$0] } }
    return try #require(JSONValue.parse(bytes), "\(String(decoding: bytes, as: UTF8.self))")
  }

  private func attribute(_ span: JSONValue, _ key: String) -> JSONValue? {
    let found = (span["attributes"]?.elements ?? []).filter { $0["key"]?.text == key }
    #expect(found.count <= 1)
    guard case .object(let members)? = found.first?["value"] else { return nil }
    return members.values.first
  }

  @Test func idsTimesAndKinds() throws {
    var record = Self.record(.request)
    record.parent = 0xef
    record.marks = [.hasRemoteParent, .replayed]
    record.status = 200
    let span = try json(record, path: Array("/a".utf8))
    #expect(span["traceId"]?.text == "000000000000000100000000000000ab" && span["spanId"]?.text == "00000000000000cd")
    #expect(span["parentSpanId"]?.text == "00000000000000ef" && span["flags"]?.int == 0x301)
    #expect(span["startTimeUnixNano"]?.text == "1700000000000001000")
    #expect(span["endTimeUnixNano"]?.text == "1700000000000002500")
    #expect(span["kind"]?.int == 2 && attribute(span, "http.response.status_code")?.text == "200")
    #expect(attribute(span, "gateway.replayed")?.bool == true && attribute(span, "gateway.listener")?.text == "m\"ain")
    #expect(attribute(span, "gateway.route")?.text == "r\\oute" && attribute(span, "gateway.credential") == nil)
    #expect(try json(Self.record(.attempt))["kind"]?.int == 3 && json(Self.record(.wait))["kind"]?.int == 1)
    #expect(try json(Self.record(.attempt))["parentSpanId"] == nil)
  }

  @Test(arguments: [(.get, "GET r\\oute"), (.patch, "PATCH r\\oute"), (.other, "HTTP r\\oute")] as [(Method, String)])
  func namesOfFewKinds(_ method: Method, _ name: String) throws {
    var record = Self.record(.request)
    record.method = method
    #expect(try json(record, method: Array("X\"".utf8))["name"]?.text == name)
    record.kind = .attempt
    #expect(try json(record)["name"]?.text == String(name.prefix { $0 != " " }))
  }

  @Test(
    arguments: [
      0, 7, 999_999_999, 1_000_000_000, 1_000_000_001, 999_999_999_999_999_999, 1_000_000_000_000_000_000,
      1_700_000_000_000_000_042, 1_763_734_567_890_123_456, .max,
    ] as [Int64]) func timesInDecimal(_ time: Int64)
  {
    let text = [UInt8](capacity: 20) { $0.appendTime(time) }
    #expect(String(decoding: text, as: UTF8.self) == "\(time)")
  }

  @Test func idsInHexadecimal() {
    for id: UInt64 in [0, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, .max, 0xa09f_9a0f_0a90_f9f0] {
      let text = String(decoding: [UInt8](capacity: 16) { $0.appendID(id) }, as: UTF8.self)
      let plain = String(id, radix: 16)
      #expect(text == String(repeating: "0", count: 16 - plain.count) + plain)
    }
  }

  @Test(
    arguments: [
      .ipv4(0x7f00_0001, port: 65535), .ipv6(high: 0xfd00_0000_0000_0001, low: .max, scope: 0, port: 1),
      .unix(path: ""), nil,
    ] as [SocketAddress?]) func addressesAsNumbers(_ address: SocketAddress?)
  {
    #expect(SpanPeer(address).address == address)
  }

  @Test func everyPathIsWellFormed() throws {
    for byte in UInt8.min ... .max {
      let span = try json(Self.record(.attempt), path: [0x2f, byte, 0x2f])
      let url = try #require(attribute(span, "url.full")?.text)
      #expect(url.hasPrefix("https://api.example/") && url.hasSuffix("/"))
    }
    let long = try json(Self.record(.request), path: Array(repeating: 0x22, count: 9000))
    #expect((attribute(long, "url.path")?.text?.utf8.count ?? 0) <= SpanBuffer.pathLimit + 3)
  }

  /// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
  @Test(
    arguments: [
      (.request, 500, nil, "500"), (.request, 404, nil, nil), (.request, 404, .noRoute, nil),
      (.request, 502, .connectionRefused, "connection_refused"), (.request, 200, nil, nil),
      (.attempt, 404, nil, "404"), (.attempt, 0, .connectionTimeout, "connection_timeout"), (.attempt, 302, nil, nil),
      (.wait, 0, .parkTimeout, "park_timeout"), (.wait, 0, nil, nil),
    ] as [(SpanRecord.Kind, UInt16, ErrorReason?, String?)])
  func whatIsAnError(_ kind: SpanRecord.Kind, _ status: UInt16, _ error: ErrorReason?, _ type: String?) throws {
    var record = Self.record(kind)
    record.status = status
    record.error = error
    let span = try json(record)
    #expect(attribute(span, "error.type")?.text == type && (span["status"]?["code"]?.int == 2) == (type != nil))
  }

  @Test func aTokenCallTellsNoPathAndNoQuery() throws {
    let report = GrantCallReport(
      credential: "c", url: "https://sso.example:8443/secret/token?key=hush", sent: BootInstant(nanoseconds: 5),
      ended: BootInstant(nanoseconds: 9), status: 400, error: "invalid_grant")
    let out = ByteBuffer(capacity: 16)
    SpanText.write(report, TraceID(high: 1, low: 2), id: 3, offset: 0, into: out)
    let text = out.withSpan { span in String(decoding: (0..<span.count).map { span[$0] }, as: UTF8.self) }
    #expect(!text.contains("hush") && !text.contains("secret"))
    let span = try #require(JSONValue.parse(Array(text.utf8)))
    #expect(span["name"]?.text == "token refresh c" && span["kind"]?.int == 3 && span["status"]?["code"]?.int == 2)
    #expect(attribute(span, "server.address")?.text == "sso.example" && attribute(span, "server.port")?.text == "8443")
    #expect(attribute(span, "error.type")?.text == "invalid_grant")
  }

  @Test func theBufferTakesNoMoreThanItHasRoomFor() {
    var buffer = SpanBuffer()
    let path = [UInt8](repeating: 0x61, count: 2000)
    var taken = 0
    while buffer.append(Self.record(.request), path: path.span) { taken += 1 }
    #expect(taken > 100 && buffer.text.count <= SpanBuffer.textLimit && buffer.isHalfFull)
    buffer.removeAll()
    #expect(buffer.isEmpty && !buffer.isHalfFull)
    taken = 0
    while buffer.append(Self.record(.wait)) { taken += 1 }
    #expect(taken == SpanBuffer.recordLimit)
  }
}
