// Collects an answer as libcurl delivers it, field line by field line and piece by piece, within limits.

internal import TokenKit

/// The parts of an answer that a `GrantResponse` is made of. Without I/O; fed by the callbacks of a transfer.
struct ResponseCollector {
  /// Bytes of the body that are taken. `CURLOPT_MAXFILESIZE` would miss chunked ones.
  static let bodyLimit = 1 << 20
  /// Bytes of all field lines of one call, interim answers and trailers included.
  static let headLimit = 64 << 10

  private(set) var isOverLimit = false
  private var contentType: String?
  private var date: String?
  private var retryAfter: String?
  private var body: [UInt8] = []
  private var headSize = 0
  /// Past the empty line: what comes then is a trailer, and says nothing about the answer. libcurl takes an answer
  /// whose connection ended before that line for a whole one.
  private(set) var isHeadComplete = false

  /// Takes a status line, a field line or the empty line after them.
  /// - Returns: whether the transfer may go on.
  mutating func addLine(_ line: Span<UInt8>) -> Bool {
    headSize += line.count
    if headSize > Self.headLimit {
      isOverLimit = true
      return false
    }
    var end = line.count
    while end > 0, line[end - 1] == 0x0d || line[end - 1] == 0x0a { end -= 1 }
    if end == 0 {
      isHeadComplete = true
      return true
    }
    let text = String(decoding: (0..<end).map { line[$0] }, as: UTF8.self)
    if text.hasPrefix("HTTP/") {
      // Each status line starts over: fields of a 1xx say nothing about the final answer.
      contentType = nil
      date = nil
      retryAfter = nil
      isHeadComplete = false
      return true
    }
    guard !isHeadComplete, let colon = text.firstIndex(of: ":") else { return true }
    let value = trimmed(text[text.index(after: colon)...])
    switch text[..<colon].lowercased() {
    case "content-type": contentType = value
    case "date": date = value
    case "retry-after": retryAfter = value
    default: break
    }
    return true
  }

  /// Takes a piece of the body.
  /// - Returns: whether the transfer may go on.
  mutating func addBody(_ bytes: Span<UInt8>) -> Bool {
    guard body.count + bytes.count <= Self.bodyLimit else {
      isOverLimit = true
      body = []
      return false
    }
    for index in bytes.indices { body.append(bytes[index]) }
    return true
  }

  /// The whole answer.
  /// - Parameter now: our wall clock, for a `Retry-After` date of a server that doesn't say its own time.
  func response(status: Int, now: WallTime) -> GrantResponse {
    let serverTime = date.flatMap(HTTPDate.parse)
    return GrantResponse(
      status: status, body: body, contentType: contentType, date: serverTime,
      retryAfter: retryAfter.flatMap { RetryAfter.parse($0, now: serverTime ?? now) })
  }

  private func trimmed(_ text: Substring) -> String {
    var text = text
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return String(text)
  }
}
