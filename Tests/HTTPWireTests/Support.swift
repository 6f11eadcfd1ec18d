// What the tests of HTTPWire share: parsing whole texts and all their prefixes, seeded random numbers.
import HTTPWire
import Testing

/// A row of a table: the rule of HTTP-RULES.md that it shows, the input, and what must come of it.
struct Refusal: Sendable, CustomTestStringConvertible {
  let rule: String
  let input: String
  let error: WireError

  init(_ rule: String, _ input: String, _ wireRule: WireRule, status: UInt16 = 400) {
    self.rule = rule
    self.input = input
    self.error = WireError(wireRule, status: status)
  }

  var testDescription: String { rule }
}

enum Outcome<Head: Sendable>: Sendable {
  case head(Head)
  case incomplete
  case failed(WireError)

  var error: WireError? {
    if case .failed(let error) = self { error } else { nil }
  }

  var isIncomplete: Bool {
    if case .incomplete = self { true } else { false }
  }
}

func parseRequest(_ bytes: [UInt8], limits: HeadLimits = HeadLimits()) -> Outcome<RequestHead> {
  var head = RequestHead()
  do {
    return try head.parse(bytes.span, limits: limits) == nil ? .incomplete : .head(head)
  } catch {
    return .failed(error)
  }
}

func parseResponse(
  _ bytes: [UInt8], isHeadRequest: Bool = false, limits: HeadLimits = HeadLimits()
) -> Outcome<ResponseHead> {
  var head = ResponseHead()
  do {
    return try head.parse(bytes.span, isHeadRequest: isHeadRequest, limits: limits) == nil ? .incomplete : .head(head)
  } catch {
    return .failed(error)
  }
}

/// The head that `text` must parse to; every strict prefix must be incomplete.
func request(_ text: String, limits: HeadLimits = HeadLimits()) throws -> RequestHead {
  let bytes = Array(text.utf8)
  guard case .head(let head) = parseRequest(bytes, limits: limits) else {
    Issue.record("not parsed: \(parseRequest(bytes, limits: limits))")
    throw TestFailure()
  }
  for count in 0..<head.count {
    #expect(parseRequest(Array(bytes[..<count]), limits: limits).isIncomplete, "prefix of \(count) bytes")
  }
  return head
}

/// The head that `text` must parse to; every strict prefix must be incomplete.
func response(_ text: String, isHeadRequest: Bool = false) throws -> ResponseHead {
  let bytes = Array(text.utf8)
  guard case .head(let head) = parseResponse(bytes, isHeadRequest: isHeadRequest) else {
    Issue.record("not parsed: \(parseResponse(bytes, isHeadRequest: isHeadRequest))")
    throw TestFailure()
  }
  for count in 0..<head.count {
    #expect(
      parseResponse(Array(bytes[..<count]), isHeadRequest: isHeadRequest).isIncomplete, "prefix of \(count) bytes")
  }
  return head
}

/// A refused input stays refused for the same reason, however little of it has arrived: each prefix is incomplete
/// until the error shows, and from then on has the same error.
func expectSameErrorAtEverySplit<Head>(
  _ bytes: [UInt8], _ expected: WireError, parse: ([UInt8]) -> Outcome<Head>
) {
  #expect(parse(bytes).error == expected)
  var hasFailed = false
  for count in 0..<bytes.count {
    let outcome = parse(Array(bytes[..<count]))
    if let error = outcome.error {
      #expect(error == expected, "prefix of \(count) bytes")
      hasFailed = true
    } else {
      #expect(outcome.isIncomplete && !hasFailed, "prefix of \(count) bytes")
    }
  }
}

struct TestFailure: Error {}

extension ByteRange {
  func text(_ source: String) -> String { String(decoding: Array(source.utf8)[range], as: UTF8.self) }
}

/// The names of the fields that would be forwarded.
func keptNames(_ fields: [Field], _ source: String) -> [String] {
  fields.filter { !$0.isDropped }.map { $0.name.text(source) }
}

/// What `body` writes into an output span with room for `capacity` bytes.
func written(capacity: Int, _ body: (inout OutputSpan<UInt8>) throws(WireError) -> Void) throws(WireError) -> [UInt8] {
  try [UInt8](capacity: capacity, initializingWith: body)
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
