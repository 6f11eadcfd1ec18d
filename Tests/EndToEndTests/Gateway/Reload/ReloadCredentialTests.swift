// Credentials that change, come and go with a reload, under load: no request fails, no grant is broken off, and no
// refresh token is spent twice.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(3))) struct ReloadCredentialTests {
  private struct Rig {
    let sandbox: Sandbox
    let gateway: GatewayUnderTest
    var configuration: GatewayConfiguration

    static func start(
      waitingFor path: String = "/readyz",
      _ change: (inout SandboxOptions, inout GatewayConfiguration) -> Void = { _, _ in }
    ) async throws -> Rig {
      var options = SandboxOptions.onFreePorts
      var configuration = GatewayConfiguration.empty
      change(&options, &configuration)
      let sandbox = try Sandbox(options)
      configuration.credentials["vinid"] = GatewayConfiguration.vinid(sandbox.addresses)
      configuration.routes = [
        GatewayConfiguration.route("vinid", prefix: "/vinid/", to: sandbox.addresses.vinid, credential: "vinid")
      ]
      return Rig(
        sandbox: sandbox, gateway: try await .start(configuration, waitingFor: path), configuration: configuration)
    }

    func get(_ target: String = "/vinid/x") async throws -> ReceivedResponse {
      try await gateway.request("GET", target)
    }

    func load(callers: Int = 8) throws -> UnderLoad { try UnderLoad(gateway, callers: callers, target: "/vinid/x") }

    /// What reached the upstream of a request of ours.
    func seen(_ target: String = "/vinid/x") async throws -> String { try await get(target).bodyText }

    func expectGrants(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) {
      let counters = sandbox.counters(.vinid)
      #expect(counters.granted == count, "\(counters)", sourceLocation: sourceLocation)
      #expect(counters.spentTokenSeen == 0 && counters.mostAtOnce <= 1, "\(counters)", sourceLocation: sourceLocation)
    }

    func waitForGrants(_ count: Int) async throws {
      try await Deadline.wait("\(count) grants", within: .seconds(30)) { sandbox.counters(.vinid).granted >= count }
    }
  }

  /// Token calls that take longer than a few reloads on a busy machine.
  private static func slowCalls(_ options: inout SandboxOptions, _ configuration: inout GatewayConfiguration) {
    options.latencyBefore = .seconds(10)
    configuration.timeouts = ["token": "30s", "park": "60s"]
  }

  /// The same token goes on, in another form: no token call.
  @Test func newFieldsGoOnWithTheSameToken() async throws {
    var rig = try await Rig.start()
    let load = try rig.load()
    try await load.more()
    #expect(try await rig.seen().contains("X-File") == false)
    rig.configuration.credentials["vinid"]?["extra_headers"] = ["X-File": "second"]
    try await rig.gateway.reload(rig.configuration)
    try await Deadline.wait("the new field is sent") { try await rig.seen().contains("second") }
    rig.configuration.credentials["vinid"]?["extra_headers"] = nil
    rig.configuration.credentials["vinid"]?["min_refresh_interval"] = "7s"
    try await rig.gateway.reload(rig.configuration)
    try await Deadline.wait("the field is sent no more") { try await rig.seen().contains("second") == false }
    try await load.more()
    _ = try await load.end()
    rig.expectGrants(1)
  }

  /// A new access token from the same family; callers wait for it.
  @Test func aNewScopeOrTokenURLMakesANewTokenFromTheSameFamily() async throws {
    var rig = try await Rig.start()
    let load = try rig.load()
    try await load.more()
    rig.configuration.credentials["vinid"]?["scope"] = "openid profile"
    try await rig.gateway.reload(rig.configuration)
    try await rig.waitForGrants(2)
    try await load.more()
    rig.configuration.credentials["vinid"]?["token_url"] = .string(
      "http://localhost:\(rig.sandbox.addresses.token.port)/vinid/oauth2/token")
    try await rig.gateway.reload(rig.configuration)
    try await rig.waitForGrants(3)
    try await load.more()
    _ = try await load.end()
    rig.expectGrants(3)
  }

  @Test func aNewSeedEndsNeedsLogin() async throws {
    var rig = try await Rig.start()
    rig.sandbox.killRefreshTokens(.vinid)
    _ = try await rig.gateway.refreshNow("vinid")
    #expect(try await rig.gateway.waitForNeedsLogin(of: "vinid") == "needs_login")
    // The old file changes nothing.
    try await rig.gateway.reload(rig.configuration)
    #expect(try await rig.gateway.credential("vinid")?["state"]?.text == "needs_login")
    let calls = rig.sandbox.counters(.vinid).calls
    rig.configuration.credentials["vinid"] = GatewayConfiguration.vinid(
      rig.sandbox.addresses, refreshToken: rig.sandbox.logIn(.vinid))
    try await rig.gateway.reload(rig.configuration)
    try await rig.gateway.waitForGeneration(2, of: "vinid")
    #expect(try await rig.get().status == 200)
    #expect(rig.sandbox.counters(.vinid).calls == calls + 1)
    // A file from before comes back: its token was used, and is not sent again.
    rig.configuration.credentials["vinid"] = GatewayConfiguration.vinid(rig.sandbox.addresses)
    try await rig.gateway.reload(rig.configuration)
    #expect(try await rig.get().status == 200)
    #expect(rig.sandbox.counters(.vinid).spentTokenSeen == 0)
    #expect(rig.sandbox.counters(.vinid).calls == calls + 1)
  }

  @Test func aCredentialComesGoesAndComesBack() async throws {
    var rig = try await Rig.start()
    let load = try rig.load()
    let plain = rig.configuration
    rig.configuration.credentials["oauth2"] = GatewayConfiguration.oauth2(rig.sandbox.addresses)
    rig.configuration.routes.append(
      GatewayConfiguration.route(
        "oauth2", prefix: "/oauth2/", to: rig.sandbox.addresses.oauth2, credential: "oauth2"))
    try await rig.gateway.reload(rig.configuration)
    #expect(try await rig.get("/oauth2/x").status == 200)
    try await rig.gateway.waitForGeneration(1, of: "oauth2")
    try await rig.gateway.reload(plain)
    #expect(try await rig.get("/oauth2/x").status == 404)
    #expect(try await rig.gateway.credential("oauth2") == nil)
    #expect(try await rig.gateway.adminStatus("/readyz") == 200)
    #expect(try await rig.gateway.adminGet("/metrics").bodyText.contains("\"oauth2\"") == false)
    try await rig.gateway.reload(rig.configuration)
    #expect(try await rig.get("/oauth2/x").status == 200)
    #expect(try await rig.gateway.credential("oauth2")?["generation"]?.int == 1, "its row is used again")
    #expect(rig.sandbox.counters(.oauth2).calls == 1)
    try await load.more()
    _ = try await load.end()
    rig.expectGrants(1)
  }

  /// One call, whatever is reloaded meanwhile, and its pair is stored.
  @Test func aReloadDuringATokenCallBreaksNothingOff() async throws {
    var rig = try await Rig.start(waitingFor: "/healthz") { options, configuration in
      Self.slowCalls(&options, &configuration)
    }
    try await Deadline.wait("the call is under way") { rig.sandbox.counters(.vinid).calls == 1 }
    let gateway = rig.gateway
    let waiting = Task { try await gateway.request("GET", "/vinid/x") }
    var during = 0
    while rig.sandbox.counters(.vinid).granted == 0 {
      rig.configuration.credentials["vinid"]?["refresh_at"] = .double(0.5 + Double(during % 40) / 100)
      try await gateway.reload(rig.configuration)
      if rig.sandbox.counters(.vinid).granted == 0 { during += 1 }
    }
    #expect(during > 0, "reloads while the call was under way")
    #expect(try await waiting.value.status == 200)
    try await gateway.waitForGeneration(1, of: "vinid")
    rig.expectGrants(1)
    #expect(rig.sandbox.counters(.vinid).calls == 1)
    try await gateway.stop()
    try await gateway.start()
    #expect(try await rig.get().status == 200)
    rig.expectGrants(1)
  }

  /// The call is finished and its pair stored; who waits gets the token; when the name comes back the pair is there.
  @Test func aCredentialIsTakenOutDuringItsTokenCall() async throws {
    let rig = try await Rig.start(waitingFor: "/healthz") { options, configuration in
      Self.slowCalls(&options, &configuration)
    }
    let gateway = rig.gateway
    try await Deadline.wait("the call is under way") { rig.sandbox.counters(.vinid).calls == 1 }
    let waiting = (0..<5).map { _ in Task { try await gateway.request("GET", "/vinid/x") } }
    try await Deadline.wait("they wait") {
      try await gateway.adminGet("/metrics").bodyText.contains("gateway_parked_requests{credential=\"vinid\"} 5")
    }
    var without = GatewayConfiguration.empty
    without.routes = [
      GatewayConfiguration.route("vinid", prefix: "/vinid/", to: rig.sandbox.addresses.vinid, credential: nil)
    ]
    try await gateway.reload(without)
    #expect(rig.sandbox.counters(.vinid).granted == 0, "the call is still under way")
    #expect(try await rig.get().status == 401, "without a credential")
    for task in waiting { #expect(try await task.value.status == 200) }
    rig.expectGrants(1)
    try await gateway.reload(rig.configuration)
    #expect(try await rig.get().status == 200)
    #expect(try await gateway.credential("vinid")?["generation"]?.int == 1)
    rig.expectGrants(1)
  }

  /// It comes back before its call is over.
  @Test func aCredentialComesBackDuringItsTokenCall() async throws {
    let rig = try await Rig.start(waitingFor: "/healthz") { options, configuration in
      Self.slowCalls(&options, &configuration)
    }
    let gateway = rig.gateway
    try await Deadline.wait("the call is under way") { rig.sandbox.counters(.vinid).calls == 1 }
    var without = GatewayConfiguration.empty
    without.routes = [
      GatewayConfiguration.route("other", prefix: "/other/", to: rig.sandbox.addresses.vinid, credential: nil)
    ]
    for _ in 0..<3 {
      try await gateway.reload(without)
      try await gateway.reload(rig.configuration)
    }
    #expect(rig.sandbox.counters(.vinid).granted == 0, "the call is still under way")
    #expect(try await rig.get().status == 200)
    try await gateway.waitForGeneration(1, of: "vinid")
    rig.expectGrants(1)
  }

  /// Nothing of it is under way, and no refresh may be forced yet: who waits for that is told at once.
  @Test func whoWaitsForACredentialThatIsTakenOutIsTold() async throws {
    var rig = try await Rig.start { _, configuration in configuration.timeouts = ["park": "300s"] }
    rig.configuration.credentials["vinid"]?["min_refresh_interval"] = "300s"
    let gateway = rig.gateway
    try await gateway.reload(rig.configuration)
    #expect(try await rig.get().status == 200)
    rig.sandbox.revokeAccessTokens(.vinid)
    #expect(try await rig.get().status == 200)
    rig.expectGrants(2)
    rig.sandbox.revokeAccessTokens(.vinid)
    let waiting = Task { try await gateway.request("GET", "/vinid/x", within: .seconds(120)) }
    try await Deadline.wait("it waits", within: .seconds(60)) {
      let page = try await gateway.adminGet("/metrics").bodyText
      return page.contains("gateway_parked_requests{credential=\"vinid\"} 1")
    }
    var without = GatewayConfiguration.empty
    without.routes = [
      GatewayConfiguration.route("other", prefix: "/other/", to: rig.sandbox.addresses.vinid, credential: nil)
    ]
    try await gateway.reload(without)
    #expect(try await waiting.value.status == 401, "the upstream's own answer")
    rig.expectGrants(2)
  }

  /// A secret in a file is read again at every reload.
  @Test func aRotatedSecretFileCounts() async throws {
    var rig = try await Rig.start()
    try rig.gateway.directory.write("secret", "made-up-wrong-secret\n")
    var credential = GatewayConfiguration.oauth2(rig.sandbox.addresses)
    credential["client_secret"] = ["file": .string(rig.gateway.directory.path("secret"))]
    rig.configuration.credentials["oauth2"] = credential
    rig.configuration.routes.append(
      GatewayConfiguration.route(
        "oauth2", prefix: "/oauth2/", to: rig.sandbox.addresses.oauth2, credential: "oauth2"))
    try await rig.gateway.reload(rig.configuration)
    try await Deadline.wait("the secret is refused") {
      try await rig.gateway.credential("oauth2")?["state"]?.text == "misconfigured"
    }
    try rig.gateway.directory.write("secret", "sandbox-secret\n")
    try await rig.gateway.reload(rig.configuration)
    try await rig.gateway.waitForGeneration(1, of: "oauth2")
    #expect(try await rig.get("/oauth2/x").status == 200)
  }

  /// Tokens of 3 s, whose server kills the old one at each rotation, and a reload all the time.
  @Test func reloadsAndShortTokens() async throws {
    var rig = try await Rig.start { options, _ in options.setLifetime(.seconds(3)) }
    let load = try rig.load(callers: 4)
    let clock = ContinuousClock()
    let end = clock.now + .seconds(12)
    var number = 0
    while clock.now < end {
      number += 1
      rig.configuration.credentials["vinid"]?["extra_headers"] = ["X-File": .string("\(number % 3)")]
      rig.configuration.credentials["vinid"]?["refresh_at"] = .double(0.6 + Double(number % 4) / 10)
      try await rig.gateway.reload(rig.configuration)
    }
    let report = try await load.end()
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.spentTokenSeen == 0 && counters.mostAtOnce == 1 && counters.granted >= 4, "\(counters)")
    print("\(number) reloads with tokens of 3 s: \(report.count) requests, \(counters.granted) grants")
  }
}

extension GatewayUnderTest {
  fileprivate func refreshNow(_ name: String) async throws -> Int {
    let admin = admin
    return try await OwnThread.run {
      try RawClient.request(
        "POST", "/api/credentials/\(name)/refresh", to: admin, fields: FieldList([("X-Gateway-Admin", "1")]),
        within: .seconds(60)
      ).status
    }
  }
}
