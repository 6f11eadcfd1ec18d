// A token endpoint that does to its connections what a test says, on the loop that the transport is on.
import EventLoop
import Testing

/// Reads requests and answers each by script. Confined to the test's loop.
final class ScriptedServer {
  enum Action {
    case send(String)
    case sendBytes([UInt8])
    case close
    case reset
  }

  /// What is done when a whole request has come.
  typealias Script = (_ request: String, _ number: Int) -> [Action]

  let port: UInt16
  private(set) var connections = 0
  /// Whole requests, as received.
  private(set) var requests: [String] = []

  private let loop: EventLoop
  private let fd: Int32
  private var listener: Listener?
  private let onAccept: [Action]
  private let script: Script
  private var peers: [Peer] = []

  init(_ loop: EventLoop, host: String = "127.0.0.1", onAccept: [Action] = [], script: @escaping Script) throws {
    self.loop = loop
    self.onAccept = onAccept
    self.script = script
    fd = try Socket.listen(on: try #require(SocketAddress(numeric: host, port: 0)))
    port = try Socket.localAddress(fd).port
    listener = try Listener(loop, fd: fd) { [weak self] connection, _ in self?.accept(connection) }
  }

  /// Always the same answer.
  convenience init(_ loop: EventLoop, host: String = "127.0.0.1", answering answer: String) throws {
    try self.init(loop, host: host) { _, _ in [.send(answer)] }
  }

  deinit {
    listener?.drain()
    for peer in peers { peer.stream.close() }
    Socket.close(fd)
  }

  private func accept(_ connection: Int32) {
    connections += 1
    guard let stream = try? Stream(loop, connected: connection) else { return Socket.close(connection) }
    let peer = Peer(stream) { [weak self] request in
      guard let self else { return [] }
      requests.append(request)
      return script(request, requests.count)
    }
    peers.append(peer)
    peer.carryOut(onAccept)
  }

  /// Answers every connection that has sent a request, for scripts that wait for several.
  func sendToAll(_ text: String) { for peer in peers { peer.carryOut([.send(text)]) } }

  /// `HTTP/1.1 200 OK` with a length.
  static func ok(_ body: String, _ fields: String = "") -> String {
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  private final class Peer: StreamDelegate {
    let stream: Stream
    private var bytes: [UInt8] = []
    private let answer: (String) -> [Action]

    init(_ stream: Stream, answer: @escaping (String) -> [Action]) {
      self.stream = stream
      self.answer = answer
      stream.delegate = self
    }

    func carryOut(_ actions: [Action]) {
      for action in actions {
        switch action {
        case .send(let text): stream.write(Array(text.utf8).span)
        case .sendBytes(let bytes): stream.write(bytes.span)
        case .close:
          // Closing drops what was not sent yet.
          stream.flush()
          stream.close()
        case .reset: stream.close(resetting: true)
        }
      }
      stream.flush()
    }

    func stream(_ stream: Stream, didRead span: Span<UInt8>) {
      for index in span.indices { bytes.append(span[index]) }
      while let count = wholeRequest() {
        let request = String(decoding: bytes.prefix(count), as: UTF8.self)
        bytes.removeFirst(count)
        carryOut(answer(request))
      }
    }

    /// Bytes of the first request in `bytes`, if it is complete.
    private func wholeRequest() -> Int? {
      let text = String(decoding: bytes, as: UTF8.self)
      guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
      let head = text[..<end.upperBound]
      var length = 0
      for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix("content-length: ") {
        length = Int(line.dropFirst(16)) ?? 0
      }
      let total = head.utf8.count + length
      return bytes.count >= total ? total : nil
    }

    func streamDidConnect(_ stream: Stream) {}
    func streamDidFinishReading(_ stream: Stream) {}
    func streamDidEnd(_ stream: Stream) { stream.close() }
    func streamDidHangUp(_ stream: Stream) {}
    func streamDidDrain(_ stream: Stream) {}
    func streamDidFailWriting(_ stream: Stream, _ error: StreamError) {}
    func streamDidFail(_ stream: Stream, _ error: StreamError) {}
  }
}
