// Calls that are refused before anything is sent, and calls through a proxy.
import Testing
import TokenKit

@testable import EventLoop
@testable import TokenService

@Suite("Transport: refusals and proxies")
struct CurlRefusalTests {
  private let harness: CurlHarness

  init() throws { harness = try CurlHarness() }

  private func refused(_ code: String) -> GrantTransportFailure {
    GrantTransportFailure(code: code, mayHaveBeenSent: false, isMisconfigured: true)
  }

  @Test(
    "Fields that would change the message, or that belong to the connection, are refused",
    arguments: [
      ("X-A", "a\r\nX-B: b"), ("X-A", "a\nb"), ("X-A", "a\rb"), ("X-A", "a\0b"), ("X-A", "a\u{7f}"), ("X-A", "\u{1}"),
      ("X-A: b\r\nX-C", "d"), ("X A", "b"), ("", "b"), ("X-A:", "b"), ("X-Ä", "b"), ("Host", "other"),
      ("content-length", "1"), ("Transfer-Encoding", "chunked"), ("Connection", "close"), ("Expect", "100-continue"),
      ("Proxy-Authorization", "Basic eA=="),
    ])
  func fields(name: String, value: String) throws {
    let server = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    let request = CurlHarness.request("http://127.0.0.1:\(server.port)/", headers: [(name, value)])
    #expect(try harness.failure(request) == refused("malformed_request"))
    #expect(server.connections == 0)
  }

  @Test(
    "URLs that are none, or that would change the message",
    arguments: [
      "", "token.test", "ftp://token.test/", "http://user:pass@127.0.0.1/", "http://127.0.0.1/a b",
      "http://127.0.0.1/\r\nX-A: b", "http://127.0.0.1/\0", "http://127.0.0.1/#f", "file:///etc/passwd",
    ])
  func urls(url: String) throws {
    #expect(try harness.failure(CurlHarness.request(url)) == refused("malformed_url"))
  }

  @Test(
    "http:// goes to this machine only, unless the configuration allows it",
    arguments: [
      "http://token.test/", "http://192.0.2.1/", "http://127.0.0.1.token.test/",
    ])
  func plaintext(url: String) throws {
    #expect(try harness.failure(CurlHarness.request(url)) == refused("plaintext_forbidden"))
    #expect(harness.lookups == [])
  }

  @Test("A CA file that can't be read is a misconfiguration", arguments: ["", "/none/ca.pem", "/dev/null", "a\0b"])
  func caFile(path: String) throws {
    // The server never says a word of TLS: what is wrong shows before.
    let server = try ScriptedServer(harness.loop) { _, _ in [] }
    let options = GrantTransportOptions(caFile: path, timeout: .seconds(2))
    let failure = try harness.failure(CurlHarness.request("https://127.0.0.1:\(server.port)/"), options)
    #expect(failure == refused("ca_file"))
  }

  @Test("A proxy that is none", arguments: ["", "proxy.test:3128", "socks5://127.0.0.1:1", "http://127.0.0.1:1/path"])
  func malformedProxy(proxy: String) throws {
    let options = GrantTransportOptions(proxy: proxy)
    #expect(try harness.failure(CurlHarness.request("https://token.test/"), options) == refused("malformed_proxy"))
  }

  @Test("Through a proxy, its name is looked up and the token endpoint's is not")
  func plainProxy() throws {
    let proxy = try ScriptedServer(harness.loop, answering: ScriptedServer.ok("{}"))
    harness.names["proxy.test"] = .success(["127.0.0.1"])
    let options = GrantTransportOptions(proxy: "http://proxy.test:\(proxy.port)", allowsPlaintext: true)
    _ = try harness.response(CurlHarness.request("http://token.test/t"), options)
    #expect(proxy.requests.first?.hasPrefix("POST http://token.test/t HTTP/1.1\r\nHost: token.test\r\n") == true)
    #expect(harness.lookups == ["proxy.test"])
  }

  @Test(
    "A tunnel that the proxy refuses: nothing left, and the proxy saw no field of the grant",
    arguments: [403, 407, 502])
  func refusedTunnel(status: Int) throws {
    let proxy = try ScriptedServer(harness.loop, answering: "HTTP/1.1 \(status) No\r\nContent-Length: 0\r\n\r\n")
    let options = GrantTransportOptions(proxy: "http://127.0.0.1:\(proxy.port)")
    let request = CurlHarness.request("https://token.test/t", headers: [("Authorization", "Basic c3Zj")])
    #expect(
      try harness.failure(request, options) == GrantTransportFailure(code: "proxy_refused", mayHaveBeenSent: false))
    #expect(proxy.requests.count == 1)
    #expect(proxy.requests.first?.hasPrefix("CONNECT token.test:443 HTTP/1.1\r\n") == true)
    #expect(proxy.requests.first?.contains("Authorization") == false)
    #expect(harness.lookups == [])
  }

  @Test("A proxy that is not there: nothing left")
  func absentProxy() throws {
    let options = GrantTransportOptions(proxy: "http://127.0.0.1:1")
    #expect(
      try harness.failure(CurlHarness.request("https://token.test/"), options)
        == GrantTransportFailure(code: "connect_refused", mayHaveBeenSent: false))
  }
}
