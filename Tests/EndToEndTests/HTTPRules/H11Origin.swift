// An origin that reads with h11: what a foreign parser makes of the bytes that leave the gateway.
import EventLoop
import GatewayTesting
import TokenKit

/// Runs `HTTPRules/h11_origin.py` on free ports until it is let go.
struct H11Origin: Sendable {
  /// One connection of the gateway to it.
  struct Connection: Sendable {
    /// Every byte that came.
    var bytes: [UInt8]
    /// What h11 made of them, a text for each request (see `told` in the script).
    var requests: [String]
    /// nil while it is open; `idle` after a whole message or none, `cut` within one, else what h11 says is wrong.
    var end: String?
  }

  let address: SocketAddress
  private let control: SocketAddress
  private let process: ChildProcess
  private let directory: TemporaryDirectory

  static func start() async throws -> H11Origin {
    let directory = try TemporaryDirectory()
    let (process, says) = try await PythonPeer.start("HTTPRules/h11_origin.py", directory: directory)
    guard let port = says["port"]?.int.flatMap({ UInt16(exactly: $0) }),
      let control = says["control"]?.int.flatMap({ UInt16(exactly: $0) })
    else { throw SpawnError("the origin printed: \(process.output)") }
    return H11Origin(
      address: .ipv4(0x7f00_0001, port: port), control: .ipv4(0x7f00_0001, port: control), process: process,
      directory: directory)
  }

  /// All connections so far, in the order in which they came.
  func connections() async throws -> [Connection] {
    let control = control
    let response = try await OwnThread.run {
      try RawClient.request("GET", "/log", to: control, within: .seconds(60))
    }
    guard let all = response.json?.elements else { throw ClientError.check("the origin's log is no list") }
    return try all.map { each in
      guard let bytes = each["bytes"]?.text.flatMap(Self.bytes), let requests = each["requests"]?.elements else {
        throw ClientError.check("the origin's log is malformed")
      }
      return Connection(bytes: bytes, requests: requests.compactMap(\.text), end: each["end"]?.text)
    }
  }

  /// What came in all when the gateway has ended, so that nothing more can come.
  func finalConnections() async throws -> [Connection] {
    var last: [Connection] = []
    try await Deadline.wait("the origin has seen all connections end", within: .seconds(30)) {
      last = try await connections()
      return last.allSatisfy { $0.end != nil }
    }
    return last
  }

  /// Reads hexadecimal digits.
  static func bytes(hex: String) -> [UInt8]? {
    let digits = Array(hex.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    func value(_ digit: UInt8) -> UInt8 { digit < 58 ? digit &- 48 : digit &- 87 }
    return stride(from: 0, to: digits.count, by: 2).map { value(digits[$0]) << 4 | value(digits[$0 + 1]) }
  }
}
