// An answer as the bytes to write, step by step.

struct AnswerOutput {
  enum Step {
    case bytes([UInt8])
    case pause(Duration)
    /// The script wants the connection to end here.
    case cut(isReset: Bool)
    case end(closes: Bool)
  }

  private var head: [UInt8]?
  private var source: BodySource
  private var cut: Answer.Cut?
  private var written = 0
  private let closes: Bool

  init(raw bytes: [UInt8], closes: Bool) {
    head = bytes
    source = BodySource(.none)
    self.closes = closes
  }

  /// - Parameter closes: the connection ends after the answer.
  init(_ answer: Answer, to request: MessageHead, closes: Bool, date: String) {
    let hasNoBody = request.method == "HEAD" || answer.status < 200 || answer.status == 204 || answer.status == 304
    var closes = closes
    var text = ""
    for (status, fields) in answer.interim {
      text += "HTTP/1.1 \(status) \(StatusText.reason(status))\r\n"
      for line in fields.lines { text += "\(line.name): \(line.value)\r\n" }
      text += "\r\n"
    }
    text += "HTTP/1.1 \(answer.status) \(StatusText.reason(answer.status))\r\n"
    for line in answer.fields.lines { text += "\(line.name): \(line.value)\r\n" }
    text += "Date: \(date)\r\n"
    var body = answer.body
    if case .untilClose = body {
      closes = true
    } else if body.isChunked, request.version == "HTTP/1.0" {
      // RFC 9112 §6.1: never chunked to HTTP/1.0. No test asks for it; the body is ended by closing.
      if case .pattern(let count, _) = body { body = .untilClose(BodyPattern.prefix(count)) }
      if case .chunks(let chunks, _) = body { body = .untilClose(Array(chunks.joined())) }
      closes = true
    } else if body.isChunked {
      text += "Transfer-Encoding: chunked\r\n"
    } else if let length = body.length, answer.status >= 200, answer.status != 204 {
      text += "Content-Length: \(length)\r\n"
    }
    if closes { text += "Connection: close\r\n" }
    head = Array((text + "\r\n").utf8)
    source = BodySource(hasNoBody ? .none : body, trailers: answer.trailers)
    cut = answer.cut
    self.closes = closes
  }

  mutating func next() -> Step {
    if let head {
      self.head = nil
      // A small body leaves with its head, as servers do.
      if cut == nil, case .bytes(let first) = peekSmall() { return .bytes(head + first) }
      return .bytes(head)
    }
    if let cut, written >= cut.afterBytes { return .cut(isReset: cut.isReset) }
    switch source.next() {
    case .pause(let time): return .pause(time)
    case .end: return cut.map { .cut(isReset: $0.isReset) } ?? .end(closes: closes)
    case .bytes(var bytes):
      if let cut { bytes = Array(bytes.prefix(cut.afterBytes - written)) }
      written += bytes.count
      return .bytes(bytes)
    }
  }

  /// The body's first piece, if it is short and there without waiting.
  private mutating func peekSmall() -> Step {
    var ahead = source
    guard case .bytes(let bytes) = ahead.next(), bytes.count <= 4096 else { return .end(closes: closes) }
    source = ahead
    return .bytes(bytes)
  }
}
