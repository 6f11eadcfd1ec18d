// One call of the command line to the running gateway's admin listener. It blocks; each call has a connection of its own.
internal import EventLoop
internal import Glibc
internal import HTTPWire
internal import TokenKit

/// The answer to a call.
struct AdminReply {
  var status: UInt16
  var body: [UInt8]
}

/// Why there is none.
enum AdminCallFailure: Error, Equatable {
  /// Nobody listens there.
  case notRunning
  /// Somebody does, or that can't be told; in words.
  case failed(String)
}

final class AdminClient: StreamDelegate, TimerHandler {
  private static let limits = HeadLimits(bytes: 16384, fields: 64, target: 0)
  /// The list of many credentials is long.
  private static let longest = 256 << 20

  /// Where the configuration says that the admin listener is; `0.0.0.0` and `::` are reached over loopback.
  let address: SocketAddress
  private let token: Secret?

  private let loop: EventLoop
  private var request: [UInt8] = []
  private var stream: Stream?
  private var timer: TimerWheel.Timer?
  private var received: [UInt8] = []
  private var result: Result<AdminReply, AdminCallFailure>?

  init(_ configuration: GatewayConfiguration) throws(CommandFailure) {
    token = configuration.adminToken
    address =
      switch configuration.admin {
      case .ipv4(0, let port): .ipv4(0x7f00_0001, port: port)
      case .ipv6(0, 0, _, let port): .ipv6(high: 0, low: 1, scope: 0, port: port)
      case let address: address
      }
    if case .unix = address {
    } else if address.port == 0 {
      throw .unasked("admin.address has port 0: nobody knows where the gateway listens")
    }
    do throws(SystemError) { loop = try EventLoop() } catch { throw .unasked("\(error)") }
  }

  /// Calls and waits for the answer.
  /// - Parameters:
  ///   - body: JSON; nil: none.
  ///   - limit: for all of it.
  func call(
    _ method: String, _ path: String, body: Secret? = nil, within limit: Duration = .seconds(10)
  ) throws(AdminCallFailure) -> AdminReply {
    prepare(method, path, body)
    let timer = loop.timers.make(self)
    self.timer = timer
    // The loop's own clock stands still between calls.
    loop.timers.schedule(timer, at: Process.bootClockNanoseconds() + limit.nanoseconds)
    Connector.connect(loop, to: [address], timeout: limit.nanoseconds) { [self] result in
      switch result {
      case .success(let stream): connected(stream)
      case .failure(let failure): finish(.failure(self.failure(failure)))
      }
    }
    do throws(SystemError) {
      while result == nil { try loop.turn(waitingAtMost: -1) }
    } catch {
      finish(.failure(.failed("\(error)")))
    }
    guard let result else { throw .failed("no answer") }
    return try result.get()
  }

  private func prepare(_ method: String, _ path: String, _ body: Secret?) {
    received = []
    result = nil
    let host = if case .unix = address { "localhost" } else { "\(address)" }
    var text = "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\nX-Gateway-Admin: command\r\n"
    if let token { text += "Authorization: Bearer \(token.reveal())\r\n" }
    let content = body?.reveal() ?? ""
    if body != nil { text += "Content-Type: application/json\r\n" }
    if method != "GET" { text += "Content-Length: \(content.utf8.count)\r\n" }
    request = Array((text + "\r\n" + content).utf8)
  }

  private func failure(_ failure: ConnectFailure) -> AdminCallFailure {
    if failure.kind == .refused || failure.lastError?.errno == ECONNREFUSED { return .notRunning }
    if failure.lastError?.errno == ENOENT, case .unix = address { return .notRunning }
    return .failed("the admin listener at \(address) can't be reached: \(failure)")
  }

  private func connected(_ stream: Stream) {
    self.stream = stream
    stream.delegate = self
    let request = request
    stream.write(request.span)
    stream.flush()
  }

  private func finish(_ result: Result<AdminReply, AdminCallFailure>) {
    if self.result != nil { return }
    self.result = result
    request = []
    stream?.close()
    stream = nil
    if let timer { loop.timers.release(timer) }
    timer = nil
  }

  // MARK: The answer

  /// Its end is where the connection ends, and must be where the head says.
  private func complete() {
    var head = ResponseHead()
    let received = received
    do throws(WireError) {
      guard let count = try head.parse(received.span, isHeadRequest: false, limits: Self.limits) else {
        return finish(.failure(strange))
      }
      let body = Array(received.dropFirst(count))
      guard case .length(let length) = head.framing, UInt64(body.count) == length else {
        return finish(.failure(strange))
      }
      finish(.success(AdminReply(status: head.status, body: body)))
    } catch {
      finish(.failure(strange))
    }
  }

  /// - Throws: if the answer says that the token is missing or wrong.
  func expectAccess(_ reply: AdminReply) throws(AdminCallFailure) {
    if reply.status == 401 {
      throw .failed("the gateway at \(address) does not take admin.token of this configuration")
    }
  }

  var strange: AdminCallFailure { .failed("what answers at \(address) is not the gateway's admin listener") }

  func streamDidConnect(_ stream: Stream) {}
  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    for index in 0..<bytes.count { received.append(bytes[index]) }
    if received.count > Self.longest { finish(.failure(strange)) }
  }
  func streamDidFinishReading(_ stream: Stream) {}
  func streamDidEnd(_ stream: Stream) { complete() }
  func streamDidHangUp(_ stream: Stream) {}
  func streamDidDrain(_ stream: Stream) {}
  /// The answer may be there all the same.
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) {}
  func streamDidFail(_ stream: Stream, _ error: StreamError) {
    finish(.failure(.failed("the admin listener at \(address) broke off: \(error)")))
  }
  func timerFired(_ timer: TimerWheel.Timer) {
    finish(.failure(.failed("the admin listener at \(address) does not answer")))
  }
}
