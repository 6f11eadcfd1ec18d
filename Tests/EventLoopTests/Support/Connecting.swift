// Connecting as a test does it: turn the loop until there is an outcome.
@testable import EventLoop

extension TestLoop {
  /// Connects and waits for the outcome. A stream comes with the recorder as its delegate.
  func connect(
    to addresses: [SocketAddress], _ name: String? = nil, authority: String? = nil, recorder: StreamRecorder,
    timeout: Int64 = 20_000_000_000
  ) throws -> Result<Stream, ConnectFailure> {
    var target: TLSTarget?
    if let name {
      target = TLSTarget(
        context: try TLSClientContext.shared(caFile: authority), serverName: name, port: addresses.first?.port ?? 0)
    }
    // The loop's clock is that of its last turn.
    try settle()
    var outcome: Result<Stream, ConnectFailure>?
    Connector.connect(loop, to: addresses, tls: target, timeout: timeout) { result in
      if case .success(let stream) = result { stream.delegate = recorder }
      outcome = result
    }
    try turn(until: "connected or not") { outcome != nil }
    guard let outcome else { throw NotInTime(description: "no outcome") }
    return outcome
  }
}

extension ConnectFailure {
  var tlsReason: TLSError.Reason? {
    if case .tlsFailure(let error) = kind { error.reason } else { nil }
  }
}
