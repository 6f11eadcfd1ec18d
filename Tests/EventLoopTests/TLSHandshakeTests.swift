// TLS handshakes: whom we trust, under which name, and what a failure is called.
import COpenSSL
import GatewayTesting
import Glibc
import Testing

@testable import EventLoop

@Suite struct TLSHandshakeTests {
  private let certificates: Certificates
  private let test: TestLoop
  private let recorder = StreamRecorder()

  init() throws {
    Process.ignoreBrokenPipes()
    certificates = try Certificates.shared()
    test = try TestLoop()
  }

  private static let echo: @Sendable (TLSPeer) -> Void = { peer in
    while let bytes = peer.read(), !bytes.isEmpty { peer.write(bytes) }
  }

  private func failure(_ result: Result<Stream, ConnectFailure>) throws -> ConnectFailure {
    switch result {
    case .failure(let failure): return failure
    case .success(let stream):
      stream.close()
      throw NotInTime(description: "it connected")
    }
  }

  @Test("A verified peer is spoken to", arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func verified(version: Int32) throws {
    let server = try TLSServer(.init(certificate: certificates.good, versions: version...version), script: Self.echo)
    let stream = try test.connect(
      to: [server.address], "origin.test", authority: certificates.authority, recorder: recorder
    ).get()
    #expect(stream.tls?.version == (version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3"))
    stream.write("ping")
    stream.flush()
    try test.turn(until: "the echo") { recorder.text == "ping" }
    stream.close()
  }

  @Test(
    "Names are sent as SNI without a trailing dot, literals are not (RFC 6066, 3); both are verified",
    arguments: [
      ("origin.test", "origin.test"), ("ORIGIN.test", "ORIGIN.test"), ("origin.test.", "origin.test"),
      ("127.0.0.1", nil), ("::1", nil),
    ] as [(String, String?)])
  func serverName(name: String, sent: String?) throws {
    let seen = Log<String?>()
    let address = name == "::1" ? loopback6 : loopback
    let server = try TLSServer(.init(certificate: certificates.good, address: address)) { seen.add($0.serverName) }
    let stream = try test.connect(
      to: [server.address], name, authority: certificates.authority, recorder: recorder
    ).get()
    try test.turn(until: "the server has seen it") { !seen.entries.isEmpty }
    #expect(seen.entries == [sent])
    stream.close()
  }

  @Test(
    "A certificate for another name or address is refused",
    arguments: ["other.test", "sub.origin.test", "test", "127.0.0.2", "::2"])
  func wrongName(name: String) throws {
    let server = try TLSServer(.init(certificate: certificates.good), script: Self.echo)
    let failure = try failure(
      test.connect(to: [server.address], name, authority: certificates.authority, recorder: recorder))
    #expect(failure.tlsReason == .certificateNameMismatch, "\(failure)")
    #expect(recorder.connects == 0)
  }

  @Test("An expired certificate is refused")
  func expired() throws {
    let server = try TLSServer(.init(certificate: certificates.expired), script: Self.echo)
    let failure = try failure(
      test.connect(to: [server.address], "origin.test", authority: certificates.authority, recorder: recorder))
    #expect(failure.tlsReason == .certificateExpired)
    #expect(failure.kind == .tlsFailure(TLSError(.certificateExpired, "certificate has expired")))
  }

  @Test("An authority that is not ours is refused, with a bundle and with the system's")
  func unknownAuthority() throws {
    let server = try TLSServer(.init(certificate: certificates.other), script: Self.echo)
    for authority in [certificates.authority, nil] {
      let failure = try failure(
        test.connect(to: [server.address], "origin.test", authority: authority, recorder: recorder))
      #expect(failure.tlsReason == .certificateUnknownAuthority, "\(failure)")
    }
  }

  @Test("A server that only speaks older versions is refused (RFC 8996)")
  func oldVersion() throws {
    let server = try TLSServer(
      .init(certificate: certificates.good, versions: TLS1_VERSION...TLS1_1_VERSION), script: Self.echo)
    let failure = try failure(
      test.connect(to: [server.address], "origin.test", authority: certificates.authority, recorder: recorder))
    #expect(failure.tlsReason == .handshakeFailure, "\(failure)")
  }

  @Test("A server that does not speak TLS is told apart from one that hangs up")
  func noTLS() throws {
    let plain = try TLSServer(.init(certificate: certificates.good)) { fd in
      let answer = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
      _ = unsafe send(fd, answer, answer.count, Int32(MSG_NOSIGNAL))
      return false
    } script: { _ in
    }
    var result = try test.connect(
      to: [plain.address], "origin.test", authority: certificates.authority, recorder: recorder)
    #expect(try failure(result).tlsReason == .protocolViolation)

    let silent = try TLSServer(.init(certificate: certificates.good)) { fd in
      // The greeting is read first: closing with bytes unread would be a reset.
      var buffer = [UInt8](repeating: 0, count: 4096)
      _ = unsafe recv(fd, &buffer, buffer.count, 0)
      return false
    } script: { _ in
    }
    result = try test.connect(
      to: [silent.address], "origin.test", authority: certificates.authority, recorder: recorder)
    #expect(try failure(result).tlsReason == .handshakeClosed)
  }

  @Test("A reset in the handshake keeps what the system said")
  func reset() throws {
    let server = try TLSServer(.init(certificate: certificates.good)) { fd in
      // A reset before the greeting could meet the connecting instead of the handshake.
      var buffer = [UInt8](repeating: 0, count: 4096)
      _ = unsafe recv(fd, &buffer, buffer.count, 0)
      Socket.resetOnClose(fd)
      return false
    } script: { _ in
    }
    let failure = try failure(
      test.connect(to: [server.address], "origin.test", authority: certificates.authority, recorder: recorder))
    #expect(failure.tlsReason == .handshakeClosed)
    #expect(failure.lastError?.errno == ECONNRESET || failure.lastError?.errno == EPIPE)
  }

  @Test("A handshake that does not come to an end ends with the deadline")
  func handshakeTimeout() throws {
    let listening = RawSocket(try Socket.listen(on: loopback))
    let address = try Socket.localAddress(listening.fd)
    let failure = try failure(
      test.connect(
        to: [address], "origin.test", authority: certificates.authority, recorder: recorder, timeout: 100_000_000))
    #expect(failure.kind == .timedOut)
  }

  @Test("Names that no certificate can have are an error, not any name", arguments: ["", ".", "a\0.test"])
  func badName(name: String) throws {
    let server = try TLSServer(.init(certificate: certificates.good), script: Self.echo)
    let failure = try failure(
      test.connect(to: [server.address], name, authority: certificates.authority, recorder: recorder))
    #expect(failure.tlsReason == .library)
  }

  @Test("A bundle is read once, and again when it was replaced; one that cannot be used is an error")
  func bundles() throws {
    let directory = try TemporaryDirectory()
    let pem = try #require(TemporaryDirectory.read(certificates.authority))
    let path = try directory.write("ca.pem", pem)
    let first = try TLSClientContext.shared(caFile: path)
    #expect(try TLSClientContext.shared(caFile: path) === first)
    try directory.write("ca.pem", "# renewed\n" + pem)
    #expect(try TLSClientContext.shared(caFile: path) !== first)
    for (name, text) in [("missing.pem", nil), ("empty.pem", ""), ("text.pem", "not a certificate")]
      as [(String, String?)]
    {
      if let text { try directory.write(name, text) }
      let error = #expect(throws: TLSError.self) { try TLSClientContext.shared(caFile: directory.path(name)) }
      #expect(error?.reason == .trustStore)
      #expect(error?.detail.hasPrefix(directory.path(name)) == true)
    }
  }
}
