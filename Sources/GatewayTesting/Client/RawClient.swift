// A blocking client for one connection and any bytes: for tests of the wire format, of half-closed peers and of readers
// that stall. It blocks its thread: call it from `OwnThread.run`.
package import EventLoop
package import TokenKit

/// A complete response.
package struct ReceivedResponse: Sendable, Equatable {
  package var head = MessageHead()
  package var body: [UInt8] = []
  package var trailers = FieldList()
  /// 1xx heads that came before.
  package var interim: [MessageHead] = []
  /// Bytes of the body and their fingerprint, when it was not kept.
  package var digest: BodyDigest?

  package init() {}

  package var status: Int { head.status }
  package var fields: FieldList { head.fields }
  package var bodyText: String { String(decoding: body, as: UTF8.self) }
  package var fingerprint: BodyDigest { digest ?? BodyDigest(body) }
  package var json: JSONValue? { JSONValue.parse(body) }
}

/// Why a response could not be had.
package enum ClientError: Error, Sendable, Equatable, CustomStringConvertible {
  case system(SystemError)
  case violation(MessageViolation)
  /// Nothing came within the time.
  case timedOut
  /// The connection ended before a response began.
  case closed
  /// A check of the test's own did not hold.
  case check(String)

  package var description: String {
    switch self {
    case .system(let error): error.description
    case .violation(let violation): violation.description
    case .timedOut: "timed out"
    case .closed: "closed without an answer"
    case .check(let text): text
    }
  }
}

