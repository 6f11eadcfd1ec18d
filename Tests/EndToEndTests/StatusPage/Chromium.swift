// What the tests of the status page begin with: a gateway, and the browser that it is looked at with.
import EventLoop
import GatewayTesting
import Glibc
import Testing

enum Chromium {
  static var isThere: Bool { TemporaryDirectory.names(in: "/usr/bin").contains("chromium") }
  static let comment: Comment = "chromium is not installed: scripts/test installs it"
  /// A folder for pictures of the page: GATEWAY_TEST_PICTURES, for people who want to look at it.
  static var pictures: String? { unsafe getenv("GATEWAY_TEST_PICTURES").map { unsafe String(cString: $0) } }
}

extension GatewayUnderTest {
  /// Routes `name-0` and so on with the prefixes `/r0/`, whose upstream refuses connections.
  static func forStatusPage(routes: Int = 1, token: String? = nil) async throws -> GatewayUnderTest {
    let nobody = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    let gateway = try GatewayUnderTest()
    var configuration = GatewayConfiguration.empty
    configuration.routes = (0..<routes).map {
      GatewayConfiguration.route("name-\($0)", prefix: "/r\($0)/", to: nobody, credential: nil)
    }
    if let token {
      configuration.more["admin"] = ["address": .string("\(gateway.admin)"), "token": ["value": .string(token)]]
    }
    let text = configuration.text(
      listenerPort: gateway.address.port, adminPort: gateway.admin.port, storePath: gateway.storePath)
    try gateway.write(text.replacing("},", with: "},\n"))
    try await gateway.start(waitingFor: "/healthz")
    return gateway
  }
}
