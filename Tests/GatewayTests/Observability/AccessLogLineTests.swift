// Whole lines of the access log, in both formats.
import EventLoop
import GatewayTesting
import HTTPWire
import Testing
import TokenKit

@testable import Gateway

@Suite struct AccessLogLineTests {
  private static let request =
    "GET /a?b=c&token=hush HTTP/1.1\r\nHost: api.internal\r\nUser-Agent: curl \"8\"\r\nReferer: http://x/?token=hush\r\n\r\n"

  /// Without its time.
  private func withoutTime(_ line: String) -> String {
    guard let start = line.firstIndex(of: ",") else { return line }
    return String(line[start...])
  }

  @Test func aLineAsJSON() throws {
    var rig = try LineRig()
    let line = try rig.render(.plain, Self.request)
    #expect(line.hasPrefix("{\"time\":\"20") && line.hasSuffix("}\n") && line.count { $0 == "\n" } == 1)
    #expect(
      withoutTime(line) == """
        ,"request_id":"id-ab","listener":"main","peer":"10.1.2.3","method":"GET","host":"api.internal",\
        "path":"/a?b=c&token=REDACTED","status":200,"bytes_in":56,"bytes_out":1234,"duration":1.500000,\
        "route":"route","credential":"credential","generation":7,"replayed":false,"upstream":"127.0.0.1:9101",\
        "reused":true,"upstream_connect":0.001000,"upstream_first_byte":0.200000,"upstream_status":200,\
        "user_agent":"curl \\"8\\""}

        """)
  }

  @Test func aLineAsCombined() throws {
    var rig = try LineRig(format: .combined)
    let line = try rig.render(.plain, Self.request)
    let pattern =
      #/10\.1\.2\.3 - - \[\d\d/[A-Z][a-z][a-z]/20\d\d:\d\d:\d\d:\d\d \+0000\] "GET /a\?b=c&token=REDACTED HTTP/1\.1" 200 1234 "http://x/\?token=REDACTED" "curl \\x228\\x22"\n/#
    #expect(line.wholeMatch(of: pattern) != nil, "\(line)")
    #expect(try rig.render(.plain, "GET / HTTP/1.0\r\n\r\n").hasSuffix("\"GET / HTTP/1.0\" 200 1234 \"-\" \"-\"\n"))
  }

  @Test(
    "The log's format and the access log's",
    arguments: [(.json, true), (.text, false), (.combined, false)] as [(LogConfiguration.Format, Bool)])
  func formats(format: LogConfiguration.Format, isJSON: Bool) throws {
    var rig = try LineRig(format: format)
    #expect(try rig.render(.plain, Self.request).hasPrefix("{") == isJSON)
  }

  @Test func whatIsNoRequestHasNoMethodAndPath() throws {
    var trace = ExchangeTrace(listener: 0, begun: 5, sentBefore: 0)
    trace.answered(GatewayError(.malformed(WireError(.bareLineFeed))))
    let entry = Subject(trace)
    entry.peer = .unix(path: "")
    entry.routeIndex = nil
    entry.bytesIn = 0
    var rig = try LineRig()
    let line = try rig.render(entry, "", now: 5)
    #expect(
      withoutTime(line) == """
        ,"request_id":"id-0","listener":"main","peer":"unknown","status":400,"bytes_in":0,"bytes_out":0,\
        "duration":0.000000,"replayed":false,"proxy_status":"http_request_error","reason":"\(WireRule.bareLineFeed.rawValue)"}

        """)
    var combined = try LineRig(format: .combined)
    #expect(try combined.render(entry, "").hasSuffix("] \"-\" 400 0 \"-\" \"-\"\n"))
  }

  @Test func theCallersRequestIDStandsInPlaceOfOurs() throws {
    var rig = try LineRig()
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: \r\nX-Request-ID: mine\"1\r\nX-Request-ID: other\r\n\r\n"
    #expect(try rig.render(.plain, head).contains("\"request_id\":\"mine\\\"1\","))
    let long = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: \(String(repeating: "x", count: 129))\r\n\r\n"
    #expect(try rig.render(.plain, long).contains("\"request_id\":\"id-ab\","))
  }

  @Test func theTraceOfTheRequest() throws {
    var rig = try LineRig()
    let entry = Subject.plain
    entry.span = ExchangeSpan(beginning: TraceID(high: 0xab, low: 1), id: 0xcd, isSampled: true)
    #expect(
      try rig.render(entry, Self.request).contains(
        ",\"trace_id\":\"00000000000000ab0000000000000001\",\"span_id\":\"00000000000000cd\""))
    entry.span = ExchangeSpan(beginning: TraceID(high: 0xab, low: 1), id: 0xcd, isSampled: false)
    let line = try rig.render(entry, Self.request)
    #expect(line.contains("\"trace_id\":\"00000000000000ab") && !line.contains("span_id"))
    // Not traced here: the caller's own, if it is one.
    let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
    let traced = try rig.render(.plain, "GET / HTTP/1.1\r\nHost: a\r\n\(parent)-01\r\n\r\n")
    #expect(traced.contains("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"") && !traced.contains("span_id"))
    #expect(!(try rig.render(.plain, "GET / HTTP/1.1\r\nHost: a\r\n\(parent)\r\n\r\n").contains("trace_id")))
    var combined = try LineRig(format: .combined)
    #expect(!(try combined.render(entry, Self.request).contains("cd")))
  }

  @Test func namesOfTheConfigurationAreEscaped() throws {
    var rig = try LineRig(listener: "a\"b", route: "r\\\n", credential: nil)
    let line = try rig.render(.plain, Self.request)
    #expect(line.contains("\"listener\":\"a\\\"b\"") && line.contains("\"route\":\"r\\\\\\u000a\",\"generation\""))
    #expect(!line.contains("credential"))
  }

  /// Whatever callers send, a line fits into what is reserved for it and what a pipe takes whole.
  @Test(arguments: [LogConfiguration.Format.json, .combined], [UInt8(ascii: "a"), UInt8(ascii: "\""), 0xff, 0x09])
  func theLongestLine(format: LogConfiguration.Format, byte: UInt8) throws {
    let long = [UInt8](repeating: byte, count: 3000)
    let isTargetByte = byte == UInt8(ascii: "a") || byte == UInt8(ascii: "\"")
    var bytes = Array("\(String(repeating: "M", count: 200)) /".utf8)
    bytes += isTargetByte ? long : [UInt8](repeating: UInt8(ascii: "\""), count: 3000)
    bytes += Array(" HTTP/1.1\r\nHost: \(String(repeating: "h", count: 2000))\r\nX-Request-ID: x".utf8)
    bytes += Array(long[..<126]) + Array("x\r\nUser-Agent: x".utf8) + long + Array("x\r\nReferer: x".utf8) + long
    bytes += Array("x\r\n\r\n".utf8)
    let name = String(repeating: "\u{1}", count: 300)
    var rig = try LineRig(format: format, listener: name, route: name, credential: name)
    let entry = Subject.plain
    entry.trace.requestID = .max
    entry.trace.generation = .max
    entry.trace.bytesOut = .max
    entry.bytesIn = .max
    entry.isReplayed = true
    entry.span = ExchangeSpan(beginning: TraceID(high: .max, low: .max), id: .max, isSampled: true)
    entry.trace.status = 65535
    entry.trace.upstreamStatus = 65535
    entry.peer = .ipv6(high: .max, low: .max, scope: 0, port: 65535)
    entry.trace.connected(UpstreamLabel(.unix(path: name)), isReused: false, at: .max)
    entry.trace.answered(GatewayError(.responseHeadTimeout, reason: String(repeating: "r", count: 200)))
    entry.trace.cut(GatewayError(.internalError))
    let line = try rig.render(entry, bytes, now: .max)
    #expect(line.utf8.count <= AccessLogLine.limit && line.utf8.count > 2000, "\(line.utf8.count)")
    #expect(line.count { $0 == "\n" } == 1)
    if format == .json { #expect(JSONValue.parse(Array(line.utf8))?["cut"]?.bool == true, "\(line)") }
  }

  // MARK: The time

  @Test func theClockRendersWhatHasChanged() {
    var clock = AccessLogClock(.json)
    func text(_ milliseconds: Int64, turn: Int64) -> String {
      clock.advance(to: turn) { milliseconds }
      return String(decoding: clock.bytes, as: UTF8.self)
    }
    let times: [Int64] = [
      1_750_851_855_618, 1_750_851_855_619, 1_750_851_856_007, 1_750_851_919_999, 1_750_895_999_999, 1_750_896_000_000,
      951_782_400_000, 4_102_444_799_999, 0, 1_750_851_855_618,
    ]
    for (turn, time) in times.enumerated() {
      let expected = Timestamp.text(milliseconds: time)
      #expect(text(time, turn: Int64(turn)) == "{\"time\":\"\(expected)\",\"request_id\":\"")
    }
    #expect(text(5, turn: Int64(times.count - 1)).contains("2025-06-25T11:44:15.618Z"), "one turn has one time")

    var combined = AccessLogClock(.combined)
    combined.advance(to: 1) { 1_750_851_855_618 }
    #expect(String(decoding: combined.bytes, as: UTF8.self) == " - - [25/Jun/2025:11:44:15 +0000] \"")
    combined.advance(to: 2) { 1_767_225_599_999 }
    #expect(String(decoding: combined.bytes, as: UTF8.self) == " - - [31/Dec/2025:23:59:59 +0000] \"")
  }

  // MARK: The status

  @Test func theStatusIsWhatTheCallerGot() {
    let error = GatewayError(.connectionRefused)
    var trace = ExchangeTrace(listener: 0, begun: 0, sentBefore: 100)
    trace.answered(error)
    #expect(trace.loggedStatus == 502 && trace.loggedError == error)

    trace = ExchangeTrace(listener: 0, begun: 0, sentBefore: 100)
    trace.isDownstreamGone = true
    #expect(trace.loggedStatus == 499 && trace.loggedError == nil)
    trace.status = 200
    trace.bytesOut = 1000
    trace.limitBytesOut(sent: 300)
    #expect(trace.loggedStatus == 499 && trace.bytesOut == 200, "what its socket did not take does not count")

    trace = ExchangeTrace(listener: 0, begun: 0, sentBefore: 0)
    trace.status = 200
    trace.error = error
    trace.cut(GatewayError(.streamTimeout))
    #expect(trace.loggedStatus == 200 && trace.isCut && trace.loggedError == error, "the first reason counts")

    // An upstream that failed and was replaced is no error of the exchange.
    trace = ExchangeTrace(listener: 0, begun: 0, sentBefore: 0)
    trace.error = error
    trace.connecting(at: 1)
    trace.status = 200
    #expect(trace.loggedStatus == 200 && trace.loggedError == nil)

    trace = ExchangeTrace(listener: 0, begun: 0, sentBefore: 0)
    trace.cut(GatewayError(.draining))
    trace.isDownstreamGone = true
    #expect(trace.loggedStatus == 0, "we cut it off before it got anything")
  }
}
