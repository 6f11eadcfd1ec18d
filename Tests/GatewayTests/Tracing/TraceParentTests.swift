// Reading and writing `traceparent`, by the rules of https://www.w3.org/TR/trace-context/, and sampling.
import GatewayTesting
import HTTPWire
import Testing

@testable import Gateway

private let valid = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"

@Suite struct TraceParentTests {
  private static let trace = TraceID(high: 0x4bf9_2f35_77b3_4da6, low: 0xa3ce_929d_0e0e_4736)
  private static let parent: UInt64 = 0x00f0_67aa_0ba9_02b7

  private func read(_ text: String) -> TraceContext? { TraceContext(Array(text.utf8).span) }

  @Test(
    "What is one",
    arguments: [
      ("3.2.2.3: trace-id, parent-id and trace-flags", "00-\(valid)-01", 1),
      ("3.2.2.5: not sampled", "00-\(valid)-00", 0),
      ("3.2.2.5 of level 1, 5.3.2 of level 2: the flags sampled and random", "00-\(valid)-03", 3),
      ("3.2.2.5: unused flags must be sent as 0", "00-\(valid)-ff", 3),
      ("4: a later version of the same length", "01-\(valid)-01", 1),
      ("4: a later version that goes on with a dash", "cc-\(valid)-01-what-the-future-will-be-like", 1),
      ("4: of a later version only the flag sampled is known", "cc-\(valid)-ff-", 1),
    ] as [(String, String, UInt8)])
  func areRead(_ rule: String, _ text: String, _ flags: UInt8) throws {
    let context = try #require(read(text))
    #expect(context.trace == Self.trace && context.parent == Self.parent && context.flags == flags)
  }

  @Test(
    "What is none",
    arguments: [
      ("3.2.2.1: version ff is forbidden", "ff-\(valid)-01"),
      ("3.2.2.1: version FF too", "FF-\(valid)-01"),
      ("3.2.2.1: version must be two digits", "0-\(valid)-01"),
      ("3.2.2.1: lower-case digits", "0A-\(valid)-01"),
      ("3.2.2.2: version 00 ends with the flags", "00-\(valid)-01-"),
      ("3.2.2.2: version 00 ends with the flags", "00-\(valid)-01-what-the-future-will-be-like"),
      ("3.2.2.2: version 00 ends with the flags", "00-\(valid)-011"),
      ("3.2.2.3: a trace-id of zeros", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
      ("3.2.2.3: upper-case digits", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
      ("3.2.2.3: other characters", "00-.bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
      ("3.2.2.3: too short", "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01"),
      ("3.2.2.3: too long", "00-4bf92f3577b34da6a3ce929d0e0e47360-00f067aa0ba902b7-01"),
      ("3.2.2.4: a parent-id of zeros", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
      ("3.2.2.4: other characters", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bx-01"),
      ("3.2.2.5: flags must be two digits", "00-\(valid)-1"),
      ("3.2.2.5: other characters", "00-\(valid)-.0"),
      ("3.2.2.5: missing", "00-\(valid)"),
      ("4: a later version that does not go on with a dash", "cc-\(valid)-01.what-the-future-will-be-like"),
      ("4: a later version that is too short", "cc-\(valid)-1"),
      ("3.2.2: separators", "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"),
      ("3.2.2: nothing", ""),
      ("3.2.2: blanks within", "00-\(valid) -01"),
    ])
  func areNotRead(_ rule: String, _ text: String) { #expect(read(text) == nil) }

  /// Cut off anywhere it is none.
  @Test func everyPrefix() {
    let text = "00-\(valid)-01"
    for count in 0..<text.utf8.count { #expect(read(String(text.prefix(count))) == nil) }
  }

  private func head(_ fields: String) throws -> (head: RequestHead, bytes: [UInt8]) {
    let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n".utf8)
    var head = RequestHead()
    _ = try head.parse(bytes.span, limits: HeadLimits())
    return (head, bytes)
  }

  @Test(arguments: [
    ("one, in any case", "TraceParent: 00-\(valid)-01\r\n", true),
    ("white space around it", "traceparent: \t 00-\(valid)-01 \t\r\n", true),
    ("3.2: there must be one", "traceparent: 00-\(valid)-01\r\ntraceparent: 00-\(valid)-01\r\n", false),
    ("one of two is valid", "traceparent: 00-\(valid)-01\r\nTraceparent: x\r\n", false),
    ("another name", "trace-parent: 00-\(valid)-01\r\n", false),
    ("it was for this connection only", "Connection: traceparent\r\ntraceparent: 00-\(valid)-01\r\n", false),
    ("none", "X: y\r\n", false),
  ]) func ofARequest(_ what: String, _ fields: String, _ isOne: Bool) throws {
    let (head, bytes) = try head(fields)
    #expect((TraceContext(of: head, bytes.span) != nil) == isOne)
  }

  @Test func theLineThatWeWrite() {
    let line = [UInt8](capacity: 70) { out in
      out.appendTraceparent(Self.trace, span: 0xb7, flags: 1)
    }
    #expect(
      String(decoding: line, as: UTF8.self)
        == "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000b7-01\r\n")
  }

  // MARK: Sampling

  private func settings(_ ratio: Double) -> TracingSettings { TracingSettings(ratio: ratio, interval: .seconds(1)) }

  @Test(arguments: [0.0, 0.001, 0.25, 0.5, 0.999, 1]) func theRatioIsKept(_ ratio: Double) {
    var random = SpanRandom(seed: (1, 2, 3, 4))
    let settings = settings(ratio)
    let count = 100_000
    let sampled = (0..<count).count { _ in settings.samples(random.nextTraceID()) }
    // Five standard deviations.
    let tolerance = 5 * (Double(count) * ratio * (1 - ratio)).squareRoot()
    #expect(abs(Double(sampled) - ratio * Double(count)) <= tolerance, "\(sampled) of \(count)")
  }

  /// OpenTelemetry's threshold: whoever samples more samples all that another samples who samples less.
  @Test func theTraceIDDecides() {
    let id = TraceID(high: .max, low: 0xff80_0000_0000_0000)
    #expect(settings(0.5).samples(id) && !settings(0.499).samples(id) && settings(1).samples(TraceID()))
    #expect(!settings(0).samples(TraceID(high: .max, low: .max)))
  }

  @Test func idsDiffer() {
    var random = SpanRandom()
    var other = SpanRandom()
    let ids = (0..<10_000).flatMap { _ in [random.nextID(), other.nextID()] }
    #expect(Set(ids).count == ids.count && !ids.contains(0))
    // The generator's published first numbers for this state.
    var known = SpanRandom(seed: (1, 2, 3, 4))
    #expect([known.next(), known.next(), known.next()] == [41_943_041, 58_720_359, 3_588_806_011_781_223])
  }
}
