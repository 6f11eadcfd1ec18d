// What an exchange remembers of its course for the access log: a few numbers, each a store on its way.
internal import EventLoop

/// A new value for each exchange. Times are nanoseconds of CLOCK_BOOTTIME, as the loop's turns count them.
struct ExchangeTrace {
  /// The listener's place in the configuration.
  private(set) var listener = 0
  /// The request's head was whole.
  private(set) var begun: Int64 = 0
  /// What the caller's connection had got, or was to get, before this response.
  private(set) var sentBefore: UInt64 = 0
  /// The number in the X-Request-ID that we made; 0 while there is none.
  var requestID: UInt64 = 0

  // The last attempt.
  private(set) var connectBegun: Int64 = 0
  /// There was a connection for the request; 0 if there was none.
  private(set) var connected: Int64 = 0
  /// The first byte of the upstream's answer; 0 if none came.
  var firstByte: Int64 = 0
  private(set) var upstream: UpstreamLabel?
  private(set) var isReused = false
  /// Of the lease that was sent; 0 without one.
  var generation: UInt64 = 0
  /// Of the upstream's last final head; 0 if none came.
  var upstreamStatus: UInt16 = 0

  // The response.
  /// Of the head that was passed on; 0 if none was.
  var status: UInt16 = 0
  /// Bytes of the response's body that were passed on.
  var bytesOut: UInt64 = 0
  var error: GatewayError?
  /// The error was the answer.
  private(set) var isAnswered = false
  /// We ended the connection before the response was complete.
  private(set) var isCut = false
  var isDownstreamGone = false

  init() {}

  init(listener: Int, begun: Int64, sentBefore: UInt64) {
    self.listener = listener
    self.begun = begun
    self.sentBefore = sentBefore
  }

  /// An attempt begins.
  mutating func connecting(at now: Int64) {
    connectBegun = now
    connected = 0
    firstByte = 0
    upstream = nil
    error = nil
  }

  mutating func connected(_ label: UpstreamLabel?, isReused: Bool, at now: Int64) {
    upstream = label
    self.isReused = isReused
    connected = now
  }

  /// Answered with an error of our own.
  mutating func answered(_ error: GatewayError) {
    self.error = error
    isAnswered = true
  }

  /// The connection is about to be closed in the middle of the response. The first reason counts.
  mutating func cut(_ reason: GatewayError) {
    isCut = true
    if error == nil { error = reason }
  }

  /// The caller is gone: what its socket did not take does not count.
  /// - Parameter sent: what its connection has got so far, heads and framing included.
  mutating func limitBytesOut(sent: UInt64) { bytesOut = min(bytesOut, sent > sentBefore ? sent - sentBefore : 0) }

  /// What the access log calls the status: what the caller got, 499 if it went away before it got all of it, 0 if we cut
  /// it off before it got any.
  var loggedStatus: UInt16 {
    // Inlined, it reads what it needs; else all of the trace is copied for it.
    @inline(__always) get {
      if isCut { return status }
      if isAnswered, let error { return error.status }
      return isDownstreamGone ? 499 : status
    }
  }

  /// Why the response is not the upstream's, or not all of it.
  var loggedError: GatewayError? { isCut || isAnswered ? error : nil }
}

/// An upstream connection's address, rendered once. Confined to its loop.
final class UpstreamLabel {
  let address: SocketAddress?
  /// As a JSON string has it, without quotes.
  let bytes: [UInt8]

  init(_ address: SocketAddress?) {
    self.address = address
    bytes = Array(AccessLogText.name(address.map { "\($0)" } ?? "").utf8)
  }
}
