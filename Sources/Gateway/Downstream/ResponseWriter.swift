// Writes a response head towards an HTTP/1.1 caller: the upstream's fields, and our own framing of the connection.
internal import EventLoop
internal import HTTPWire

enum ResponseWriter {
  /// What stands at the end of the head.
  enum Tail {
    case informational
    /// The framing is among the fields, and the connection stays open.
    case plain
    /// The same for an HTTP/1.0 caller, who wants to be told.
    case keepAlive
    case close
    case chunked
    case chunkedClose

    fileprivate var lines: StaticString {
      switch self {
      case .informational, .plain: "\r\n"
      case .keepAlive: "Connection: keep-alive\r\n\r\n"
      case .close: "Connection: close\r\n\r\n"
      case .chunked: "Transfer-Encoding: chunked\r\n\r\n"
      case .chunkedClose: "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
      }
    }
  }

  static func write(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>, to stream: Stream, tail: Tail) {
    // The fields of a head are never longer than the head, except for the separators that it may have left out.
    let capacity = head.count + 3 * head.fields.count + HeadWriter.capacity(reason: Int(head.reason.count)) + 64
    let status = head.status
    let reason = bytes.extracting(head.reason.range)
    let fields = head.fields
    stream.write(capacity: capacity) { out in
      HeadWriter.writeStatusLine(status, reason: reason, into: &out)
      HeadWriter.writeFields(fields, of: bytes, into: &out)
      out.append(tail.lines)
    }
  }
}
