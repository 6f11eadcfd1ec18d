// A TLS server of another program: openssl s_server, whose decrypted side the test holds.
import FoundationEssentials
import Glibc
import Testing

@testable import EventLoop
@testable import TokenService

/// Certificates made with the openssl command, in a directory of the test's own.
struct TestAuthority {
  let directory: PrivateDirectory
  var file: String { directory.file("ca.pem") }

  init() throws {
    directory = try PrivateDirectory()
    try Self.openssl([
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
      directory.file("ca.key"), "-out", directory.file("ca.pem"), "-days", "2", "-subj", "/CN=Test Authority",
    ])
  }

  /// A certificate for a DNS name, signed by this authority.
  func issue(_ name: String) throws {
    try Self.openssl([
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
      directory.file("server.key"), "-out", directory.file("server.pem"), "-days", "2", "-subj", "/CN=server",
      "-addext", "subjectAltName=DNS:\(name)", "-addext", "basicConstraints=critical,CA:FALSE", "-CA",
      directory.file("ca.pem"), "-CAkey", directory.file("ca.key"),
    ])
  }

  private static func openssl(_ arguments: [String]) throws {
    let process = try Subprocess(["openssl"] + arguments, connectedTo: nil)
    #expect(process.wait() == 0, "openssl \(arguments.first ?? "") failed")
  }
}

/// `openssl s_server` with its input and output on a socket: what clients send comes out of it, what goes in is sent to
/// them. Confined to the test's loop.
final class TLSServer {
  let port: UInt16
  private(set) var received = ""
  private let process: Subprocess
  private let end: End

  init(_ loop: EventLoop, _ authority: TestAuthority, answering answer: String) throws {
    let probe = try Socket.listen(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)))
    port = try Socket.localAddress(probe).port
    Socket.close(probe)
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    try #require(unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0)
    try #require(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
    process = try Subprocess(
      [
        "openssl", "s_server", "-quiet", "-accept", "127.0.0.1:\(port)", "-cert",
        authority.directory.file("server.pem"),
        "-key", authority.directory.file("server.key"),
      ], connectedTo: ends[1])
    Socket.close(ends[1])
    end = End(try Stream(loop, connected: ends[0]))
    end.stream.delegate = end
    end.onRead = { [weak self] text in
      guard let self else { return }
      received += text
      guard received.contains("\r\n\r\n") else { return }
      end.stream.write(Array(answer.utf8).span)
      end.stream.flush()
    }
    try waitUntilListening()
  }

  deinit {
    end.stream.close()
    process.kill()
  }

  private func waitUntilListening() throws {
    let address = try #require(SocketAddress(numeric: "127.0.0.1", port: port))
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      defer { Glibc.close(fd) }
      if unsafe address.withSockaddr({ unsafe connect(fd, $0, $1) }) == 0 { return }
      try #require(ContinuousClock.now < deadline, "s_server does not listen")
      usleep(5000)
    }
  }

  private final class End: StreamDelegate {
    let stream: Stream
    var onRead: (String) -> Void = { _ in }
    init(_ stream: Stream) { self.stream = stream }

    func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
      onRead(String(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self))
    }
    func streamDidConnect(_ stream: Stream) {}
    func streamDidFinishReading(_ stream: Stream) {}
    func streamDidEnd(_ stream: Stream) {}
    func streamDidHangUp(_ stream: Stream) {}
    func streamDidDrain(_ stream: Stream) {}
    func streamDidFailWriting(_ stream: Stream, _ error: StreamError) {}
    func streamDidFail(_ stream: Stream, _ error: StreamError) {}
  }
}

/// A child process, found by PATH. Its error output is dropped.
final class Subprocess {
  private var pid: pid_t = -1

  /// - Parameter descriptor: what it has as input and output; nil: /dev/null.
  init(_ arguments: [String], connectedTo descriptor: Int32?) throws {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    for number in 0...2 as ClosedRange<Int32> {
      if let descriptor, number < 2 {
        unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, number)
      } else {
        unsafe posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
      }
    }
    // Safety: the copies live until they are freed below, after the spawn.
    var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
    let result = unsafe posix_spawnp(&pid, arguments[0], &actions, nil, &pointers, environ)
    try #require(result == 0, "\(arguments[0]) could not be started: \(result)")
  }

  func wait() -> Int32 {
    var status: Int32 = -1
    while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return status
  }

  func kill() {
    _ = Glibc.kill(pid, SIGKILL)
    _ = wait()
  }
}
