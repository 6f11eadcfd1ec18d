// Addresses: what is accepted as text, how they print, and their way through the system's structures.
import Testing

@testable import EventLoop

@Suite struct SocketAddressTests {
  @Test(
    "Addresses that are accepted print as they are written",
    arguments: [
      "127.0.0.1:8080", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:8080", "[::]:1", "[2001:db8::17]:443",
      "[::ffff:192.0.2.1]:80", "unix:/run/gateway.sock", "unix:relative.sock",
    ])
  func accepted(text: String) { #expect(SocketAddress(text: text)?.description == text) }

  @Test(
    "Anything else is refused",
    arguments: [
      "", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 80",
      "127.0.0.1:8o", "127.0.0.256:80", "127.1:80", "localhost:80", "::1:80", "[::1]", "[127.0.0.1]:80", "[]:80",
      "[::1:80", "::1]:80", "[fe80::1%lo]:80", "unix:", "unix:a\0b", "127.0.0.1\0.example.org:80",
      "127.0.0.1:99999999999999999999", "unix:" + String(repeating: "x", count: 108),
    ])
  func refused(text: String) { #expect(SocketAddress(text: text) == nil) }

  @Test(
    "Loopback addresses are known as such",
    arguments: [
      ("127.0.0.1", true), ("127.255.0.9", true), ("128.0.0.1", false), ("0.0.0.0", false), ("::1", true),
      ("::", false), ("::ffff:127.0.0.1", true), ("::ffff:10.0.0.1", false), ("2001:db8::1", false),
    ])
  func loopback(host: String, expected: Bool) {
    #expect(SocketAddress(numeric: host, port: 1)?.isLoopback == expected)
  }

  @Test("The system gives back the address that it was given", arguments: ["127.0.0.1:0", "[::1]:0"])
  func bound(text: String) throws {
    let address = try #require(SocketAddress(text: text))
    let socket = RawSocket(try Socket.listen(on: address))
    let local = try Socket.localAddress(socket.fd)
    #expect(local.host == address.host)
    #expect(local.port != 0)
    #expect(local == address.with(port: local.port))
  }

  @Test("Another port is all that changes")
  func otherPort() {
    #expect(SocketAddress(text: "[2001:db8::1]:1")?.with(port: 443).description == "[2001:db8::1]:443")
    #expect(SocketAddress(text: "192.0.2.7:1")?.with(port: 443).description == "192.0.2.7:443")
    #expect(SocketAddress.unix(path: "/a").with(port: 1) == .unix(path: "/a"))
  }
}
