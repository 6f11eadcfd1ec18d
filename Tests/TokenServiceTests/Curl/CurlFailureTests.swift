// Token calls that get no answer: what the failure is called, whether the request may have left, and that it leaves once.
import Glibc
import Testing
import TokenKit

@testable import EventLoop
@testable import TokenService

@Suite("Transport: failures")
struct CurlFailureTests {
  private let harness: CurlHarness

  init() throws { harness = try CurlHarness() }

  private func sent(_ code: String) -> GrantTransportFailure {
    GrantTransportFailure(code: code, mayHaveBeenSent: true)
  }
  private func unsent(_ code: String) -> GrantTransportFailure {
    GrantTransportFailure(code: code, mayHaveBeenSent: false)
  }

  /// A port that nobody listens at.
  private func freePort() throws -> UInt16 {
    let fd = try Socket.listen(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)))
    defer { Socket.close(fd) }
    return try Socket.localAddress(fd).port
  }

  @Test(
    "The server reads the request and closes: one request, and it may have been processed", arguments: [true, false])
  func closesAfterRequest(spends: Bool) throws {
    let server = try ScriptedServer(harness.loop) { _, _ in [.close] }
    #expect(try harness.failure(harness.request(server, spends: spends)) == sent("empty_reply"))
    #expect(server.requests.count == 1)
    #expect(server.connections == 1)
  }

  @Test("The server reads the request and resets: one request", arguments: [true, false])
  func resetsAfterRequest(spends: Bool) throws {
    let server = try ScriptedServer(harness.loop) { _, _ in [.reset] }
    #expect(try harness.failure(harness.request(server, spends: spends)) == sent("reset"))
    #expect(server.requests.count == 1)
    #expect(server.connections == 1)
  }

  @Test(
    "A kept connection that dies under its second request: libcurl does not send it again",
    arguments: [
      ScriptedServer.Action.close, .reset,
    ])
  func keptConnectionDies(ending: ScriptedServer.Action) throws {
    let server = try ScriptedServer(harness.loop) { _, number in
      number == 1 ? [.send(ScriptedServer.ok("{}"))] : [ending]
    }
    _ = try harness.response(harness.request(server, spends: false))
    #expect(try harness.failure(harness.request(server, spends: false)).mayHaveBeenSent)
    #expect(server.requests.count == 2)
  }

  @Test(
    "A server that wants the request again does not get it",
    arguments: [
      "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n",
    ])
  func wantsItAgain(answer: String) throws {
    let server = try ScriptedServer(harness.loop, answering: answer)
    for spends in [false, false, true] { _ = try harness.response(harness.request(server, spends: spends)) }
    #expect(server.requests.count == 3)
  }

  @Test("The server closes before it has read anything: the request was on its way")
  func closesAtOnce() throws {
    let server = try ScriptedServer(harness.loop, onAccept: [.close]) { _, _ in [] }
    #expect(try harness.failure(harness.request(server)).mayHaveBeenSent)
    #expect(server.connections == 1)
  }

  @Test("Nobody listens: nothing left")
  func refused() throws {
    let request = CurlHarness.request("http://127.0.0.1:\(try freePort())/")
    #expect(try harness.failure(request) == unsent("connect_refused"))
  }

  @Test(
    "The server takes the request and says nothing, or not all of it, until the time is over",
    arguments: [
      [], [.send("HTTP/1.1 200 OK\r\n")], [.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")],
    ] as [[ScriptedServer.Action]])
  func hangs(actions: [ScriptedServer.Action]) throws {
    let server = try ScriptedServer(harness.loop) { _, _ in actions }
    let began = ContinuousClock.now
    let failure = try harness.failure(harness.request(server), GrantTransportOptions(timeout: .milliseconds(300)))
    let elapsed = ContinuousClock.now - began
    #expect(failure == sent("timeout"))
    #expect(elapsed >= .milliseconds(290) && elapsed < .seconds(3), "\(elapsed)")
    #expect(server.requests.count == 1)
  }

  @Test("The connection is never accepted: nothing left")
  func connectTimeout() throws {
    let address = try #require(SocketAddress(numeric: "127.0.0.1", port: 0))
    let fd = try Socket.listen(on: address, backlog: 0)
    let port = try Socket.localAddress(fd).port
    // The queue of connections is full before ours comes.
    let target = try #require(SocketAddress(numeric: "127.0.0.1", port: port))
    let others = try (0..<3).map { _ in try Socket.startConnecting(to: target) }
    defer { for other in others + [fd] { Socket.close(other) } }
    let request = CurlHarness.request("http://127.0.0.1:\(port)/")
    #expect(
      try harness.failure(request, GrantTransportOptions(timeout: .milliseconds(300))) == unsent("connect_timeout"))
  }

  @Test(
    "Names that have no address: nothing left",
    arguments: [
      (.failure(.notFound), "name_not_found"), (.failure(.timedOut), "dns_timeout"), (.failure(.failed), "dns_failure"),
      (.success([]), "name_not_found"), (.success(["example", "1.2.3", "/run/x", "::1,127.0.0.1"]), "name_not_found"),
    ] as [(Result<[String], NameFailure>, String)])
  func noAddress(answer: Result<[String], NameFailure>, code: String) throws {
    harness.names["token.test"] = answer
    #expect(try harness.failure(CurlHarness.request("https://token.test/")) == unsent(code))
  }

  @Test("A resolver that never answers is not waited for beyond the time-out; its late answer starts nothing")
  func lateResolver() throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    var late: ((Result<[String], NameFailure>) -> Void)?
    let transport = CurlTransport(harness.loop) { _, _, completion in late = completion }
    defer { transport.close() }
    var outcomes: [CurlHarness.Outcome] = []
    let request = CurlHarness.request("http://localhost:\(server.port)/")
    transport.send(request, options: GrantTransportOptions(timeout: .milliseconds(100))) { outcomes.append($0) }
    try harness.turn { !outcomes.isEmpty }
    #expect(throws: unsent("dns_timeout")) { try outcomes[0].get() }
    let answer = try #require(late)
    answer(.success(["127.0.0.1"]))
    for _ in 0..<5 { try harness.loop.turn(waitingAtMost: 10) }
    #expect(outcomes.count == 1 && server.connections == 0)
  }

  @Test("The look-up's time counts: what is left of it is the connection's")
  func timeIsShared() throws {
    let server = try ScriptedServer(harness.loop) { _, _ in [] }
    var waiting: ((Result<[String], NameFailure>) -> Void)?
    let transport = CurlTransport(harness.loop) { _, _, completion in waiting = completion }
    defer { transport.close() }
    var outcome: CurlHarness.Outcome?
    let began = ContinuousClock.now
    let request = CurlHarness.request("http://localhost:\(server.port)/")
    transport.send(request, options: GrantTransportOptions(timeout: .milliseconds(600))) { outcome = $0 }
    try harness.turn { ContinuousClock.now - began > .milliseconds(400) }
    let answer = try #require(waiting)
    answer(.success(["127.0.0.1"]))
    try harness.turn { outcome != nil }
    #expect(ContinuousClock.now - began < .milliseconds(950))
    #expect(throws: sent("timeout")) { try outcome?.get() }
  }

  @Test(
    "A body of 1 MiB is taken, one byte more is not, with a length and without",
    arguments: [
      (0, true), (0, false), (1, true), (1, false),
    ])
  func bodyLimit(excess: Int, isChunked: Bool) throws {
    let size = (1 << 20) + excess
    let body = [UInt8](repeating: 0x61, count: size)
    let server = try ScriptedServer(harness.loop) { _, _ in
      isChunked
        ? [
          .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(size, radix: 16))\r\n"),
          .sendBytes(body),
          .send("\r\n0\r\n\r\n"),
        ] : [.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n"), .sendBytes(body)]
    }
    if excess == 0 {
      #expect(try harness.response(harness.request(server)).body == body)
    } else {
      #expect(try harness.failure(harness.request(server)) == sent("response_too_large"))
    }
  }

  enum Flood: CaseIterable {
    case manyFields, longField, manyInterimAnswers

    var text: String {
      switch self {
      case .manyFields: String(repeating: "X-Flood: \(String(repeating: "a", count: 40))\r\n", count: 2000)
      case .longField: "X-Flood: \(String(repeating: "a", count: 300_000))\r\n"
      case .manyInterimAnswers: String(repeating: "\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n", count: 3000)
      }
    }
  }

  @Test("A head without end is not read without end", arguments: Flood.allCases)
  func headLimit(flood: Flood) throws {
    let server = try ScriptedServer(harness.loop, answering: "HTTP/1.1 103 Early Hints\r\n\(flood.text)")
    let failure = try harness.failure(harness.request(server))
    #expect(failure == sent("response_too_large"), "\(failure)")
  }

  @Test(
    "Answers that are no HTTP, or not all of it",
    arguments: [
      ("nonsense\r\n\r\n", "malformed_response"), ("HTTP/9.9 200 OK\r\n\r\n", "malformed_response"),
      ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "incomplete_response"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "incomplete_response"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "malformed_response"),
      ("HTTP/1.1 200 OK\r\nContent-Ty", "incomplete_response"),
    ])
  func malformed(answer: String, code: String) throws {
    let server = try ScriptedServer(harness.loop) { _, _ in [.send(answer), .close] }
    #expect(try harness.failure(harness.request(server)) == sent(code))
  }

  @Test("Closing ends what is on its way, and what comes later; nothing is called twice")
  func close() throws {
    let server = try ScriptedServer(harness.loop) { _, _ in [] }
    harness.names["slow.test"] = .some(nil)
    var outcomes: [CurlHarness.Outcome] = []
    harness.transport.send(harness.request(server), options: GrantTransportOptions()) { outcomes.append($0) }
    harness.transport.send(CurlHarness.request("https://slow.test/"), options: GrantTransportOptions()) {
      outcomes.append($0)
    }
    try harness.turn { server.requests.count == 1 }
    harness.transport.close()
    #expect(outcomes.count == 2)
    #expect(throws: sent("cancelled")) { try outcomes[0].get() }
    #expect(throws: unsent("cancelled")) { try outcomes[1].get() }
    #expect(try harness.failure(harness.request(server)) == unsent("cancelled"))
    #expect(outcomes.count == 2)
  }

  @Test("A completion may close the transport")
  func closeWithin() throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    let transport = harness.transport
    var outcomes: [CurlHarness.Outcome] = []
    for _ in 0..<3 {
      transport.send(harness.request(server), options: GrantTransportOptions()) { outcome in
        outcomes.append(outcome)
        transport.close()
      }
    }
    try harness.turn { outcomes.count == 3 }
    #expect(outcomes.count { (try? $0.get()) != nil } == 1)
  }
}
