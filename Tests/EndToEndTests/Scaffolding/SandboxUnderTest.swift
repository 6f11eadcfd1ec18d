// The sandbox as a process of its own, as a newcomer runs it.
import EventLoop
import GatewayTesting
import TokenKit

/// Runs `gateway-sandbox` on free ports until it is let go.
struct SandboxUnderTest {
  let process: ChildProcess
  let addresses: Sandbox.Addresses

  /// - Parameter arguments: besides `--port-base 0`.
  static func start(_ arguments: [String] = [], in directory: TemporaryDirectory) async throws -> SandboxUnderTest {
    let process = try ChildProcess(
      Products.path("gateway-sandbox"), ["--port-base", "0"] + arguments, directory: directory,
      name: "sandbox-\(UInt32.random(in: .min ... .max))")
    let line = try await process.waitForLine(containing: "{")
    guard let addresses = Sandbox.Addresses(json: line) else {
      throw DeadlinePassed("the sandbox printed \(line)")
    }
    return SandboxUnderTest(process: process, addresses: addresses)
  }

  /// `POST /control/…` on the control port.
  /// - Returns: the answer, which must have status 200.
  @discardableResult
  func control(_ path: String, _ body: OrderedJSON = [:]) async throws -> JSONValue {
    try await json("POST", "/control/\(path)", Array(body.text.utf8))
  }

  /// `GET /control/counters`.
  func counters() async throws -> JSONValue { try await json("GET", "/control/counters", nil) }

  /// Calls of one token API so far.
  func tokenCalls(_ api: SandboxAPI) async throws -> Int {
    try await counters()[api.rawValue]?["token_api"]?["calls"]?.int ?? -1
  }

  private func json(_ method: String, _ path: String, _ body: [UInt8]?) async throws -> JSONValue {
    let address = addresses.control
    let response = try await OwnThread.run { try RawClient.request(method, path, to: address, body: body) }
    guard response.status == 200, let json = response.json else {
      throw DeadlinePassed("\(path): \(response.status) \(response.bodyText)")
    }
    return json
  }
}
