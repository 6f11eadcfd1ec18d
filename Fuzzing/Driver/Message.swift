// A message read to its end with HTTPWire, and what was understood as a line of text.
internal import HTTPWire

struct Message {
  enum Kind: String {
    case request
    case response
    case responseToHead = "response-to-head"
  }

  var kind: Kind
  var bytes: [UInt8]

  /// nil when the message's end is not there.
  func reading(_ limits: HeadLimits) throws(WireError) -> Reading? {
    switch kind {
    case .request:
      var head = RequestHead()
      guard let count = try head.parse(bytes.span, limits: limits) else { return nil }
      let start = [text(head.methodRange), text(head.target), Array("\(head.minorVersion)".utf8)]
      return try body(
        Reading(start: start, fields: head.fields, count: count, keepsAlive: head.keepsAlive), head.framing)
    case .response, .responseToHead:
      var head = ResponseHead()
      let isHead = kind == .responseToHead
      guard let count = try head.parse(bytes.span, isHeadRequest: isHead, limits: limits) else { return nil }
      let start = [Array("\(head.status)".utf8), text(head.reason), Array("\(head.minorVersion)".utf8)]
      return try body(
        Reading(start: start, fields: head.fields, count: count, keepsAlive: head.keepsAlive), head.framing)
    }
  }

  private func text(_ range: ByteRange) -> [UInt8] { Array(bytes[range.range]) }

  private func body(_ head: Reading, _ framing: BodyFraming) throws(WireError) -> Reading? {
    var reading = head
    reading.source = bytes
    let rest = bytes[head.count...]
    switch framing {
    case .none: reading.framing = "none"
    case .length(let length):
      reading.framing = "length"
      guard length <= UInt64(rest.count) else { return nil }
      reading.body = Array(rest.prefix(Int(length)))
      reading.end += Int(length)
    case .untilClose:
      reading.framing = "close"
      reading.body = Array(rest)
      reading.end = bytes.count
    case .chunked:
      reading.framing = "chunked"
      return try chunked(reading)
    }
    return reading
  }

  private func chunked(_ head: Reading) throws(WireError) -> Reading? {
    var reading = head
    var decoder = ChunkedDecoder()
    while true {
      switch try decoder.next(bytes.span, from: reading.end) {
      case .needMore: return nil
      case .data(let range):
        reading.body += bytes[range]
        reading.end = range.upperBound
      case .trailers(let start):
        var section = TrailerSection()
        let rest = Array(bytes[start...])
        guard let count = try section.parse(rest.span, limits: HeadLimits(bytes: 1 << 20, fields: 1000)) else {
          return nil
        }
        reading.trailers = section.fields.map { (Array(rest[$0.name.range]), Array(rest[$0.value.range])) }
        reading.end = start + count
        return reading
      }
    }
  }
}

/// What a message says.
struct Reading {
  /// Method, target and minor version; or status, reason and minor version.
  var start: [[UInt8]]
  var fields: [Field]
  /// Bytes of the head.
  var count: Int
  var keepsAlive: Bool
  /// Where the message ends.
  var end: Int
  var source: [UInt8] = []
  var framing = ""
  var body: [UInt8] = []
  var trailers: [(name: [UInt8], value: [UInt8])] = []

  init(start: [[UInt8]], fields: [Field], count: Int, keepsAlive: Bool) {
    self.start = start
    self.fields = fields
    self.count = count
    self.keepsAlive = keepsAlive
    end = count
  }

  var line: String {
    let fields = fields.map { (name: Array(source[$0.name.range]), value: Array(source[$0.value.range])) }
    return "accepted keep=\(keepsAlive ? 1 : 0) head=\(count) body=\(Hex.encode(body)) rest=\(source.count - end) "
      + "start=\(start.map { Hex.encode($0) }.joined(separator: ",")) framing=\(framing) "
      + "fields=\(Self.list(fields)) trailers=\(Self.list(trailers))"
  }

  private static func list(_ fields: [(name: [UInt8], value: [UInt8])]) -> String {
    fields.map { "\(Hex.encode($0.name)):\(Hex.encode($0.value))" }.joined(separator: ",")
  }
}
