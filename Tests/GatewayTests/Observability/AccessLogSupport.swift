// What the tests of the access log share: lines rendered from made-up exchanges, and a strict reading of JSON strings.
import EventLoop
import GatewayTesting
import HTTPWire
import TokenKit

@testable import Gateway

enum JSONString {
  /// RFC 8259 §7, by a reader of its own that knows nothing of the writer.
  static func isValid(_ text: String) -> Bool { JSONValue.parse(Array("[\(text)]".utf8)) != nil }
}

/// Renders lines as a data loop does.
struct LineRig {
  var line: AccessLogLine

  init(
    format: LogConfiguration.Format = .json, redact: [String] = ["token"], listener: String = "main",
    route: String = "route", credential: String? = "credential"
  ) throws {
    var configuration = GatewayConfiguration()
    configuration.log = LogConfiguration(format: format, redact: redact)
    let names = AccessLogNames(listeners: [listener], routes: [(route, credential)])
    line = AccessLogLine(configuration.log, names, idPrefix: Array("id-".utf8))
  }

  /// - Parameter request: a whole head; empty when what came was no request.
  mutating func render(_ subject: Subject, _ request: String, now: Int64 = 2_500_000_000) throws -> String {
    try render(subject, Array(request.utf8), now: now)
  }

  mutating func render(_ subject: Subject, _ bytes: [UInt8], now: Int64 = 2_500_000_000) throws -> String {
    if !bytes.isEmpty { try subject.parse(bytes) }
    var line = line
    let rendered = [UInt8](capacity: AccessLogLine.limit) { out in
      line.write(subject, bytes.span, now: now, into: &out)
    }
    self.line = line
    return String(decoding: rendered, as: UTF8.self)
  }
}

/// What a line tells of, made up.
final class Subject: AccessLogSubject {
  var trace: ExchangeTrace
  var span = ExchangeSpan()
  var request = RequestHead()
  var peer = SocketAddress.ipv4(0x0a01_0203, port: 5)
  var routeIndex: Int? = 0
  var bytesIn: UInt64 = 56
  var isReplayed = false

  init(_ trace: ExchangeTrace) { self.trace = trace }

  func parse(_ bytes: [UInt8]) throws {
    if try request.parse(bytes.span, limits: HeadLimits()) == nil { throw NoHead() }
  }

  struct NoHead: Error {}

  /// A request that took 1.5 s and got 200 from 127.0.0.1:9101.
  static var plain: Subject {
    var trace = ExchangeTrace(listener: 0, begun: 1_000_000_000, sentBefore: 0)
    trace.requestID = 0xab
    trace.connecting(at: 1_000_250_000)
    trace.connected(UpstreamLabel(.ipv4(0x7f00_0001, port: 9101)), isReused: true, at: 1_001_250_000)
    trace.firstByte = 1_201_250_000
    trace.generation = 7
    trace.upstreamStatus = 200
    trace.status = 200
    trace.bytesOut = 1234
    return Subject(trace)
  }
}
