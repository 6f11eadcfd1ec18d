// Bodies that the kernel passes on between two sockets: nothing lost, doubled or out of order, whatever either side does.
import GatewayTesting
import Glibc
import Testing

@testable import EventLoop

@Suite struct StreamRelayTests {
  private let test: TestLoop
  /// What the sender writes to comes out of `source`; what goes into `sink` reaches the receiver.
  private let source: Stream
  private let sink: Stream
  private let sender: RawSocket
  private let receiver: RawSocket
  private let sourceRecorder = StreamRecorder()
  private let sinkRecorder = StreamRecorder()

  init() throws {
    Process.ignoreBrokenPipes()
    test = try TestLoop()
    test.loop.relays.limit = 1
    let (in1, in2) = try Pairs.tcp()
    let (out1, out2) = try Pairs.tcp()
    sender = in1
    receiver = out2
    source = try Stream(test.loop, connected: in2.take())
    sink = try Stream(test.loop, connected: out1.take())
    source.delegate = sourceRecorder
    sink.delegate = sinkRecorder
    // As a proxy does it.
    let (source, sink) = (source, sink)
    sourceRecorder.onRelay = { _, _ in if sink.isFull { source.pause() } }
    sinkRecorder.onDrain = { source.resume() }
    try test.settle()
  }

  private func close() {
    source.close()
    sink.close()
  }

  /// Relays until the receiver's buffers are full.
  private func fill() throws {
    source.relay(to: sink, atMost: 60_000_000)
    let bytes = pattern(300_000)
    try test.turn(until: "the receiver's buffers are full") {
      sender.send(bytes)
      return source.isPaused
    }
  }

  /// Sends all of it while the receiver takes what comes, at most `take` bytes a turn, until it has `count` or the end.
  private func exchange(_ bytes: [UInt8], take: Int = 1 << 18, until count: Int) throws -> [UInt8] {
    var (sent, received) = (0, [UInt8]())
    var hasEnded = false
    try test.turn(until: "\(count) bytes") {
      if sent < bytes.count { sent += sender.send(bytes[sent..<min(bytes.count, sent + 300_000)]) }
      switch receiver.receive(take) {
      case .bytes(let more): received += more
      case .end, .failed: hasEnded = true
      case .nothing: break
      }
      return received.count >= count || hasEnded
    }
    return received
  }

  @Test("Everything arrives once and in order, behind what was written before", arguments: [1 << 18, 20_000])
  func whole(take: Int) throws {
    let bytes = pattern(4_000_000)
    sink.write("head, ")
    source.relay(to: sink, atMost: UInt64(bytes.count))
    #expect(try exchange(bytes, take: take, until: bytes.count + 6) == Array("head, ".utf8) + bytes)
    #expect(sourceRecorder.relayed == bytes.count && sourceRecorder.bytes.isEmpty)
    #expect(!sourceRecorder.wasReadWhilePaused)
    #expect(sink.sent == UInt64(bytes.count + 6) && sink.unsent == 0)
    close()
  }

  @Test("A receiver that does not read makes the sender wait, and what is under way is bounded")
  func backpressure() throws {
    let bytes = pattern(60_000_000)
    source.relay(to: sink, atMost: UInt64(bytes.count))
    var sent = 0
    try test.turn(until: "nothing more is taken") {
      let more = sender.send(bytes[sent..<min(bytes.count, sent + 300_000)])
      sent += more
      return more == 0 && source.isPaused
    }
    #expect(sent < bytes.count && sink.unsent > 0 && sink.isFull && sink.unsent <= EventLoop.scratchSize)
    #expect(try exchange(Array(bytes[sent...]), until: bytes.count) == bytes)
    #expect(sinkRecorder.drains > 0)
    close()
  }

  @Test("What follows the last byte is read again, until the next body")
  func readsAgain() throws {
    let bytes = pattern(1_000_000)
    for round in 1...3 {
      source.relay(to: sink, atMost: UInt64(bytes.count))
      #expect(try exchange(bytes + Array("next".utf8), until: bytes.count) == bytes)
      try test.turn(until: "the rest") { sourceRecorder.text == String(repeating: "next", count: round) }
      #expect(sourceRecorder.relayed == round * bytes.count)
    }
    close()
  }

  @Test("Without a relay left, or once one is ended, bytes are read")
  func readInstead() throws {
    let bytes = pattern(500_000)
    test.loop.relays.limit = 0
    source.relay(to: sink, atMost: UInt64(bytes.count))
    #expect(sender.send(bytes[..<100_000]) == 100_000)
    try test.turn(until: "they are read") { sourceRecorder.bytes.count == 100_000 }
    test.loop.relays.limit = 1
    source.relay(to: sink, atMost: UInt64(bytes.count))
    #expect(try exchange(Array(bytes[100_000..<200_000]), until: 100_000) == Array(bytes[100_000..<200_000]))
    source.endRelay()
    #expect(sender.send(bytes[200_000..<300_000]) == 100_000)
    try test.turn(until: "they are read") { sourceRecorder.bytes.count == 200_000 }
    #expect(sourceRecorder.bytes == Array(bytes[..<100_000] + bytes[200_000..<300_000]))
    close()
  }

  @Test("A sender that ends in the middle is an end; what it sent still arrives, then ours")
  func senderEnds() throws {
    let bytes = pattern(3_000_000)
    source.relay(to: sink, atMost: UInt64(bytes.count + 1))
    var sent = 0
    try test.turn(until: "it is all under way") {
      sent += sender.send(bytes[sent..<min(bytes.count, sent + 300_000)])
      if sent < bytes.count, case .bytes = receiver.receive(0) {}
      return sent == bytes.count || source.isPaused
    }
    let (kept, recorder) = (sink, sourceRecorder)
    sender.shutdownWriting()
    recorder.onFinishReading = { _ in if recorder.ends > 0 { kept.shutdownWriting() } }
    #expect(try exchange([], until: .max) == Array(bytes[..<sent]))
    #expect(sourceRecorder.ends == 1 && source.endedCleanly)
    close()
  }

  @Test("A receiver that goes away ends the relay: what still comes is read", arguments: [false, true])
  func receiverGoes(resetting: Bool) throws {
    try fill()
    receiver.close(resetting: resetting)
    try test.turn(until: "the sink has failed") { sinkRecorder.writeError != nil || sinkRecorder.hasEnded }
    #expect(sink.unsent == 0)
    source.resume()
    try test.turn(until: "they are read") {
      sender.send("x")
      return !sourceRecorder.bytes.isEmpty
    }
    close()
    // Its place is free again.
    #expect(test.loop.relays.acquire() != nil)
  }

  @Test("Closing either end with bytes in the pipe frees the descriptors", arguments: [false, true])
  func closing(sourceFirst: Bool) throws {
    try fill()
    weak let used = source.relay
    #expect(used?.waiting ?? 0 > 0)
    if sourceFirst {
      source.close()
      sink.close()
    } else {
      sink.close()
      source.close()
    }
    // With it its descriptors, and its place among those in use.
    #expect(used == nil && test.loop.relays.acquire() != nil)
  }
}
