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

  init(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>, _ loop: EventLoop) {
    self.head = copy head
    headBytes = loop.buffers.acquire()
    headBytes.append(bytes.extracting(0..<head.count))
    body = loop.buffers.acquire()
  }

  func release(_ loop: EventLoop) {
    loop.buffers.release(headBytes)
    loop.buffers.release(body)
  }
}
