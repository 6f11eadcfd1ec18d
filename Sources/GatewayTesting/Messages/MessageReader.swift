// Bytes of one direction of a connection, cut into messages. No I/O: both scripted peers and the blocking client feed it.

/// What the bytes so far amount to, one step at a time.
package enum MessageEvent: Sendable, Equatable {
  case head(MessageHead)
  case data([UInt8])
  case end(trailers: FieldList)
}

/// Reads requests or responses, one after the other.
package struct MessageReader: Sendable {
  package enum Role: Sendable { case requests, responses }

  private enum State: Equatable {
    case head
    case length(Int)
    case untilClose
    case chunkSize
    case chunkData(Int)
    case chunkEnd
    case trailers(FieldList)
    case complete(FieldList)
  }

  private static let longestHead = 1 << 20

  private let role: Role
  private var bytes: [UInt8] = []
  private var position = 0
  /// Where the search for the end of a line or a head goes on.
  private var scanned = 0
  private var state = State.head
  private var answersHead = false
  /// A 1xx response was read: the final one to the same request follows.
  private var isInterim = false
  private var hasEnded = false

  package init(_ role: Role) { self.role = role }

  /// Bytes that were fed and are not part of an event yet.
  package var waiting: Int { bytes.count - position }
  /// Whether a message has begun and not ended.
  package var isInMessage: Bool { state != .head || waiting > 0 }

  /// Responses: whether the next message answers HEAD and so has no body.
  package mutating func expectAnswer(toHead: Bool) { answersHead = toHead }

  package mutating func feed(_ more: Span<UInt8>) {
    compact()
    bytes.append(copying: more)
  }

  /// The peer ended its sending direction.
  package mutating func feedEnd() { hasEnded = true }

  private mutating func compact() {
    if position == 0 { return }
    bytes.removeFirst(position)
    scanned -= position
    position = 0
  }

  /// The next step; nil when more bytes are needed.
  /// - Throws: for a message that breaks a rule, and for one that was cut off.
  package mutating func next() throws(MessageViolation) -> MessageEvent? {
    while true {
      switch state {
      case .head:
        guard let head = try takeHead() else { return nil }
        isInterim = role == .responses && head.status < 200
        switch try head.framing(isRequest: role == .requests, answersHead: answersHead) {
        case .none: state = .complete(FieldList())
        case .length(let count): state = .length(count)
        case .chunked: state = .chunkSize
        case .untilClose: state = .untilClose
        }
        return .head(head)
      case .length(let left):
        guard let data = try takeData(atMost: left) else { return nil }
        state = data.count == left ? .complete(FieldList()) : .length(left - data.count)
        return .data(data)
      case .untilClose:
        if waiting > 0, let data = try takeData(atMost: .max) { return .data(data) }
        guard hasEnded else { return nil }
        state = .complete(FieldList())
      case .chunkSize:
        guard let line = try takeLine() else { return nil }
        let size = try Self.chunkSize(line)
        state = size == 0 ? .trailers(FieldList()) : .chunkData(size)
      case .chunkData(let left):
        guard let data = try takeData(atMost: left) else { return nil }
        state = data.count == left ? .chunkEnd : .chunkData(left - data.count)
        return .data(data)
      case .chunkEnd:
        guard let line = try takeLine() else { return nil }
        if !line.isEmpty { throw MessageViolation("a chunk that is longer than its size") }
        state = .chunkSize
      case .trailers(var trailers):
        guard let line = try takeLine() else { return nil }
        if line.isEmpty {
          state = .complete(trailers)
        } else {
          trailers.lines.append(try MessageHead.field(line[...]))
          state = .trailers(trailers)
        }
      case .complete(let trailers):
        state = .head
        if !isInterim { answersHead = false }
        scanned = position
        return .end(trailers: trailers)
      }
    }
  }

  private mutating func takeHead() throws(MessageViolation) -> MessageHead? {
    if waiting == 0 { return nil }
    var index = max(scanned, position)
    while index < bytes.count {
      if bytes[index] == Ascii.lineFeed, index == position || bytes[index - 1] != Ascii.carriageReturn {
        throw MessageViolation("a line feed without carriage return in the head")
      }
      if bytes[index] == Ascii.lineFeed, index - position >= 3, bytes[index - 2] == Ascii.lineFeed,
        index - position > 3 || role == .responses
      {
        let head = try MessageHead(Array(bytes[position...index]), isRequest: role == .requests)
        position = index + 1
        scanned = position
        return head
      }
      index += 1
    }
    scanned = index
    if waiting > Self.longestHead { throw MessageViolation("a head of more than 1 MiB") }
    if hasEnded { throw MessageViolation("cut off in the head") }
    return nil
  }

  private mutating func takeLine() throws(MessageViolation) -> [UInt8]? {
    var index = max(scanned, position)
    while index < bytes.count {
      if bytes[index] == Ascii.lineFeed {
        guard index > position, bytes[index - 1] == Ascii.carriageReturn else {
          throw MessageViolation("a line feed without carriage return in a chunked body")
        }
        let line = Array(bytes[position..<index - 1])
        position = index + 1
        scanned = position
        return line
      }
      index += 1
    }
    scanned = index
    if waiting > 16384 { throw MessageViolation("a line of more than 16 KiB in a chunked body") }
    if hasEnded { throw MessageViolation("cut off in a chunked body") }
    return nil
  }

  private mutating func takeData(atMost limit: Int) throws(MessageViolation) -> [UInt8]? {
    let count = min(limit, waiting)
    if count == 0 {
      if hasEnded { throw MessageViolation("cut off in the body") }
      return nil
    }
    let data = Array(bytes[position..<position + count])
    position += count
    scanned = position
    return data
  }

  private static func chunkSize(_ line: [UInt8]) throws(MessageViolation) -> Int {
    let digits = line.prefix { $0 != UInt8(ascii: ";") }
    guard !digits.isEmpty, digits.count <= 15 else { throw MessageViolation("a malformed chunk size") }
    var size = 0
    for digit in digits {
      guard let value = Ascii.hexValue(digit) else { throw MessageViolation("a malformed chunk size") }
      size = size << 4 | Int(value)
    }
    return size
  }
}

extension [UInt8] {
  /// Appends a copy of a span's bytes.
  package mutating func append(copying span: Span<UInt8>) {
    // Safety: the buffer is read within the call only. A loop over a span costs 20 times as much without optimizer.
    unsafe span.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
  }
}
