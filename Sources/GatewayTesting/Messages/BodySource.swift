// What a peer sends as a body, piece by piece, so that big ones are never whole in memory; and the pattern and the
// fingerprint by which both ends know a big body without keeping it.

/// FNV-1a with 64 bits over all bytes of a body.
package struct BodyDigest: Sendable, Equatable, Hashable, CustomStringConvertible {
  private var state: UInt64 = 0xcbf2_9ce4_8422_2325
  package private(set) var count = 0

  package init() {}

  package init(_ bytes: [UInt8]) { add(bytes) }

  package mutating func add(_ bytes: [UInt8]) {
    let span = bytes.span
    var hash = state
    var index = 0
    while index < span.count {
      hash = (hash ^ UInt64(span[index])) &* 0x100_0000_01b3
      index &+= 1
    }
    state = hash
    count += bytes.count
  }

  /// 16 hexadecimal digits.
  package var description: String {
    let digits = String(state, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Of the first `count` bytes of `BodyPattern`.
  package static func ofPattern(count: Int) -> BodyDigest {
    var fingerprint = BodyDigest()
    var offset = 0
    while offset < count {
      let piece = BodyPattern.bytes(at: offset, atMost: count - offset)
      fingerprint.add(piece)
      offset += piece.count
    }
    return fingerprint
  }
}

/// An endless body in which every block says where it stands, so that lost, doubled and swapped bytes all show.
package enum BodyPattern {
  package static let blockSize = 64 * 1024
  private static let block: [UInt8] = (0..<blockSize).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

  /// The bytes from `offset` to the end of its block, at most `limit`.
  package static func bytes(at offset: Int, atMost limit: Int) -> [UInt8] {
    var bytes = block
    let number = UInt64(offset / blockSize)
    for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: number >> UInt64(index * 8)) }
    let start = offset % blockSize
    let end = min(blockSize, start + limit)
    return start == 0 && end == blockSize ? bytes : Array(bytes[start..<end])
  }

  /// The first `count` bytes.
  package static func prefix(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count { bytes += self.bytes(at: bytes.count, atMost: count - bytes.count) }
    return bytes
  }
}

/// A body to send.
package enum Body: Sendable {
  case none
  /// With Content-Length.
  case bytes([UInt8])
  /// The first `count` bytes of `BodyPattern`, with Content-Length or chunked.
  case pattern(Int, isChunked: Bool = false)
  /// One chunk each, with a pause before every one but the first.
  case chunks([[UInt8]], pause: Duration = .zero)
  /// Responses: ends with the connection.
  case untilClose([UInt8])

  package static func text(_ text: String) -> Body { .bytes(Array(text.utf8)) }

  var length: Int? {
    switch self {
    case .none: 0
    case .bytes(let bytes): bytes.count
    case .pattern(let count, let isChunked): isChunked ? nil : count
    case .chunks, .untilClose: nil
    }
  }

  var isChunked: Bool {
    switch self {
    case .pattern(_, let isChunked): isChunked
    case .chunks: true
    case .none, .bytes, .untilClose: false
    }
  }
}

/// Hands out a body in pieces as they stand on the wire.
struct BodySource {
  enum Piece {
    case bytes([UInt8])
    /// The next piece is due after that time.
    case pause(Duration)
    case end
  }

  private let body: Body
  private let trailers: FieldList
  /// Body bytes so far, without chunk framing.
  private(set) var sent = 0
  private var nextChunk = 0
  private var isPauseDue = false
  private var isEndWritten = false

  init(_ body: Body, trailers: FieldList = FieldList()) {
    self.body = body
    self.trailers = trailers
  }

  mutating func next() -> Piece {
    switch body {
    case .none: return .end
    case .bytes(let bytes), .untilClose(let bytes):
      if sent > 0 || bytes.isEmpty { return .end }
      sent = bytes.count
      return .bytes(bytes)
    case .pattern(let count, let isChunked):
      if sent == count { return isChunked ? lastChunk() : .end }
      let piece = BodyPattern.bytes(at: sent, atMost: count - sent)
      sent += piece.count
      return .bytes(isChunked ? Self.chunk(piece) : piece)
    case .chunks(let chunks, let pause):
      if nextChunk == chunks.count { return lastChunk() }
      if isPauseDue, pause > .zero {
        isPauseDue = false
        return .pause(pause)
      }
      let chunk = chunks[nextChunk]
      nextChunk += 1
      // An empty chunk would end the body.
      if chunk.isEmpty { return next() }
      isPauseDue = true
      sent += chunk.count
      return .bytes(Self.chunk(chunk))
    }
  }

  private mutating func lastChunk() -> Piece {
    if isEndWritten { return .end }
    isEndWritten = true
    var text = "0\r\n"
    for line in trailers.lines { text += "\(line.name): \(line.value)\r\n" }
    return .bytes(Array((text + "\r\n").utf8))
  }

  private static func chunk(_ bytes: [UInt8]) -> [UInt8] {
    Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [13, 10]
  }
}
