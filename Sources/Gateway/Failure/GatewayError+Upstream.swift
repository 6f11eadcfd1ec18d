// What the event loop's errors mean for the caller whose request met them.
internal import EventLoop

extension GatewayError {
  /// No connection came about.
  init(_ failure: ConnectFailure) {
    switch failure.kind {
    case .unreachable where failure.isOwnShortage: self.init(.connectionLimit)
    case .refused: self.init(.connectionRefused)
    case .timedOut: self.init(.connectionTimeout)
    case .unreachable, .noAddresses: self.init(.connectionFailed)
    case .tlsFailure(let error): self.init(.tlsFailure, reason: error.reason.rawValue)
    }
  }

  /// A connection broke.
  init(_ error: StreamError) {
    switch error {
    case .system: self.init(.connectionTerminated)
    case .tls(let error): self.init(.tlsFailure, reason: error.reason.rawValue)
    }
  }
}
