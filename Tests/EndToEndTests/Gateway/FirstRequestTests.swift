// The way of one request through a gateway and a sandbox, each with its API's current token.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite struct FirstRequestTests {
  @Test func bothAPIsAnswerWithTheSandboxsBody() async throws {
    let sandbox = try Sandbox()
    let gateway = try await GatewayUnderTest.start(.standard(sandbox.addresses))
    let user = try await gateway.request("GET", "/vinid/user-management/user-info")
    #expect(user.status == 200 && user.json?["meta"]?["code"]?.int == 200, "\(user.bodyText)")
    let branches = try await gateway.request("GET", "/cukcuk/api/v1/branchs/all")
    #expect(branches.status == 200 && branches.json?["Success"]?.bool == true, "\(branches.bodyText)")
    for api in SandboxAPI.allCases { #expect(sandbox.counters(api).calls == 1, "\(api)") }
    #expect(sandbox.upstreamCounters(.vinid).notOneAuthorization == 0)
    #expect(sandbox.record.violations.isEmpty)
    #expect(try await gateway.stop() == .code(0))
  }
}
