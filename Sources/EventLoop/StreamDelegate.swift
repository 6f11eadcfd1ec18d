// What a stream tells its user.

/// What is told about a stream, on its loop. Calls never nest into one stream's own read loop; `streamDidFailWriting`
/// may come from within `write` and `flush`.
package protocol StreamDelegate: AnyObject {
  /// An outgoing stream can be used: it is connected, and its TLS handshake, if it has one, is complete.
  func streamDidConnect(_ stream: Stream)
  /// Bytes came. What is not taken now must be kept: they are gone after the call.
  func stream(_ stream: Stream, didRead bytes: Span<UInt8>)
  /// So many bytes went where `relay(to:atMost:)` sent them. 0: they can't yet, for the sink takes no more.
  func stream(_ stream: Stream, didRelay count: Int)
  /// No more bytes for now: the moment to flush what they led to.
  func streamDidFinishReading(_ stream: Stream)
  /// The peer ended its sending direction; all that it sent was delivered. `endedCleanly` says whether it was cut off.
  func streamDidEnd(_ stream: Stream)
  /// The peer hung up while reading is paused. Told once; what it sent before is still there to be read.
  func streamDidHangUp(_ stream: Stream)
  /// Everything that waited to be sent was sent.
  func streamDidDrain(_ stream: Stream)
  /// Sending failed. Reading goes on: an answer may still be there.
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError)
  /// The stream cannot be used any more. Not told after `close`.
  func streamDidFail(_ stream: Stream, _ error: StreamError)
}

extension StreamDelegate {
  /// For those that never relay.
  package func stream(_ stream: Stream, didRelay count: Int) {}
}
