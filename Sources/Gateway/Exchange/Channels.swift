// What the exchange asks of the wire on either side. HTTP/1.1 is one pair of implementations; the exchange knows none.
internal import EventLoop
internal import HTTPWire

/// Towards the caller, for one request. Implementations are confined to the exchange's loop.
protocol DownstreamChannel: AnyObject {
  /// Bytes of the response that the caller has not taken yet.
  var hasBacklog: Bool { get }
  /// Takes the response's body as it is; nil when it needs a framing of its own.
  var bodySink: Stream? { get }
  /// The response's framing and whether the caller takes trailers are the channel's matter.
  func sendInformational(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>)
  func sendHead(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>)
  func sendData(_ bytes: Span<UInt8>)
  func sendTrailers(_ fields: [Field], _ bytes: Span<UInt8>)
  func sendEnd()
  /// Sends what was written since the last call.
  func flush()
  /// The response has begun and can't be completed: the caller must see that it is cut.
  func truncate()
  /// An answer of our own instead of a response.
  func answer(_ error: GatewayError)
  /// Read no more of the request's body for now.
  func pauseBody()
  func resumeBody()
}

/// Towards the upstream, for one request.
protocol UpstreamChannel: AnyObject {
  /// Bytes of the request that the upstream has not taken yet.
  var hasBacklog: Bool { get }
  /// Takes the request's body as it is; nil when it needs a framing of its own.
  var bodySink: Stream? { get }
  /// Sends the exchange's request head, with the lease's fields last.
  func sendHead(of exchange: Exchange)
  func sendData(_ bytes: Span<UInt8>)
  func sendTrailers(_ fields: [Field], _ bytes: Span<UInt8>)
  func sendEnd()
  func flush()
  func pauseResponse()
  func resumeResponse()
  /// The exchange wants nothing more of it: a complete connection goes back to its pool, one whose answer is nearly
  /// complete is read on, any other one is closed.
  func letGo()
}
