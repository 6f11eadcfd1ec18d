// The status page in a real Chromium: what people see, press and hear of it. status_page.py does the looking.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(4)), .enabled(if: Chromium.isThere, Chromium.comment))
struct StatusPageTests {
  private static func look(_ part: String, _ gateway: GatewayUnderTest, _ more: [String] = []) async throws -> JSONValue
  {
    try await PythonPeer.run(
      "StatusPage/status_page.py",
      [part, "--page", "http://\(gateway.admin)/", "--caller", "http://\(gateway.address)"] + more
        + (Chromium.pictures.map { ["--shots", $0] } ?? []), within: .seconds(120))
  }

  /// Figures move, the button works by keyboard, a dead refresh token is told in red with its command, names for all
  /// controls, both themes, four widths, no word of complaint from the browser.
  @Test func oneCredential() async throws {
    let rig = try await TokenRig()
    let found = try await Self.look("small", rig.gateway, ["--control", "http://\(rig.sandbox.addresses.control)"])
    #expect(found["nodes"] != nil, "\(found)")
    try await rig.finish()
  }

  @Test func aThousandRoutes() async throws {
    let gateway = try await GatewayUnderTest.forStatusPage(routes: 1000)
    let found = try await Self.look("large", gateway, ["--routes", "1000"])
    #expect(found["filtered"]?.int == 11, "name-77 and name-770 to name-779")
  }

  @Test func theTokenIsAskedForOnce() async throws {
    let gateway = try await GatewayUnderTest.forStatusPage(token: "made-up-admin-token")
    _ = try await Self.look("token", gateway, ["--token", "made-up-admin-token"])
    gateway.expectNoSecretsInOutputs()
  }
}
