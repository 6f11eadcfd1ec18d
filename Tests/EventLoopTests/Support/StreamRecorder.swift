// A delegate that keeps what it is told, and lets a test act from within.
@testable import EventLoop

final class StreamRecorder: StreamDelegate {
  var bytes: [UInt8] = []
  var reads = 0
  /// Bytes that went to another stream.
  var relayed = 0
  var largestRead = 0
  var connects = 0
  var ends = 0
  var hangUps = 0
  var drains = 0
  var writeError: StreamError?
  var error: StreamError?
  var wasReadWhilePaused = false
  var onConnect: ((Stream) -> Void)?
  var onRead: ((Stream, Span<UInt8>) -> Void)?
  var onRelay: ((Stream, Int) -> Void)?
  var onDrain: (() -> Void)?
  var onFinishReading: ((Stream) -> Void)?

  var text: String { String(decoding: bytes, as: UTF8.self) }
  var hasEnded: Bool { ends > 0 || error != nil }

  func streamDidConnect(_ stream: Stream) {
    connects += 1
    onConnect?(stream)
  }
  func stream(_ stream: Stream, didRead span: Span<UInt8>) {
    if stream.isPaused { wasReadWhilePaused = true }
    reads += 1
    largestRead = max(largestRead, span.count)
    unsafe span.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
    onRead?(stream, span)
  }
  func stream(_ stream: Stream, didRelay count: Int) {
    if stream.isPaused { wasReadWhilePaused = true }
    relayed += count
    onRelay?(stream, count)
  }
  func streamDidFinishReading(_ stream: Stream) { onFinishReading?(stream) }
  func streamDidEnd(_ stream: Stream) { ends += 1 }
  func streamDidHangUp(_ stream: Stream) { hangUps += 1 }
  func streamDidDrain(_ stream: Stream) {
    drains += 1
    onDrain?()
  }
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { writeError = error }
  func streamDidFail(_ stream: Stream, _ error: StreamError) { self.error = error }
}

extension Stream {
  func write(_ text: String) { write(Array(text.utf8).span) }
}
