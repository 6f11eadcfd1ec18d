// Outgoing connections: several addresses 250 ms apart (RFC 8305), the first that answers wins, then TLS, all within one
// deadline.
internal import Glibc

/// Why no connection came about.
package struct ConnectFailure: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Kind: Sendable, Equatable {
    /// Nobody listens there.
    case refused
    case timedOut
    /// No way to the peer, or no resources of our own: `lastError` says which.
    case unreachable
    /// The connection was made, but not the TLS session.
    case tlsFailure(TLSError)
    case noAddresses
  }

  package var kind: Kind
  /// What the system said last, if it said anything.
  package var lastError: SystemError?

  package init(_ kind: Kind, lastError: SystemError? = nil) {
    self.kind = kind
    self.lastError = lastError
  }

  /// This process is short of something; the peer has not been asked.
  package var isOwnShortage: Bool {
    switch lastError?.errno {
    case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL: kind == .unreachable
    default: false
    }
  }

  package var description: String {
    let reason =
      switch kind {
      case .refused: "connection refused"
      case .timedOut: "connecting timed out"
      case .unreachable: "unreachable"
      case .tlsFailure(let error): error.description
      case .noAddresses: "no addresses"
      }
    return lastError.map { "\(reason) (\($0))" } ?? reason
  }
}

