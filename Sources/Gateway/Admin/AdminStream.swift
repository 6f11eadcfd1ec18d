// An answer that is made while it is taken: too long to be held, or to be made in one turn of the control loop.
internal import EventLoop

/// Where its bytes come from. Confined to the control loop.
protocol AdminSource: AnyObject {
  /// Everything was given.
  var isComplete: Bool { get }
  /// The next bytes, some kilobytes; none: it takes longer, ask again in the next turn.
  func next() -> [UInt8]
  /// It goes on for as long as somebody reads.
  var isEndless: Bool { get }
  /// There is nothing to give for now, and it says when there is.
  var isIdle: Bool { get }
  /// - Parameter wake: to be called when there is something again.
  func whenReady(_ wake: @escaping () -> Void)
}

extension AdminSource {
  var isEndless: Bool { false }
  var isIdle: Bool { false }
  func whenReady(_ wake: @escaping () -> Void) {}
}

/// The head of such an answer, and the framing of its body.
struct AdminStream {
  var contentType: String
  var source: any AdminSource

  /// A caller of HTTP/1.0 knows the end by the connection's.
  static func head(contentType: String, isChunked: Bool, closing: Bool) -> [UInt8] {
    var text = "HTTP/1.1 200 OK\r\nContent-Type: \(contentType)\r\n"
    text += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    if isChunked { text += "Transfer-Encoding: chunked\r\n" }
    if closing { text += "Connection: close\r\n" }
    return Array((text + "\r\n").utf8)
  }

  /// A part of the body as it is sent; nothing for nothing, which would be the end.
  static func chunk(_ bytes: [UInt8], isChunked: Bool) -> [UInt8] {
    if bytes.isEmpty || !isChunked { return bytes }
    return Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0d, 0x0a]
  }

  static let end = Array("0\r\n\r\n".utf8)
}

extension MetricsPage: AdminSource {}
