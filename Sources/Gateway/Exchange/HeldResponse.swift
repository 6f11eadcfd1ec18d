// A 401 that is kept back while a newer lease is on its way: its head and up to 16 KiB of its body.
internal import EventLoop
internal import HTTPWire

struct HeldResponse {
  /// More of the body is left unread in the socket.
  static let bodyLimit = 16 * 1024

  var head: ResponseHead
  var headBytes: ByteBuffer
  var body: ByteBuffer
  var hasEnded = false
  /// The connection broke before the end.
  var isCut = false

  /// Thousands may be held at once, when a token dies under load: each takes what it needs, not a buffer of the loop's,
  /// whose fresh pages would make up most of the turn.
  init(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    self.head = copy head
    // A copy of its own, or the loop's head would lose its storage with the next response.
    self.head.fields.reserveCapacity(head.fields.count + 1)
    headBytes = ByteBuffer(capacity: head.count)
    headBytes.append(bytes.extracting(0..<head.count))
    body = ByteBuffer(capacity: max(0, min(bytes.count - head.count, Self.bodyLimit)) + 64)
  }
}
