// Token calls over TLS: who is trusted, and that nothing leaves before that is known.
import FoundationEssentials
import Glibc
import Testing
import TokenKit

@testable import EventLoop
@testable import TokenService

@Suite("Transport: TLS")
struct CurlTLSTests {
  private let harness: CurlHarness
  private let authority: TestAuthority

  init() throws {
    harness = try CurlHarness()
    authority = try TestAuthority()
    try authority.issue("token.test")
    for name in ["token.test", "other.test"] { harness.names[name] = .success(["127.0.0.1"]) }
  }

  private func unsent(_ code: String) -> GrantTransportFailure {
    GrantTransportFailure(code: code, mayHaveBeenSent: false)
  }

  @Test("A certificate of the configured authority and the right name: the grant is sent", arguments: [true, false])
  func verified(spends: Bool) throws {
    let server = try TLSServer(harness.loop, authority, answering: ScriptedServer.ok("{}"))
    let request = CurlHarness.request("https://token.test:\(server.port)/t", spends: spends)
    let response = try harness.response(request, GrantTransportOptions(caFile: authority.file))
    #expect(response.status == 200)
    #expect(server.received.hasPrefix("POST /t HTTP/1.1\r\nHost: token.test:\(server.port)\r\n"))
    #expect(server.received.hasSuffix("refresh_token=r1"))
  }

  @Test("Another name: nothing left")
  func wrongName() throws {
    let server = try TLSServer(harness.loop, authority, answering: ScriptedServer.ok("{}"))
    let options = GrantTransportOptions(caFile: authority.file)
    #expect(
      try harness.failure(CurlHarness.request("https://other.test:\(server.port)/"), options) == unsent("tls_verify"))
    #expect(
      try harness.failure(CurlHarness.request("https://127.0.0.1:\(server.port)/"), options) == unsent("tls_verify"))
    #expect(server.received == "")
  }

  @Test("An unknown authority: nothing left, also after a call that trusted it and left a TLS session")
  func unknownAuthority() throws {
    let server = try TLSServer(harness.loop, authority, answering: ScriptedServer.ok("{}"))
    let request = CurlHarness.request("https://token.test:\(server.port)/")
    #expect(try harness.failure(request) == unsent("tls_verify"))
    #expect(server.received == "")
    _ = try harness.response(request, GrantTransportOptions(caFile: authority.file))
    #expect(try harness.failure(request) == unsent("tls_verify"))
    let stranger = try TestAuthority()
    #expect(try harness.failure(request, GrantTransportOptions(caFile: stranger.file)) == unsent("tls_verify"))
  }

  @Test(
    "A file of authorities that is replaced counts from the next call on, for kept connections too",
    arguments: [true, false])
  func replacedAuthorities(spends: Bool) throws {
    let server = try TLSServer(harness.loop, authority, answering: ScriptedServer.ok("{}"))
    let request = CurlHarness.request("https://token.test:\(server.port)/", spends: spends)
    let stranger = try TestAuthority()
    let file = authority.directory.file("trusted.pem")
    func trust(_ other: TestAuthority) throws {
      try FileManager.default.copyItem(atPath: other.file, toPath: file + ".new")
      try #require(unsafe rename(file + ".new", file) == 0)
    }
    let options = GrantTransportOptions(caFile: file)
    try trust(stranger)
    #expect(try harness.failure(request, options) == unsent("tls_verify"))
    try trust(authority)
    for _ in 0..<2 { #expect(try harness.response(request, options).status == 200) }
    try trust(stranger)
    #expect(try harness.failure(request, options) == unsent("tls_verify"))
    // A moment without a file is no reason to fail.
    try trust(authority)
    #expect(try harness.response(request, options).status == 200)
    try FileManager.default.removeItem(atPath: file)
    #expect(try harness.response(request, options).status == 200)
  }

  @Test("A connection that was kept by a call with another authority is not used")
  func keptConnection() throws {
    let server = try TLSServer(harness.loop, authority, answering: ScriptedServer.ok("{}"))
    let request = CurlHarness.request("https://token.test:\(server.port)/", spends: false)
    for _ in 0..<2 { _ = try harness.response(request, GrantTransportOptions(caFile: authority.file)) }
    // s_server has one connection at a time, and that is the kept one: a new one waits.
    #expect(
      try harness.failure(request, GrantTransportOptions(timeout: .milliseconds(300))) == unsent("connect_timeout"))
  }

  @Test(
    "A server that speaks no TLS, or hangs up in the handshake: nothing left",
    arguments: [
      [.send("HTTP/1.1 400 Bad Request\r\n\r\n")], [.close], [.reset],
    ] as [[ScriptedServer.Action]])
  func noTLS(actions: [ScriptedServer.Action]) throws {
    let server = try ScriptedServer(harness.loop, onAccept: actions) { _, _ in [] }
    let failure = try harness.failure(CurlHarness.request("https://token.test:\(server.port)/"))
    // A reset can come before TLS has begun.
    #expect(["tls_failure", "connect_failed"].contains(failure.code))
    #expect(!failure.mayHaveBeenSent)
  }

  @Test("A handshake that hangs: nothing left")
  func hangingHandshake() throws {
    let server = try ScriptedServer(harness.loop) { _, _ in [] }
    let options = GrantTransportOptions(timeout: .milliseconds(300))
    #expect(
      try harness.failure(CurlHarness.request("https://token.test:\(server.port)/"), options)
        == unsent("connect_timeout"))
  }

  @Test("The server goes away after the request: it may have been processed")
  func goesAway() throws {
    let server = try TLSServer(harness.loop, authority, answering: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    let options = GrantTransportOptions(caFile: authority.file, timeout: .milliseconds(500))
    #expect(
      try harness.failure(CurlHarness.request("https://token.test:\(server.port)/"), options)
        == GrantTransportFailure(code: "timeout", mayHaveBeenSent: true))
  }
}
