// An origin that answers with any bytes, at any pace, with any end: each request's path says which.
import EventLoop
import GatewayTesting
import TokenKit

/// Runs `HTTPRules/raw_origin.py` on free ports until it is let go.
struct RawOrigin: Sendable {
  /// What it does with the bytes of an answer, in order.
  enum Step: Sendable {
    case send([UInt8])
    /// A byte at a time.
    case drip([UInt8])
    case wait(milliseconds: Int)
    case end
    case reset

    fileprivate var text: String {
      switch self {
      case .send(let bytes): bytes.map(Self.hex).joined()
      case .drip(let bytes): "d" + bytes.map(Self.hex).joined()
      case .wait(let time): "w\(time)"
      case .end: "fin"
      case .reset: "rst"
      }
    }

    private static func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
  }

  /// One connection of the gateway to it.
  struct Connection: Sendable {
    /// The rows that were asked for on it.
    var rows: [String]
    /// Seconds from the last step of the last answer to the connection's end by the gateway; nil while it is open.
    var endedAfter: Double?
  }

  let address: SocketAddress
  private let control: SocketAddress
  private let process: ChildProcess
  private let directory: TemporaryDirectory

  static func start() async throws -> RawOrigin {
    let directory = try TemporaryDirectory()
    let (process, says) = try await PythonPeer.start("HTTPRules/raw_origin.py", directory: directory)
    guard let port = says["port"]?.int.flatMap({ UInt16(exactly: $0) }),
      let control = says["control"]?.int.flatMap({ UInt16(exactly: $0) })
    else { throw SpawnError("the origin printed: \(process.output)") }
    return RawOrigin(
      address: .ipv4(0x7f00_0001, port: port), control: .ipv4(0x7f00_0001, port: control), process: process,
      directory: directory)
  }

  /// The target of a request that is answered so.
  static func target(row: String, _ steps: [Step]) -> String { "/\(row)/\(steps.map(\.text).joined(separator: "~"))" }

  /// All connections so far, in the order in which they came.
  func connections() async throws -> [Connection] {
    let control = control
    let response = try await OwnThread.run { try RawClient.request("GET", "/log", to: control, within: .seconds(60)) }
    guard let all = response.json?.elements else { throw ClientError.check("the origin's log is no list") }
    return all.map { each in
      var endedAfter: Double?
      if case .number(let seconds)? = each["ended_after"] { endedAfter = seconds }
      return Connection(rows: each["rows"]?.elements?.compactMap(\.text) ?? [], endedAfter: endedAfter)
    }
  }
}
