// The example of docs/adding-a-provider.md at work: a gateway that knows it, a token API and an upstream of its kind.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(2))) struct ExampleProviderTests {
  /// Gives sessions for renewal codes, each of which is good once: `renewal-0` is the first.
  private static func tokenAPI() throws -> ScriptedServer {
    let given = Shared(Mutex(0))
    return try ScriptedServer { request in
      let number = given.value.withLock { $0 }
      guard request.method == "POST", request.target == "/token",
        request.fields["X-Api-Key"] == "made-up-key", request.fields["Content-Type"] == "application/json"
      else { return .answer(.json(["fault": "wrong_key"], status: 403)) }
      guard request.bodyText == "{\"shop\":\"1042\",\"renewal\":\"made-up-renewal-\(number)\"}" else {
        return .answer(.json(["fault": "renewal_used"], status: 400))
      }
      given.value.withLock { $0 += 1 }
      return .answer(
        .json([
          "session": [
            "token": .string("made-up-session-\(number + 1)"), "renewal": .string("made-up-renewal-\(number + 1)"),
            "seconds": 1800,
          ]
        ]))
    }
  }

  @Test func theExampleGetsTokensRefreshesThemAndCuresA401() async throws {
    let api = try Self.tokenAPI()
    let good = Shared(Mutex("made-up-session-1"))
    let upstream = try ScriptedServer { request in
      request.fields["X-Parcel-Session"] == good.value.withLock { $0 }
        ? .answer(.text("parcels")) : .answer(.text("no session", status: 401))
    }
    var configuration = GatewayConfiguration.empty
    configuration.credentials["parcel"] = [
      "provider": "parcel", "token_url": .string("\(api.url)/token"), "shop": "1042",
      "api_key": ["value": "made-up-key"], "refresh_token": ["value": "made-up-renewal-0"],
      "header": "X-Parcel-Session", "scheme": "",
    ]
    configuration.routes = [
      GatewayConfiguration.route("parcel", prefix: "/parcel/", to: upstream.address, credential: "parcel")
    ]
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration)
    let process = try ChildProcess(
      Products.path("example-gateway"), [gateway.configurationPath], directory: gateway.directory, name: "example")
    try await process.waitWhileRunning("it is ready") { try await gateway.adminStatus("/readyz") == 200 }
    #expect(try await gateway.request("GET", "/parcel/list").bodyText == "parcels")
    // The upstream takes the next session only.
    good.value.withLock { $0 = "made-up-session-2" }
    #expect(try await gateway.request("GET", "/parcel/list").bodyText == "parcels")
    #expect(api.record.completed == 2)
    #expect(try await process.stop() == .code(0))
    SecretMarks.expectNone(in: process.output + process.errors)
  }
}
