// A gateway in front of a scripted origin, without a credential: what the tests of HTTP itself talk to.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

struct Relay {
  let origin: ScriptedServer
  let gateway: GatewayUnderTest

  var address: SocketAddress { gateway.address }

  /// One route, `/`, to a scripted origin.
  /// - Parameter configure: changes the configuration before the start.
  static func start(
    recording: Recording = .requests, script: ServerScript,
    configure: (inout GatewayConfiguration, SocketAddress) -> Void = { _, _ in }
  ) async throws -> Relay {
    let origin = try ScriptedServer(recording: recording, script: script)
    var configuration = GatewayConfiguration.empty
    configuration.routes = [plainRoute(to: origin.address)]
    configure(&configuration, origin.address)
    return Relay(origin: origin, gateway: try await .start(configuration))
  }

  /// The same with an origin that answers complete requests.
  static func start(
    recording: Recording = .requests, configure: (inout GatewayConfiguration, SocketAddress) -> Void = { _, _ in },
    answer: @escaping @Sendable (IncomingRequest) -> Reaction
  ) async throws -> Relay {
    try await start(recording: recording, script: ServerScript(onRequest: answer), configure: configure)
  }

  /// Everything goes there as it is.
  static func plainRoute(to upstream: SocketAddress, more: [(String, OrderedJSON)] = []) -> OrderedJSON {
    var route = GatewayConfiguration.route("all", prefix: "/", to: upstream, credential: nil, more: more)
    route["strip_prefix"] = nil
    return route
  }

  /// Runs blocking code with a connection of its own.
  func talk<Result: Sendable>(_ body: @escaping @Sendable (RawClient) throws -> Result) async throws -> Result {
    let address = address
    return try await OwnThread.run { try body(RawClient(to: address)) }
  }

  /// Sends these bytes and reads one response and whether the connection is closed after it.
  func send(_ text: String, toHead: Bool = false) async throws -> (response: ReceivedResponse, closes: Bool) {
    try await talk { client in
      try client.send(text)
      let response = try client.response(toHead: toHead)
      return (response, response.head.keepsAlive ? false : client.isClosedByPeer())
    }
  }

  /// A request that the gateway must carry out, on a connection of its own.
  func expectWorks(_ comment: Comment = "a request after it", sourceLocation: SourceLocation = #_sourceLocation)
    async throws
  {
    let response = try await gateway.request("GET", "/after")
    #expect(response.status == 200, comment, sourceLocation: sourceLocation)
  }
}

extension ReceivedResponse {
  /// What the gateway says in a problem document of its own; nil when the answer is none.
  var problem: (reason: String?, source: String?)? {
    guard fields.all("Content-Type") == ["application/problem+json"], fields.all("Proxy-Status").count == 1,
      let json, json["status"]?.int == status
    else { return nil }
    return (json["reason"]?.text, json["source"]?.text)
  }
}

extension IncomingRequest {
  /// Names and values of the fields, one a line: for comparing whole requests.
  var lines: [String] { fields.lines.map(\.description) }
}
