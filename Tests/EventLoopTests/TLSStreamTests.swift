// TLS streams after the handshake: bulk data, records, ends with and without close_notify, resumption.
import COpenSSL
import GatewayTesting
import Glibc
import Testing

@testable import EventLoop

@Suite struct TLSStreamTests {
  private let certificates: Certificates
  private let test: TestLoop
  private let recorder = StreamRecorder()

  init() throws {
    Process.ignoreBrokenPipes()
    certificates = try Certificates.shared()
    test = try TestLoop()
  }

  private func server(
    _ versions: ClosedRange<Int32> = TLS1_2_VERSION...TLS1_3_VERSION, script: @escaping @Sendable (TLSPeer) -> Void
  ) throws -> TLSServer {
    try TLSServer(.init(certificate: certificates.good, versions: versions), script: script)
  }

  private func connect(_ server: TLSServer, _ recorder: StreamRecorder) throws -> Stream {
    try test.connect(to: [server.address], "origin.test", authority: certificates.authority, recorder: recorder).get()
  }

  @Test("Head and body that are flushed together leave as one record")
  func oneRecord() throws {
    let records = Log<[UInt8]>()
    let server = try server { peer in
      while let record = peer.read(), !record.isEmpty {
        records.add(record)
        peer.write("ok")
      }
    }
    let stream = try connect(server, recorder)
    stream.write("head ")
    stream.write("body")
    stream.flush()
    try test.turn(until: "the answer") { recorder.text == "ok" }
    #expect(records.entries.map { String(decoding: $0, as: UTF8.self) } == ["head body"])
    #expect(stream.sent == 9)
    #expect(recorder.reads == 1)
    stream.close()
  }

