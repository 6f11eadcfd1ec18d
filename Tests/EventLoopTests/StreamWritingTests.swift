// How a stream writes: gathering, backpressure, ends, and failures that must not hide the peer's answer.
import GatewayTesting
import Glibc
import Testing

@testable import EventLoop

@Suite struct StreamWritingTests {
  private let test: TestLoop
  private let stream: Stream
  private let peer: RawSocket
  private let recorder = StreamRecorder()

  init() throws {
    test = try TestLoop()
    let (near, far) = try Pairs.tcp()
    peer = far
    stream = try Stream(test.loop, connected: near.take())
    stream.delegate = recorder
    try test.settle()
  }

  /// Reads what the peer has got until its end or `count` bytes.
  private func received(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try test.turn(until: "\(count) bytes") {
      if case .bytes(let more) = peer.receive() { bytes += more }
      return bytes.count >= count
    }
    return bytes
  }

  @Test("Small writes leave together, and only with flush")
  func gathering() throws {
    stream.write("head, ")
    stream.write(capacity: 100) { output in for byte in "and ".utf8 { output.append(byte) } }
    stream.write("body")
    #expect(stream.unsent == 14)
    try test.settle()
    #expect(peer.receive() == .nothing)
    stream.flush()
    #expect(stream.unsent == 0)
    #expect(stream.sent == 14)
    #expect(try String(decoding: received(14), as: UTF8.self) == "head, and body")
    stream.close()
  }

  @Test("What the socket does not take waits, in order, and its end is told", arguments: [1000, 20_000, 100_000])
  func backpressure(piece: Int) throws {
    let bytes = pattern(12_000_000)
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + piece)
      stream.write(Array(bytes[start..<end]).span)
      stream.flush()
      start = end
    }
    #expect(stream.unsent > 0)
    #expect(recorder.drains == 0)
    #expect(try received(bytes.count) == bytes)
    try test.turn(until: "drained") { recorder.drains > 0 }
    #expect(stream.unsent == 0)
    #expect(stream.sent == UInt64(bytes.count))
    #expect(recorder.drains == 1)
    stream.close()
  }

  @Test("shutdownWriting comes after what waits")
  func shutdownAfterData() throws {
    let bytes = pattern(12_000_000)
    stream.write(bytes.span)
    #expect(stream.unsent > 0)
    stream.shutdownWriting()
    var received: [UInt8] = []
    var hasEnded = false
    try test.turn(until: "the end") {
      switch peer.receive() {
      case .bytes(let more): received += more
      case .end: hasEnded = true
      case .nothing: break
      case .failed(let number): throw SystemError("recv", errno: number)
      }
      return hasEnded
    }
    #expect(received == bytes)
    peer.send("answer")
    try test.turn(until: "the answer") { recorder.text == "answer" }
    stream.close()
  }

  @Test("A failed write leaves the answer readable, and a reset is not a clean end")
  func answerAfterFailedWrite() throws {
    stream.write("request")
    stream.flush()
    try test.turn(until: "the request is there") {
      var available: Int32 = 0
      _ = unsafe ioctl(peer.fd, UInt(FIONREAD), &available)
      return available == 7
    }
    peer.send("answer")
    // Closing with bytes unread makes the kernel send a reset.
    peer.close()
    stream.write("more of it")
    stream.flush()
    try test.turn(until: "the failure to write") {
      if recorder.writeError == nil, !recorder.hasEnded {
        stream.write("more of it")
        stream.flush()
      }
      return recorder.writeError != nil || recorder.hasEnded
    }
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(recorder.text == "answer")
    #expect(!stream.endedCleanly)
    stream.close()
  }

  @Test("After a failed write further ones are dropped and told no more")
  func afterFailure() throws {
    peer.close(resetting: true)
    // Not turned in between: the reset is met by the write.
    try Deadline.block("a write fails") {
      stream.write("x")
      stream.flush()
      return recorder.writeError != nil
    }
    #expect(stream.hasWriteFailed)
    recorder.writeError = nil
    stream.write(pattern(100_000).span)
    stream.flush()
    #expect(recorder.writeError == nil)
    #expect(stream.unsent == 0)
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(!stream.endedCleanly)
    stream.close()
  }

  @Test("A close that resets shows as a reset")
  func resettingClose() throws {
    stream.write("half of it")
    stream.flush()
    stream.close(resetting: true)
    var last = RawSocket.Received.nothing
    try test.turn(until: "the end of the connection") {
      last = peer.receive()
      if case .bytes = last { return false }
      return last != .nothing
    }
    #expect(last == .failed(ECONNRESET))
  }

  @Test("A stream that connects keeps what is written until it can be sent")
  func writeBeforeConnected() throws {
    let listening = RawSocket(try Socket.listen(on: loopback))
    let early = try Stream(
      test.loop, connecting: Socket.startConnecting(to: Socket.localAddress(listening.fd)))
    let recorder = StreamRecorder()
    early.delegate = recorder
    early.write("early")
    early.flush()
    #expect(early.unsent == 5)
    try test.turn(until: "connected") { recorder.connects == 1 }
    let accepted = RawSocket(try #require(try Socket.accept(listening.fd)).fd)
    var received = RawSocket.Received.nothing
    try test.turn(until: "the bytes") {
      received = accepted.receive()
      return received != .nothing
    }
    #expect(received == .bytes(Array("early".utf8)))
    early.close()
  }
}