/// Owns one connection. Not for two threads at once.
package final class RawClient {
  private let fd: Int32
  private var isOpen = true
  private var reader = MessageReader(.responses)
  private var hasEnded = false

  /// - Parameter receiveBuffer: bytes that the kernel takes while nobody reads; nil: megabytes.
  package init(to address: SocketAddress, receiveBuffer: Int32? = nil) throws(ClientError) {
    Process.ignoreBrokenPipes()
    do throws(SystemError) { fd = try TCP.connect(to: address, receiveBuffer: receiveBuffer) } catch {
      throw .system(error)
    }
  }

  deinit { close() }

  package func close(resetting: Bool = false) {
    if !isOpen { return }
    isOpen = false
    if resetting { Socket.resetOnClose(fd) }
    Socket.close(fd)
  }

  /// Ends the sending direction only.
  package func shutdownWriting() { Socket.shutdownWriting(fd) }

  package func send(_ text: String, within limit: Duration = .seconds(10)) throws(ClientError) {
    try send(Array(text.utf8), within: limit)
  }

  /// Writes all of it, as fast as the peer takes it.
  package func send(_ bytes: [UInt8], within limit: Duration = .seconds(10)) throws(ClientError) {
    if try sendSome(bytes, within: limit) < bytes.count { throw .timedOut }
  }

  /// Writes until the peer has taken nothing for `limit`.
  /// - Returns: how many bytes went out.
  package func sendSome(_ bytes: [UInt8], within limit: Duration) throws(ClientError) -> Int {
    var sent = 0
    while sent < bytes.count {
      do throws(SystemError) {
        let count = try TCP.send(fd, bytes[sent...])
        sent += count
        if count == 0, !TCP.wait(fd, forWriting: true, atMost: limit) { return sent }
      } catch {
        throw .system(error)
      }
    }
    return sent
  }

  /// Writes the bytes one at a time, a send call each: every split point of a parser.
  package func drip(_ text: String) throws(ClientError) {
    for byte in text.utf8 { try send([byte]) }
  }

  /// The next response, 1xx heads included.
  /// - Parameters:
  ///   - toHead: it answers a HEAD request.
  ///   - keepsBody: false counts and fingerprints the body only.
  package func response(
    toHead: Bool = false, keepsBody: Bool = true, within limit: Duration = .seconds(10)
  ) throws(ClientError) -> ReceivedResponse {
    let end = ContinuousClock().now + limit
    var response = ReceivedResponse()
    if !keepsBody { response.digest = BodyDigest() }
    if !reader.isInMessage { reader.expectAnswer(toHead: toHead) }
    while true {
      guard let event = try nextEvent(until: end) else { throw .closed }
      switch event {
      case .head(let head): response.head = head
      case .data(let data):
        if keepsBody { response.body += data } else { response.digest?.add(data) }
      case .end(let trailers):
        if response.status < 200, response.status != 101 {
          response.interim.append(response.head)
          continue
        }
        response.trailers = trailers
        return response
      }
    }
  }

  /// The head of the next response only; its body is read by what is called next.
  package func head(within limit: Duration = .seconds(10)) throws(ClientError) -> MessageHead {
    guard let event = try nextEvent(until: ContinuousClock().now + limit) else { throw .closed }
    guard case .head(let head) = event else { throw .check("no head, but \(event)") }
    return head
  }

  /// The next step of the response, nil at the end of the connection between responses.
  package func event(within limit: Duration = .seconds(10)) throws(ClientError) -> MessageEvent? {
    try nextEvent(until: ContinuousClock().now + limit)
  }

  private func nextEvent(until end: ContinuousClock.Instant) throws(ClientError) -> MessageEvent? {
    while true {
      do throws(MessageViolation) {
        if let event = try reader.next() { return event }
      } catch {
        throw .violation(error)
      }
      if hasEnded { return nil }
      switch try receive(until: end) {
      case .bytes(let bytes): reader.feed(bytes.span)
      case .end, .wouldBlock:
        hasEnded = true
        if reader.isInMessage { reader.feedEnd() } else { return nil }
      }
    }
  }

  /// Every byte until the peer closes, unparsed.
  package func bytesToEnd(within limit: Duration = .seconds(10)) throws(ClientError) -> [UInt8] {
    let end = ContinuousClock().now + limit
    var all: [UInt8] = []
    while case .bytes(let bytes) = try receive(until: end) { all += bytes }
    return all
  }

  /// Reads until the peer closes, as fast as it sends, and keeps nothing.
  /// - Returns: how many bytes came.
  package func discardToEnd(within limit: Duration = .seconds(10)) throws(ClientError) -> Int {
    let end = ContinuousClock().now + limit
    var count = 0
    while case .bytes(let bytes) = try receive(until: end) { count += bytes.count }
    return count
  }

  /// Whether the peer closes within the time; what it sends until then is dropped. A reset counts.
  package func isClosedByPeer(within limit: Duration = .seconds(10)) -> Bool {
    do throws(ClientError) {
      _ = try bytesToEnd(within: limit)
      return true
    } catch {
      return error != .timedOut
    }
  }

  private func receive(until end: ContinuousClock.Instant) throws(ClientError) -> TCP.Received {
    while true {
      do throws(SystemError) {
        let received = try TCP.receive(fd, atMost: 256 * 1024)
        if case .wouldBlock = received {
          let left = end - ContinuousClock().now
          if left > .zero, TCP.wait(fd, forWriting: false, atMost: left) { continue }
        } else {
          return received
        }
      } catch {
        throw .system(error)
      }
      throw .timedOut
    }
  }
}

extension RawClient {
  /// One request on a connection of its own.
  /// - Parameter fields: without Host, Content-Length and Connection.
  package static func request(
    _ method: String, _ target: String, to address: SocketAddress, fields: FieldList = FieldList(),
    body: [UInt8]? = nil, within limit: Duration = .seconds(10)
  ) throws(ClientError) -> ReceivedResponse {
    let client = try RawClient(to: address)
    var text = "\(method) \(target) HTTP/1.1\r\n"
    if !fields.contains("Host") { text += "Host: \(address)\r\n" }
    for line in fields.lines { text += "\(line.name): \(line.value)\r\n" }
    if let body { text += "Content-Length: \(body.count)\r\n" }
    try client.send(Array("\(text)Connection: close\r\n\r\n".utf8) + (body ?? []), within: limit)
    return try client.response(toHead: method == "HEAD", within: limit)
  }
}