  @Test("Megabytes both ways under backpressure and pauses, byte for byte", arguments: [1000, 16_384, 20_000, 300_000])
  func bulk(piece: Int) throws {
    let bytes = pattern(10_000_000)
    let isWritten = Latch()
    let server = try server { peer in
      // The sender must meet backpressure: nothing is read before it has written all.
      isWritten.wait()
      let held = peer.read(exactly: 10_000_000)
      peer.write(held)
      _ = peer.read()
    }
    let stream = try connect(server, recorder)
    recorder.onRead = { stream, _ in stream.pause() }
    recorder.onFinishReading = { $0.resume() }
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + piece)
      stream.write(Array(bytes[start..<end]).span)
      stream.flush()
      start = end
    }
    #expect(stream.unsent > 0)
    isWritten.open()
    try test.turn(until: "the echo", within: 60) { recorder.bytes.count >= bytes.count || recorder.hasEnded }
    #expect(recorder.bytes == bytes)
    #expect(recorder.error == nil)
    #expect(!recorder.wasReadWhilePaused)
    #expect(stream.sent == UInt64(bytes.count))
    stream.close()
  }

  @Test("What was queued before a large write goes first")
  func queuedBeforeLarge() throws {
    let received = Log<[UInt8]>()
    let body = pattern(100_000)
    let server = try server { peer in
      received.add(peer.read(exactly: 100_005))
      peer.write("ok")
    }
    let stream = try connect(server, recorder)
    stream.write("head ")
    stream.write(body.span)
    stream.flush()
    try test.turn(until: "the answer") { recorder.text == "ok" }
    #expect(received.entries == [Array("head ".utf8) + body])
    stream.close()
  }

  @Test("A server that speaks at once loses nothing on the way to the delegate")
  func serverFirst() throws {
    let server = try server { peer in
      peer.write("welcome")
      peer.sayGoodbye()
    }
    _ = try connect(server, recorder)
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(recorder.text == "welcome")
  }

  @Test(
    "An end with close_notify is clean, one without is not, and both deliver what came before",
    arguments: [true, false])
  func ending(cleanly: Bool) throws {
    let server = try server { peer in
      _ = peer.read()
      peer.write("part of it")
      if cleanly { peer.sayGoodbye() }
    }
    let stream = try connect(server, recorder)
    stream.write("get")
    stream.flush()
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(recorder.text == "part of it")
    #expect(recorder.ends == 1)
    #expect(stream.endedCleanly == cleanly)
    #expect(recorder.error == nil)
    stream.close()
  }

  @Test("A connection that is cut within a record does not end cleanly")
  func cutRecord() throws {
    let server = try server { peer in
      _ = peer.read()
      // The beginning of a record of 100 bytes.
      let piece: [UInt8] = [23, 3, 3, 0, 100, 1, 2, 3]
      _ = unsafe send(peer.fd, piece, piece.count, Int32(MSG_NOSIGNAL))
    }
    let stream = try connect(server, recorder)
    stream.write("get")
    stream.flush()
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(recorder.ends == 1)
    #expect(!stream.endedCleanly)
    stream.close()
  }

  @Test("A forged record fails the stream")
  func forgedRecord() throws {
    let server = try server { peer in
      _ = peer.read()
      let forged: [UInt8] = [23, 3, 3, 0, 40] + [UInt8](repeating: 9, count: 40)
      _ = unsafe send(peer.fd, forged, forged.count, Int32(MSG_NOSIGNAL))
      _ = peer.read()
    }
    let stream = try connect(server, recorder)
    stream.write("get")
    stream.flush()
    try test.turn(until: "the failure") { recorder.hasEnded }
    guard case .tls(let error) = recorder.error else {
      Issue.record("no TLS error: \(String(describing: recorder.error))")
      return
    }
    #expect(error.reason == .protocolViolation)
  }

  @Test("After the server's end we can still send, and our own end is said", arguments: [true, false])
  func ourEnd(shutdown: Bool) throws {
    let ends = Log<[UInt8]?>()
    let server = try server { peer in
      peer.write("first")
      peer.sayGoodbye()
      ends.add(peer.read())
      ends.add(peer.read())
    }
    let stream = try connect(server, recorder)
    try test.turn(until: "the server's end") { recorder.hasEnded }
    stream.write("last")
    stream.flush()
    if shutdown { stream.shutdownWriting() } else { stream.close() }
    try test.turn(until: "the server has seen it") { ends.entries.count == 2 }
    #expect(ends.entries == [Array("last".utf8), []])
    stream.close()
  }

  @Test("No close_notify makes a cut message look whole", arguments: [true, false])
  func noGoodbye(resetting: Bool) throws {
    let ends = Log<[UInt8]?>()
    let server = try server { peer in
      ends.add(peer.read())
      ends.add(peer.read())
    }
    let stream = try connect(server, recorder)
    stream.write("part")
    stream.flush()
    try test.turn(until: "the first part") { ends.entries.count == 1 }
    // Queued and never sent.
    if !resetting { stream.write("rest") }
    stream.close(resetting: resetting)
    try test.turn(until: "the end") { ends.entries.count == 2 }
    #expect(ends.entries == [Array("part".utf8), nil])
  }

  @Test("New keys in the middle of the stream go unnoticed (RFC 8446, 4.6.3)")
  func keyUpdate() throws {
    let server = try server(TLS1_3_VERSION...TLS1_3_VERSION) { peer in
      while let bytes = peer.read(), !bytes.isEmpty {
        peer.updateKeys()
        peer.write(bytes)
      }
    }
    let stream = try connect(server, recorder)
    for round in 1...5 {
      stream.write("ping")
      stream.flush()
      try test.turn(until: "echo \(round)") { recorder.bytes.count == 4 * round }
    }
    #expect(recorder.text == String(repeating: "ping", count: 5))
    stream.close()
  }

  @Test(
    "The next connection resumes the session, and one under another name does not",
    arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func resumption(version: Int32) throws {
    let resumed = Log<Bool>()
    let server = try server(version...version) { peer in
      resumed.add(peer.isResumed)
      while let bytes = peer.read(), !bytes.isEmpty { peer.write(bytes) }
    }
    for name in ["origin.test", "origin.test", "origin.test", "127.0.0.1"] {
      let recorder = StreamRecorder()
      let stream = try test.connect(
        to: [server.address], name, authority: certificates.authority, recorder: recorder
      ).get()
      stream.write("ping")
      stream.flush()
      // The tickets of TLS 1.3 come before the first answer.
      try test.turn(until: "the echo") { recorder.text == "ping" }
      #expect(stream.tls?.isResumed == resumed.entries.last)
      stream.close()
    }
    #expect(resumed.entries == [false, true, true, false])
  }

  @Test("A failed write leaves the answer readable")
  func answerAfterFailedWrite() throws {
    let isDone = Log<Bool>()
    let server = try server { peer in
      _ = peer.read()
      peer.write("answer")
      // Bytes that are not read make the close a reset.
      while true {
        var available: Int32 = 0
        _ = unsafe ioctl(peer.fd, UInt(FIONREAD), &available)
        if available > 0 { break }
        usleep(1000)
      }
      isDone.add(true)
    }
    let stream = try connect(server, recorder)
    stream.pause()
    stream.write("request")
    stream.flush()
    stream.write("more")
    stream.flush()
    try test.turn(until: "the failure to write") {
      if !isDone.entries.isEmpty, recorder.writeError == nil {
        stream.write("more")
        stream.flush()
      }
      return recorder.writeError != nil
    }
    stream.resume()
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(recorder.text == "answer")
    #expect(!stream.endedCleanly)
    stream.close()
  }
}
