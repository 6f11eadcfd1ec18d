// How targets state what must hold, and the cuts at which they take an input apart.
internal import Glibc
internal import HTTPWire

/// Ends the process, which libFuzzer takes for a finding, when the property does not hold.
func require(_ holds: Bool, _ property: @autoclosure () -> String, line: UInt = #line, file: StaticString = #fileID) {
  if holds { return }
  print("PROPERTY BROKEN (\(file):\(line)): \(property())")
  // The crash handler does not.
  fflush(nil)
  preconditionFailure("a property is broken")
}

/// What a head's parser says of some bytes.
enum Outcome<Head> {
  case head(Head)
  case incomplete
  case failed(WireError)
}

extension Outcome {
  /// However much of a message has arrived, what is said of it never contradicts what is said of all of it.
  /// - Parameter count: the head's bytes.
  static func requireConsistency(of input: [UInt8], count: (Head) -> Int, parse: (Span<UInt8>) -> Outcome) {
    let whole = parse(input.span)
    for cut in Cuts.points(of: input) {
      switch (whole, parse(input.span.extracting(0..<cut))) {
      case (.head(let head), .head(let early)):
        require(cut >= count(head) && count(early) == count(head), "\(cut) bytes give another head")
      case (.head(let head), .incomplete): require(cut < count(head), "\(cut) bytes do not give the head")
      case (.incomplete, .incomplete), (.failed, .incomplete): break
      case (.failed(let error), .failed(let early)): require(error == early, "\(cut) bytes: \(early), all: \(error)")
      case (_, let early): require(false, "\(cut) bytes: \(early), all: \(whole)")
      }
    }
  }
}

/// Places at which an input is cut; they follow from the input, so that a finding repeats itself.
enum Cuts {
  /// A generator seeded with the input (FNV-1a, then SplitMix64).
  struct Generator: RandomNumberGenerator {
    private var state: UInt64

    init(_ input: [UInt8]) { state = input.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 } }

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }

  /// All places in a short input, a dozen in a long one; in order.
  static func points(of input: [UInt8]) -> [Int] {
    if input.count <= 24 { return Array(0..<input.count) }
    var generator = Generator(input)
    return (0..<12).map { _ in Int.random(in: 0..<input.count, using: &generator) }.sorted()
  }
}

/// A kept field as text, for comparisons.
struct FieldText: Equatable, CustomStringConvertible {
  let name: [UInt8]
  let value: [UInt8]

  init(_ field: Field, of bytes: [UInt8]) {
    name = Array(bytes[field.name.range])
    value = Array(bytes[field.value.range])
  }

  var description: String { "\(String(decoding: name, as: UTF8.self)): \(String(decoding: value, as: UTF8.self))" }

  /// The fields that would be forwarded.
  static func kept(_ fields: [Field], of bytes: [UInt8], without skipped: FieldNameSet = []) -> [FieldText] {
    fields.filter { !$0.isDropped && !skipped.contains($0.known) }.map { FieldText($0, of: bytes) }
  }
}

/// A head as written says once where its body ends, whatever a lenient parser would make of it.
func requireOneFraming(_ fields: [Field]) {
  let lengths = fields.count { $0.known == .contentLength }
  let codings = fields.count { $0.known == .transferEncoding }
  require(lengths + codings <= 1, "\(lengths) Content-Length, \(codings) Transfer-Encoding")
}
