// Which listener gets which inherited socket, and what is refused: LISTEN_FDS of sd_listen_fds(3).
import GatewayTesting
import Glibc
import Testing

@testable import EventLoop

@Suite struct InheritedSocketsTests {
  /// Sockets under consecutive numbers, as they are handed over.
  private final class Handed {
    let first: Int32
    let count: Int32

    /// - Parameter descriptors: become this object's.
    init(_ descriptors: [Int32], at first: Int32) throws {
      self.first = first
      count = Int32(descriptors.count)
      for (index, fd) in descriptors.enumerated() {
        // Not dup2, which would close what another test may have there.
        try #require(fcntl(fd, F_DUPFD, first + Int32(index)) == first + Int32(index))
        Socket.close(fd)
      }
    }

    deinit { for index in 0..<count { Socket.close(first + index) } }

    func environment(_ names: String = "") -> [String: String] {
      ["LISTEN_FDS": "\(count)", "LISTEN_PID": "\(Process.id)", "LISTEN_FDNAMES": names]
    }

    func take(_ wanted: [(name: String, address: SocketAddress)], _ names: String = "") throws -> [Int32?] {
      var sockets = try InheritedSockets(environment(names), first: first)
      return try sockets.take(wanted).map { $0.map { $0 - first } }
    }
  }

  private static let port0 = SocketAddress.ipv4(0x7f00_0001, port: 0)

  @Test("A name comes before an address, and of several sockets with one name the one with the address")
  func matching() throws {
    let made = try (0..<3).map { _ in try Socket.listen(on: Self.port0) }
    let addresses = try made.map { try Socket.localAddress($0) }
    let handed = try Handed(made, at: 900)
    #expect(try handed.take(addresses.map { ("x", $0) }) == [0, 1, 2])
    #expect(try handed.take([("c", Self.port0), ("b", Self.port0), ("a", Self.port0)], "a:b:c") == [2, 1, 0])
    #expect(
      try handed.take([("same", addresses[1]), ("x", addresses[2]), ("y", addresses[0])], "same:same:z") == [1, 2, 0])
    #expect(try handed.take([("n", Self.port0)] + addresses.dropLast().map { ("x", $0) }, "::n") == [2, 0, 1])
    #expect(fcntl(900, F_GETFD) & FD_CLOEXEC != 0)
  }

  @Test("What no listener takes is an error, and so is one that others can reach for a listener on loopback")
  func refused() throws {
    let open = try Socket.listen(on: .ipv4(0, port: 0))
    let address = try Socket.localAddress(open)
    let handed = try Handed([open], at: 920)
    #expect(throws: InheritedSockets.Failure.self) { try handed.take([]) }
    #expect(throws: InheritedSockets.Failure.self) { try handed.take([("main", Self.port0)], "main") }
    #expect(try handed.take([("main", address)]) == [0])
  }

  @Test("Variables for another process mean nothing; those that are wrong are an error")
  func variables() throws {
    let own = "\(Process.id)"
    let cases: [([String: String], isError: Bool)] = [
      ([:], false), (["LISTEN_FDS": "1"], false), (["LISTEN_PID": own], false),
      (["LISTEN_FDS": "x", "LISTEN_PID": "1"], false), (["LISTEN_FDS": "0", "LISTEN_PID": own], false),
      (["LISTEN_FDS": "-1", "LISTEN_PID": own], true), (["LISTEN_FDS": "", "LISTEN_PID": own], true),
      (["LISTEN_FDS": "1", "LISTEN_PID": ""], true), (["LISTEN_FDS": "1", "LISTEN_PID": "0"], true),
      // Nothing is open there.
      (["LISTEN_FDS": "1", "LISTEN_PID": own], true),
    ]
    for (environment, isError) in cases {
      do {
        var sockets = try InheritedSockets(environment, first: 940)
        #expect(try sockets.take([("main", Self.port0)]) == [nil])
        #expect(!isError, "\(environment)")
      } catch {
        #expect(isError, "\(environment): \(error)")
      }
    }
  }

  @Test(
    "NOTIFY_SOCKET is a path or an abstract name",
    arguments: [
      ("/run/notify", true), ("@name", true), ("", false), ("/", false), ("@", false), ("relative", false),
      ("vsock:2:1234", false), ("/" + String(repeating: "a", count: 106), true),
      ("/" + String(repeating: "a", count: 107), false),
    ])
  func notifySocket(text: String, isGood: Bool) {
    #expect((NotifySocket(text) != nil) == isGood)
  }
}
