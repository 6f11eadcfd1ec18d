// The gateway.json at the top of the repository: what a newcomer starts, and what no caller may put past it.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct ShippedConfigurationTests {
  /// The file's text; tests stand four folders below the top.
  static func shipped() throws -> String {
    let top = #filePath.split(separator: "/").dropLast(5).joined(separator: "/")
    return try #require(TemporaryDirectory.read("/\(top)/gateway.json"), "gateway.json at /\(top)")
  }

  /// A sandbox and a gateway on the shipped text with other ports.
  static func start(
    recording: Recording = .requests
  ) async throws -> (sandbox: Sandbox, gateway: GatewayUnderTest) {
    var options = SandboxOptions.onFreePorts
    options.recording = recording
    let sandbox = try Sandbox(options)
    let gateway = try GatewayUnderTest()
    var text = try shipped()
    for (old, new) in [
      ("127.0.0.1:8080", "\(gateway.address)"), ("127.0.0.1:9901", "\(gateway.admin)"),
      ("127.0.0.1:9100", "\(sandbox.addresses.token)"), ("127.0.0.1:9101", "\(sandbox.addresses.vinid)"),
      ("127.0.0.1:9102", "\(sandbox.addresses.cukcuk)"), ("state/gateway.db", gateway.storePath),
    ] {
      #expect(text.contains(old), "the shipped file has \(old)")
      text = text.replacing(old, with: new)
    }
    try gateway.write(text)
    try await gateway.start()
    return (sandbox, gateway)
  }

  @Test func theShippedFilePassesCheck() async throws {
    let gateway = try GatewayUnderTest()
    try gateway.write(try Self.shipped())
    let result = try await gateway.check()
    #expect(result.exit == .code(0), "\(result.errors)")
  }

  @Test func bothAPIsAnswerWithTheSandboxsBody() async throws {
    let (sandbox, gateway) = try await Self.start()
    let user = try await gateway.request("GET", "/vinid/user-management/user-info")
    #expect(user.status == 200 && user.json?["data"]?["full_name"]?.text == "Sandbox User", "\(user.bodyText)")
    let branches = try await gateway.request("GET", "/cukcuk/api/v1/branchs/all")
    #expect(branches.status == 200 && branches.json?["Data"]?[0]?["Code"]?.text == "CN01", "\(branches.bodyText)")
    for api in [SandboxAPI.vinid, .cukcuk] {
      #expect(sandbox.counters(api).calls == 1)
      let counters = sandbox.upstreamCounters(api)
      #expect(counters.requests == 1 && counters.accepted == 1 && counters.notOneAuthorization == 0)
    }
    #expect(sandbox.record.violations == [])
  }

  /// Callers' own credentials, in every spelling that a server could take for ours.
  static let spoofs: [[String]] = [
    ["Authorization: Bearer evil"],
    ["Authorization: Bearer evil", "Authorization: Basic ZXZpbA=="],
    ["aUTHORIZATION: Bearer evil"],
    ["Authorization: Bearer evil", "Connection: authorization"],
    ["Connection: Authorization"],
    ["Connection: close, AUTHORIZATION, CompanyCode", "Authorization: Bearer evil", "CompanyCode: evil"],
    ["authorization_: Bearer evil"],
    ["Authorization:Bearer evil", "AUTHORIZATION:\tBearer evil", "authorization_: evil"],
    ["CompanyCode: evil"],
    ["companycode: evil", "COMPANYCODE: evil"],
    ["Company_Code: evil"],
    ["company_code: evil", "Company-Code: evil", "company-code: evil"],
    ["CompanyCode: evil", "Connection: companycode"],
    ["CompanyCode_: evil", "_CompanyCode: evil"],
    ["Proxy-Authorization: Basic ZXZpbA=="],
  ]

  @Test(arguments: [(SandboxAPI.vinid, "/vinid/user-management/user-info"), (.cukcuk, "/cukcuk/api/v1/branchs/all")])
  func theUpstreamSeesOneAuthorizationAndOneCompanyCodeAndTheyAreOurs(_ api: SandboxAPI, _ path: String) async throws {
    let (sandbox, gateway) = try await Self.start()
    let upstream = api == .vinid ? 1 : 2
    for spoof in Self.spoofs {
      let address = gateway.address
      let response = try await OwnThread.run {
        let client = try RawClient(to: address)
        try client.send("GET \(path) HTTP/1.1\r\nHost: \(address)\r\n" + spoof.map { $0 + "\r\n" }.joined() + "\r\n")
        return try client.response()
      }
      #expect(response.status == 200, "\(spoof): \(response.bodyText)")
      let seen = try #require(sandbox.record.requests.last { $0.port == upstream })
      let authorizations = seen.fields.all("Authorization")
      #expect(authorizations.count == 1 && authorizations[0].hasPrefix("Bearer "), "\(spoof)")
      #expect(sandbox.isCurrent(String(authorizations[0].dropFirst(7)), api), "\(spoof)")
      if api == .cukcuk {
        #expect(seen.fields.all("CompanyCode") == ["SANDBOX"])
        #expect(seen.fields.lines.count { Self.flat($0.name) == "companycode" } == 1)
        #expect(!seen.lines.contains { $0.contains("evil") }, "\(spoof) → \(seen.lines)")
      }
      #expect(!seen.fields.lines.contains { Self.flat($0.name) == "authorization" && $0.value.contains("evil") })
      #expect(!seen.fields.contains("Proxy-Authorization"))
    }
    #expect(sandbox.upstreamCounters(api).notOneAuthorization == 0)
    #expect(sandbox.counters(api).calls == 1)
    #expect(sandbox.record.violations == [])
  }

  @Test func keptUnderscoresLetNoCredentialPastUs() async throws {
    var options = SandboxOptions.onFreePorts
    options.recording = .requests
    let sandbox = try Sandbox(options)
    var configuration = GatewayConfiguration.only(.cukcuk, sandbox.addresses)
    configuration.more["underscore_fields"] = "keep"
    let gateway = try await GatewayUnderTest.start(configuration)
    let response = try await gateway.request(
      "GET", "/cukcuk/echo",
      fields: [
        FieldLine("Company_Code", "evil"), FieldLine("companycode_", "evil"), FieldLine("authorization_", "evil"),
        FieldLine("_Authorization", "evil"), FieldLine("x_mine", "kept"),
      ])
    #expect(response.status == 200)
    let seen = try #require(sandbox.record.requests.last { $0.port == 2 })
    #expect(!seen.lines.contains { $0.contains("evil") }, "\(seen.lines)")
    #expect(seen.fields.all("x_mine") == ["kept"])
  }

  /// A name as a careless server may read it.
  private static func flat(_ name: String) -> String { name.lowercased().filter { $0 != "_" && $0 != "-" } }

  @Test func trailersOfAChunkedRequestCarryNoCredentialPastUs() async throws {
    let (sandbox, gateway) = try await Self.start()
    let address = gateway.address
    let response = try await OwnThread.run {
      let client = try RawClient(to: address)
      try client.send(
        "POST /cukcuk/echo HTTP/1.1\r\nHost: \(address)\r\nTrailer: CompanyCode, Authorization, X-Sum\r\n"
          + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nCompanyCode: evil\r\ncompany_code: evil\r\n"
          + "Authorization: Bearer evil\r\nauthorization_: evil\r\n\r\n")
      return try client.response()
    }
    #expect(response.status == 200, "\(response.bodyText)")
    let seen = try #require(sandbox.record.requests.last { $0.port == 2 })
    #expect(seen.bodyCount == 5)
    #expect(!seen.trailers.lines.contains { $0.value.contains("evil") }, "\(seen.trailers)")
    #expect(seen.fields.all("CompanyCode") == ["SANDBOX"] && seen.fields.all("Authorization").count == 1)
    #expect(sandbox.record.violations == [])
  }

  @Test func noSecretStandsInTheLogOrInAProblemDocument() async throws {
    let (sandbox, gateway) = try await Self.start()
    _ = try await gateway.request("GET", "/vinid/user-management/user-info")
    _ = try await gateway.request("GET", "/cukcuk/api/v1/branchs/all")
    var secrets = ["sandbox-vinid-refresh-token", "sandbox-cukcuk-refresh-token"]
    for request in sandbox.record.requests {
      secrets += request.fields.all("Authorization").map { String($0.drop { $0 != " " }.dropFirst()) }
    }
    #expect(secrets.count == 4)
    sandbox.killRefreshTokens(.vinid)
    sandbox.revokeAccessTokens(.vinid)
    let refused = try await gateway.request("GET", "/vinid/user-management/user-info")
    #expect(refused.status == 401)
    try await Deadline.wait("/readyz names the credential that needs a login") {
      let body = try await gateway.adminGet("/readyz").bodyText
      return body.contains("\"vinid\"") && body.contains("needs_login")
    }
    let problem = try await gateway.adminGet("/api/credentials")
    #expect(try await gateway.stop() == .code(0))
    let texts = [try gateway.log, refused.bodyText, problem.bodyText]
    for secret in secrets { #expect(!texts.contains { $0.contains(secret) }) }
  }
}
