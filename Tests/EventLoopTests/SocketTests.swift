// Listening sockets: what stands in the way of a Unix socket is replaced only if it is a stale socket.
import GatewayTesting
import Glibc
import Testing

@testable import EventLoop

@Suite struct SocketTests {
  @Test("A file that is no socket is never removed")
  func regularFile() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("precious", "data")
    #expect(throws: SystemError("bind", errno: EADDRINUSE)) { try Socket.listen(on: .unix(path: path)) }
    #expect(TemporaryDirectory.read(path) == "data")
  }

  @Test("A stale Unix socket is replaced; one that is listened on is not")
  func staleSocket() throws {
    let directory = try TemporaryDirectory()
    let address = SocketAddress.unix(path: directory.path("gateway.sock"))
    let first = RawSocket(try Socket.listen(on: address))
    #expect(throws: SystemError("bind", errno: EADDRINUSE)) { try Socket.listen(on: address) }
    first.close()
    let second = RawSocket(try Socket.listen(on: address))
    #expect(TemporaryDirectory.mode(directory.path("gateway.sock")) == 0o660)
    let client = RawSocket(try Socket.startConnecting(to: address))
    let accepted = try #require(try Socket.accept(second.fd))
    Socket.close(accepted.fd)
    client.close()
  }

  @Test("A TCP address that is taken is an error")
  func takenPort() throws {
    let first = RawSocket(try Socket.listen(on: loopback))
    let address = try Socket.localAddress(first.fd)
    #expect(throws: SystemError("bind", errno: EADDRINUSE)) { try Socket.listen(on: address) }
  }
}
