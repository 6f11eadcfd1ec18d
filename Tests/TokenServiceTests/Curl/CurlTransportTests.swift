// Token calls that get an answer: what is sent, what is read, which connections are used.
import Glibc
import Synchronization
import Testing
import TokenKit

@testable import EventLoop
@testable import TokenService

@Suite("Transport: answers")
struct CurlTransportTests {
  private let harness: CurlHarness

  init() throws { harness = try CurlHarness() }

  @Test("The request is exactly what the provider said, and no more than libcurl must add")
  func exactRequest() throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    let request = CurlHarness.request(
      "http://127.0.0.1:\(server.port)/a/../b%2Fc?x=1&y=%20", body: "grant_type=refresh_token&refresh_token=a%2Bb",
      headers: [
        ("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", "Basic c3Zj"), ("X-Empty", ""),
        ("X-Blank", " \t"), ("X-Semicolon", "a;b:c"),
      ])
    let response = try harness.response(request)
    #expect(response.status == 200 && response.body == Array("{}".utf8))
    #expect(
      server.requests == [
        """
        POST /a/../b%2Fc?x=1&y=%20 HTTP/1.1\r
        Host: 127.0.0.1:\(server.port)\r
        Content-Type: application/x-www-form-urlencoded\r
        Authorization: Basic c3Zj\r
        X-Empty:\r
        X-Blank:\r
        X-Semicolon: a;b:c\r
        Accept: */*\r
        User-Agent: gateway/1.2\r
        Content-Length: 44\r
        \r
        grant_type=refresh_token&refresh_token=a%2Bb
        """
      ])
    #expect(harness.lookups == [])
  }

  @Test("A provider's own Accept and User-Agent replace ours; no Content-Type is made up; an empty body has a length")
  func ownFields() throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    let request = CurlHarness.request(
      "http://127.0.0.1:\(server.port)", body: "", headers: [("accept", "application/xml"), ("USER-AGENT", "x")])
    _ = try harness.response(request)
    #expect(
      server.requests == [
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\naccept: application/xml\r\nUSER-AGENT: x\r\n"
          + "Content-Length: 0\r\n\r\n"
      ])
  }

  @Test("A body of any size arrives whole, without waiting for a 100", arguments: [1025, 70_000, 3_000_000])
  func largeBody(size: Int) throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    let body = String(repeating: "x", count: size)
    let began = ContinuousClock.now
    _ = try harness.response(CurlHarness.request("http://127.0.0.1:\(server.port)/", body: body))
    #expect(server.requests.first?.hasSuffix("\r\n\r\n" + body) == true)
    #expect(server.requests.first?.contains("Expect") == false)
    #expect(ContinuousClock.now - began < .seconds(10))
  }

  @Test(
    "Every status is an answer, redirects too, which are not followed",
    arguments: [200, 201, 302, 307, 400, 401, 500, 503])
  func statuses(status: Int) throws {
    let server = try ScriptedServer(
      harness.loop,
      answering: """
        HTTP/1.1 \(status) Whatever\r\nLocation: http://127.0.0.1:1/\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nbody
        """)
    let response = try harness.response(harness.request(server))
    #expect(response.status == status)
    #expect(response.body == Array("body".utf8))
    #expect(response.contentType == "text/html")
    #expect(server.requests.count == 1)
  }

  @Test(
    "Retry-After in seconds and as a date, which counts by the server's own clock",
    arguments: [
      ("Retry-After: 7\r\n", Duration.seconds(7)),
      ("retry-after:\t 0 \r\n", .zero),
      ("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:51:07 GMT\r\n", .seconds(90)),
      ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", .zero),
      ("Retry-After: -1\r\n", nil), ("Retry-After: soon\r\n", nil), ("", nil),
    ])
  func retryAfter(fields: String, expected: Duration?) throws {
    let server = try ScriptedServer(
      harness.loop, answering: "HTTP/1.1 429 Too Many Requests\r\n\(fields)Content-Length: 0\r\n\r\n")
    let response = try harness.response(harness.request(server))
    #expect(response.status == 429)
    #expect(response.retryAfter == expected)
    #expect(response.date == (fields.hasPrefix("Date") ? WallTime(milliseconds: 784_111_777_000) : nil))
  }

  @Test("Interim answers and trailers say nothing about the answer")
  func interimAndTrailers() throws {
    let server = try ScriptedServer(
      harness.loop,
      answering: """
        HTTP/1.1 103 Early Hints\r\nContent-Type: text/early\r\nRetry-After: 5\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Type\r\n\r\n\
        3\r\nabc\r\n0\r\nContent-Type: text/late\r\nRetry-After: 6\r\n\r\n
        """)
    let response = try harness.response(harness.request(server))
    #expect(response.status == 200)
    #expect(response.body == Array("abc".utf8))
    #expect(response.contentType == nil)
    #expect(response.retryAfter == nil)
  }

  @Test("An answer without length ends with the connection")
  func endByClose() throws {
    let server = try ScriptedServer(harness.loop) { _, _ in [.send("HTTP/1.1 200 OK\r\n\r\nabc"), .close] }
    #expect(try harness.response(harness.request(server)).body == Array("abc".utf8))
  }

  @Test("A grant that spends a refresh token has a connection of its own, others share", arguments: [true, false])
  func connections(spends: Bool) throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    for _ in 0..<3 { _ = try harness.response(harness.request(server, spends: spends)) }
    #expect(server.requests.count == 3)
    #expect(server.connections == (spends ? 3 : 1))
  }

  @Test("A spending grant does not take a connection that another grant left open")
  func freshConnection() throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    _ = try harness.response(harness.request(server, spends: false))
    _ = try harness.response(harness.request(server, spends: true))
    _ = try harness.response(harness.request(server, spends: false))
    #expect(server.connections == 2)
  }

  @Test("Addresses in the URL need no resolver, IPv6 too")
  func literals() throws {
    let server = try ScriptedServer(harness.loop, host: "::1", answering: ScriptedServer.ok("{}"))
    _ = try harness.response(CurlHarness.request("http://[::1]:\(server.port)/t"))
    #expect(server.requests.first?.contains("\r\nHost: [::1]:\(server.port)\r\n") == true)
    #expect(harness.lookups == [])
  }

  @Test(
    "A name goes where the resolver says, with the name as Host",
    arguments: [
      (["127.0.0.1"], "127.0.0.1"), (["::1"], "::1"), (["::1", "127.0.0.1"], "127.0.0.1"),
      (["127.0.0.1", "::1"], "::1"),
      (["not an address", "127.0.0.1"], "127.0.0.1"),
    ])
  func names(addresses: [String], listening: String) throws {
    let server = try ScriptedServer(harness.loop, host: listening, answering: ScriptedServer.ok("{}"))
    harness.names["token.test"] = .success(addresses)
    let options = GrantTransportOptions(allowsPlaintext: true)
    _ = try harness.response(CurlHarness.request("http://Token.Test:\(server.port)/t"), options)
    #expect(server.requests.first?.contains("\r\nHost: token.test:\(server.port)\r\n") == true)
    #expect(harness.lookups == ["token.test"])
  }

  @Test("A name that moved is found at its new address by the next call")
  func movedName() throws {
    let old = try ScriptedServer(harness.loop, host: "127.0.0.1", answering: ScriptedServer.ok("old"))
    let options = GrantTransportOptions(allowsPlaintext: true)
    let request = CurlHarness.request("http://token.test:\(old.port)/")
    harness.names["token.test"] = .success(["127.0.0.1"])
    #expect(try harness.response(request, options).body == Array("old".utf8))
    harness.names["token.test"] = .success(["127.0.0.2"])
    #expect(try harness.failure(request, options).code == "connect_refused")
  }

  @Test("A name with a dot at its end is looked up by us as well")
  func rootedName() throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    harness.names["token.test."] = .success(["127.0.0.1"])
    let options = GrantTransportOptions(allowsPlaintext: true)
    #expect(try harness.response(CurlHarness.request("http://token.test.:\(server.port)/"), options).status == 200)
  }

  @Test("A completion may send the next grant")
  func reentrant() throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    var left = 5
    func next() {
      harness.transport.send(harness.request(server), options: GrantTransportOptions()) { _ in
        left -= 1
        if left > 0 { next() }
      }
    }
    next()
    try harness.turn { left == 0 }
    #expect(server.requests.count == 5)
  }

  @Test("Twenty calls at once, by name, and no thread but the loop's")
  func parallel() throws {
    let result = Box(Mutex<(answered: Int, threads: Int)?>(nil))
    // New threads inherit their maker's name: counting it leaves out what other tests do.
    let name = "curl-count"
    let thread = try LoopThread.start(name: name) {
      let counts = try? Self.twentyCalls(countingThreads: name)
      result.value.withLock { $0 = counts }
    }
    thread.join()
    let counts = try #require(result.value.withLock { $0 })
    #expect(counts.answered == 20)
    #expect(counts.threads == 1)
  }

  private static func twentyCalls(countingThreads name: String) throws -> (answered: Int, threads: Int) {
    let harness = try CurlHarness()
    // Nobody is answered before everybody has asked.
    let server = try ScriptedServer(harness.loop) { _, _ in [] }
    harness.names["token.test"] = .success(["127.0.0.1"])
    var answered = 0
    for number in 0..<20 {
      let request = CurlHarness.request("http://token.test:\(server.port)/\(number)", spends: number % 2 == 0)
      harness.transport.send(request, options: GrantTransportOptions(allowsPlaintext: true)) { result in
        if (try? result.get().status) == 200 { answered += 1 }
      }
    }
    try harness.turn { server.requests.count == 20 }
    let threads = try ThreadNames.current().count { $0 == name }
    server.sendToAll(ScriptedServer.ok("{}"))
    try harness.turn { answered == 20 }
    return (answered, threads)
  }
}