/// One connection that is being made. Confined to its loop; lives by itself until it is finished or cancelled.
package final class Connector: StreamDelegate, TimerHandler, Runnable {
  /// RFC 8305, section 5: the recommended Connection Attempt Delay.
  private static let attemptDelay: Int64 = 250_000_000

  private let loop: EventLoop
  private let tls: TLSTarget?
  private var completion: ((Result<Stream, ConnectFailure>) -> Void)?
  /// Addresses that were not tried yet, the next one last.
  private var waiting: [SocketAddress]
  private var attempts: [Stream] = []
  /// Connected; its TLS handshake is under way.
  private var winner: Stream?
  private var deadline: TimerWheel.Timer?
  private var delay: TimerWheel.Timer?
  private var lastError: SystemError?
  /// What went wrong before `connect` returned.
  private var earlyFailure: ConnectFailure?

  /// Completed or cancelled.
  package var isFinished: Bool { completion == nil }

  /// Connects to one of `addresses` and, if `tls` is given, speaks TLS with it.
  /// - Parameters:
  ///   - addresses: in the order of preference; the families take turns.
  ///   - timeout: nanoseconds for all of it.
  ///   - completion: called once, on the loop, never before `connect` has returned. A stream comes without a delegate:
  ///     nothing is read before one is set, so that nothing is lost.
  @discardableResult
  package static func connect(
    _ loop: EventLoop, to addresses: [SocketAddress], tls: TLSTarget? = nil, timeout: Int64,
    completion: @escaping (Result<Stream, ConnectFailure>) -> Void
  ) -> Connector {
    let connector = Connector(loop, addresses, tls, completion)
    connector.start(timeout)
    return connector
  }

  private init(
    _ loop: EventLoop, _ addresses: [SocketAddress], _ tls: TLSTarget?,
    _ completion: @escaping (Result<Stream, ConnectFailure>) -> Void
  ) {
    self.loop = loop
    self.tls = tls
    self.completion = completion
    waiting = Self.interleaved(addresses).reversed()
  }

  /// RFC 8305, section 4: the families take turns, beginning with that of the first address.
  static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
    guard let first = addresses.first else { return [] }
    let preferred = addresses.filter { $0.family == first.family }
    let others = addresses.filter { $0.family != first.family }
    var result: [SocketAddress] = []
    result.reserveCapacity(addresses.count)
    for index in 0..<max(preferred.count, others.count) {
      if index < preferred.count { result.append(preferred[index]) }
      if index < others.count { result.append(others[index]) }
    }
    return result
  }

  /// Gives up; `completion` is not called any more.
  package func cancel() {
    completion = nil
    clear()
  }

  private func start(_ timeout: Int64) {
    if waiting.isEmpty { return failLater(ConnectFailure(.noAddresses)) }
    let (end, isOverflowing) = loop.now.addingReportingOverflow(max(0, timeout))
    let deadline = loop.timers.make(self)
    self.deadline = deadline
    delay = loop.timers.make(self)
    loop.timers.schedule(deadline, at: isOverflowing ? .max : end)
    if !tryNext() { failLater(failure()) }
  }

  private func failLater(_ failure: ConnectFailure) {
    earlyFailure = failure
    loop.runLater(self)
  }

  package func runAgain() { if let earlyFailure { finish(.failure(earlyFailure)) } }

  /// False when nothing is left to try and nothing is under way.
  private func tryNext() -> Bool {
    while let address = waiting.popLast() {
      do throws(SystemError) {
        attempts.append(try attempt(address))
        if let delay, !waiting.isEmpty { loop.timers.schedule(delay, at: loop.now + Self.attemptDelay) }
        return true
      } catch {
        lastError = error
      }
    }
    return !attempts.isEmpty
  }

  private func attempt(_ address: SocketAddress) throws(SystemError) -> Stream {
    let fd = try Socket.startConnecting(to: address)
    do throws(SystemError) {
      let stream = try Stream(loop, connecting: fd)
      stream.delegate = self
      return stream
    } catch {
      Socket.close(fd)
      throw error
    }
  }

  private func failure() -> ConnectFailure {
    let kind: ConnectFailure.Kind =
      switch lastError?.errno {
      // ENOENT: a Unix socket that nobody has made.
      case ECONNREFUSED, ENOENT: .refused
      case ETIMEDOUT: .timedOut
      default: .unreachable
      }
    return ConnectFailure(kind, lastError: lastError)
  }

  package func timerFired(_ timer: TimerWheel.Timer) {
    if timer == deadline { return finish(.failure(ConnectFailure(.timedOut, lastError: lastError))) }
    if winner == nil, !tryNext() { finish(.failure(failure())) }
  }

  // MARK: The attempts

  package func streamDidConnect(_ stream: Stream) {
    if winner != nil { return finish(.success(stream)) }
    winner = stream
    waiting.removeAll()
    if let delay { loop.timers.cancel(delay) }
    for other in attempts where other !== stream { other.close() }
    attempts.removeAll()
    guard let tls else { return finish(.success(stream)) }
    do throws(TLSError) {
      stream.startTLS(try TLSSession(tls))
    } catch {
      finish(.failure(ConnectFailure(.tlsFailure(error))))
    }
  }

  package func streamDidFail(_ stream: Stream, _ error: StreamError) {
    if winner === stream {
      switch error {
      case .tls(let error): finish(.failure(ConnectFailure(.tlsFailure(error))))
      case .system(let error):
        let reason = TLSError(.handshakeClosed, error.description)
        finish(.failure(ConnectFailure(.tlsFailure(reason), lastError: error)))
      }
      return
    }
    attempts.removeAll { $0 === stream }
    if case .system(let error) = error { lastError = error }
    if !tryNext() { finish(.failure(failure())) }
  }

  package func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {}
  package func streamDidFinishReading(_ stream: Stream) {}
  package func streamDidEnd(_ stream: Stream) {}
  package func streamDidHangUp(_ stream: Stream) {}
  package func streamDidDrain(_ stream: Stream) {}
  package func streamDidFailWriting(_ stream: Stream, _ error: StreamError) {}

  private func finish(_ result: Result<Stream, ConnectFailure>) {
    let completion = self.completion
    self.completion = nil
    if case .success(let stream) = result {
      stream.delegate = nil
      winner = nil
    }
    clear()
    completion?(result)
  }

  private func clear() {
    for attempt in attempts { attempt.close() }
    attempts.removeAll()
    winner?.close()
    winner = nil
    waiting.removeAll()
    earlyFailure = nil
    for timer in [deadline, delay] { if let timer { loop.timers.release(timer) } }
    deadline = nil
    delay = nil
  }
}
