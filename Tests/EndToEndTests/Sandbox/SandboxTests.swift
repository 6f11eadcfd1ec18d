// The sandbox over sockets: in this process for a look inside, and as the program that newcomers run.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

/// Calls a sandbox as a gateway would.
private struct Caller {
  let addresses: Sandbox.Addresses

  func get(
    _ method: String = "GET", _ target: String, _ address: SocketAddress, token: String?, fields: FieldList = [],
    body: [UInt8]? = nil
  ) async throws -> ReceivedResponse {
    var fields = fields
    if let token { fields.add("Authorization", "Bearer \(token)") }
    return try await OwnThread.run { [fields] in
      try RawClient.request(method, target, to: address, fields: fields, body: body)
    }
  }

  func refresh(_ token: String = "sandbox-vinid-refresh-token") async throws -> ReceivedResponse {
    let body = "grant_type=refresh_token&client_id=sandbox-app&refresh_token=\(token)"
    return try await get(
      "POST", "/vinid/oauth2/token", addresses.token, token: nil,
      fields: [FieldLine("Content-Type", "application/x-www-form-urlencoded")], body: Array(body.utf8))
  }

  func cukcuk(_ token: String = "sandbox-cukcuk-refresh-token") async throws -> ReceivedResponse {
    let body = #"{"CompanyCode":"SANDBOX","RefreshToken":"\#(token)"}"#
    return try await get(
      "POST", "/cukcuk/Authen/v2/RefreshToken", addresses.token, token: nil,
      fields: [FieldLine("Content-Type", "application/json")], body: Array(body.utf8))
  }
}

extension ReceivedResponse {
  fileprivate func member(_ name: String) throws -> String { try #require(json?[name]?.text, "\(name)") }
}

@Suite struct SandboxTests {
  let sandbox: Sandbox
  private let caller: Caller

  init() throws {
    sandbox = try Sandbox()
    caller = Caller(addresses: sandbox.addresses)
  }

  @Test func upstreamsTakeTheCurrentTokenOfTheirAPIOnly() async throws {
    let first = try await caller.refresh()
    let token = try first.member("access_token")
    let good = try await caller.get("GET", "/user-management/user-info", sandbox.addresses.vinid, token: token)
    #expect(good.status == 200 && good.json?["data"]?["full_name"]?.text == "Sandbox User")
    for (address, used) in [(sandbox.addresses.vinid, nil), (sandbox.addresses.cukcuk, token)] {
      let refused = try await caller.get("GET", "/x", address, token: used)
      #expect(refused.status == 401)
      #expect(refused.fields["WWW-Authenticate"] == "Bearer realm=\"sandbox\", error=\"invalid_token\"")
    }
    let twice = try await caller.get(
      "GET", "/x", sandbox.addresses.vinid, token: token, fields: [FieldLine("authorization", "Bearer \(token)")])
    #expect(twice.status == 401)
    #expect(sandbox.upstreamCounters(.vinid).notOneAuthorization == 2)
    #expect(sandbox.upstreamCounters(.vinid).unauthorized == 2 && sandbox.upstreamCounters(.vinid).accepted == 1)

    // Rotation kills the old token at once.
    #expect(try await caller.refresh(first.member("refresh_token")).status == 200)
    #expect(try await caller.get("GET", "/x", sandbox.addresses.vinid, token: token).status == 401)
    #expect(!sandbox.isCurrent(token, .vinid))
  }

  @Test func branchesNeedTheCompanyCodeOnce() async throws {
    let reply = try await caller.cukcuk()
    let token = try #require(reply.json?["Data"]?["Access_Token"]?.text)
    for (codes, type) in [(["SANDBOX"], 0), ([], 2), (["sandbox"], 2), (["SANDBOX", "SANDBOX"], 2)] {
      let response = try await caller.get(
        "GET", "/api/v1/branchs/all", sandbox.addresses.cukcuk, token: token,
        fields: FieldList(codes.map { FieldLine("CompanyCode", $0) }))
      #expect(response.status == 200 && response.json?["ErrorType"]?.int == type, "\(codes)")
    }
  }

  @Test func theEchoTellsAllButTheToken() async throws {
    let token = try await caller.refresh().member("access_token")
    let body = Array("hello".utf8)
    let response = try await caller.get(
      "POST", "/a/b?c=\(token)", sandbox.addresses.vinid, token: token,
      fields: [FieldLine("X-One", "1"), FieldLine("x-one", "t=\(token)")], body: body)
    #expect(!response.bodyText.contains(token))
    #expect(response.json?["method"]?.text == "POST" && response.json?["target"]?.text == "/a/b?c=<redacted>")
    #expect(response.json?["authorizations"]?.int == 1)
    #expect(response.json?["body"]?["fnv1a64"]?.text == "\(BodyDigest(body))")
    let fields = response.json?["fields"]?.elements?.map { [$0[0]?.text, $0[1]?.text] }
    #expect(fields?.contains(["x-one", "t=<redacted>"]) == true)
    #expect(fields?.contains(["Authorization", "<redacted>"]) == true)
  }

  @Test func pathsForTests() async throws {
    let token = try await caller.refresh().member("access_token")
    func get(_ target: String, _ body: [UInt8]? = nil, token used: String? = token) async throws -> ReceivedResponse {
      try await caller.get(body == nil ? "GET" : "POST", target, sandbox.addresses.vinid, token: used, body: body)
    }
    for target in ["/download/200000", "/download/200000?chunked"] {
      let response = try await get(target)
      #expect(response.fingerprint == BodyDigest.ofPattern(count: 200_000), "\(target)")
      #expect(response.fields.contains("Transfer-Encoding") == target.hasSuffix("chunked"))
    }
    #expect(try await get("/status/418").status == 418)
    #expect(try await get("/status/99").status == 400)
    #expect(try await get("/download/x").status == 400)
    #expect(try await get("/slow/1").status == 200)
    #expect(try await get("/events/3?ms=1").bodyText == "data: 0\n\ndata: 1\n\ndata: 2\n\n")
    let stalled = try await get("/stall/10?seconds=0", Array("0123456789abcdef".utf8))
    #expect(stalled.json?["body"]?["bytes"]?.int == 16)
    for target in ["/early-401/x", "/early-401-close/x"] {
      #expect(try await get(target, [1, 2, 3], token: nil).status == 401, "\(target)")
      #expect(try await get(target, [1, 2, 3]).status == 200, "\(target)")
    }
  }

  @Test func anEarly401ComesBeforeTheBody() async throws {
    try await OwnThread.run { [address = sandbox.addresses.vinid] in
      for path in ["/early-401/x", "/early-401-close/x"] {
        let client = try RawClient(to: address)
        try client.send("POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        #expect(try client.response().status == 401, "\(path)")
      }
    }
    #expect(sandbox.upstreamCounters(.vinid).unauthorized == 2)
  }

  @Test func aRaceNeedsLatency() async throws {
    sandbox.change(.vinid) { $0.latencyBefore = .milliseconds(200) }
    async let a = caller.refresh()
    async let b = caller.refresh()
    let answers = try await [a, b]
    #expect(answers.map(\.status).sorted() == [200, 400])
    #expect(answers.first { $0.status == 400 }?.json?["error"]?.text == "invalid_request")
    #expect(sandbox.counters(.vinid).mostAtOnce == 2)
    #expect(sandbox.counters(.vinid).spentTokenSeen == 0)
  }

  @Test func revokeKillAndLogin() async throws {
    let pair = try await caller.refresh()
    let token = try pair.member("access_token")
    sandbox.revokeAccessTokens(.vinid)
    #expect(try await caller.get("GET", "/x", sandbox.addresses.vinid, token: token).status == 401)
    let next = try await caller.refresh(pair.member("refresh_token"))
    #expect(next.status == 200)
    sandbox.killRefreshTokens(.vinid)
    let good = try next.member("access_token")
    #expect(try await caller.get("GET", "/x", sandbox.addresses.vinid, token: good).status == 200)
    #expect(try await caller.refresh(next.member("refresh_token")).json?["error"]?.text == "invalid_grant")
    #expect(try await caller.refresh(sandbox.logIn(.vinid)).status == 200)
  }

  @Test func theTokenPortCanBeClosed() async throws {
    sandbox.closeTokenPort()
    await #expect(throws: ClientError.system(SystemError("connect", errno: 111))) { try await caller.refresh() }
    try sandbox.openTokenPort()
    #expect(try await caller.refresh().status == 200)
  }
}

@Suite struct SandboxProgramTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  @Test func stateSurvivesARestart() async throws {
    let state = ["--state", directory.path("state.json")]
    let first = try await SandboxUnderTest.start(state, in: directory)
    let pair = try await Caller(addresses: first.addresses).refresh()
    #expect(pair.status == 200)
    // Killed, not ended: the pair was kept before the answer left.
    try await first.process.stop(with: ChildProcess.kill)
    #expect(TemporaryDirectory.mode(directory.path("state.json")) == 0o600)
    let second = try await SandboxUnderTest.start(state, in: directory)
    let caller = Caller(addresses: second.addresses)
    let token = try pair.member("access_token")
    #expect(try await caller.get("GET", "/x", second.addresses.vinid, token: token).status == 200)
    #expect(try await caller.refresh(pair.member("refresh_token")).status == 200)
    #expect(try await caller.refresh().json?["error"]?.text == "invalid_grant")
    #expect(try await second.process.stop() == .code(0))
  }

  @Test func controlTurnsEveryKnob() async throws {
    let sandbox = try await SandboxUnderTest.start(["--lifetime", "5s"], in: directory)
    let caller = Caller(addresses: sandbox.addresses)
    var pair = try await caller.refresh()
    #expect(pair.json?["expires_in"]?.int == 5)
    try await sandbox.control("vinid", ["lifetime": "3s", "grace": "1m"])
    try await sandbox.control("vinid/fail", ["kind": "http_429", "retry_after": 2])
    #expect(try await caller.refresh(pair.member("refresh_token")).fields["Retry-After"] == "2")
    try await sandbox.control("vinid/fail", ["kind": "http_500", "count": 5])
    #expect(try await caller.refresh(pair.member("refresh_token")).status == 500)
    try await sandbox.control("vinid/clear")
    let old = try pair.member("refresh_token")
    pair = try await caller.refresh(old)
    #expect(pair.json?["expires_in"]?.int == 3)
    #expect(try await caller.refresh(old).status == 200)
    let token = try pair.member("access_token")
    try await sandbox.control("vinid/revoke")
    #expect(try await caller.get("GET", "/x", sandbox.addresses.vinid, token: token).status == 401)
    try await sandbox.control("vinid/kill")
    #expect(try await caller.refresh(pair.member("refresh_token")).status == 400)
    let login = try await sandbox.control("vinid/login")
    #expect(try await caller.refresh(#require(login["refresh_token"]?.text)).status == 200)
    let counters = try await sandbox.counters()["vinid"]
    #expect(counters?["token_api"]?["calls"]?.int == 7)
    #expect(counters?["token_api"]?["granted"]?.int == 4)
    #expect(counters?["upstream"]?["unauthorized"]?.int == 1)
    try await sandbox.control("reset")
    #expect(try await sandbox.tokenCalls(.vinid) == 0)
    try await sandbox.control("down")
    await #expect(throws: ClientError.system(SystemError("connect", errno: 111))) { try await caller.refresh() }
    try await sandbox.control("up")
    #expect(try await caller.cukcuk().status == 200)
    try await sandbox.control("cukcuk", ["replies_as_html": true])
    #expect(try await caller.cukcuk().fields["Content-Type"] == "text/html")
  }

  @Test func aWrongControlChangesNothingAndSaysWhy() async throws {
    let sandbox = try await SandboxUnderTest.start(in: directory)
    let control = sandbox.addresses.control
    for (path, body, status, text) in [
      ("/control/vinid", #"{"lifetime":"3s","graze":"1s"}"#, 400, "did you mean \\\"grace\\\""),
      ("/control/vinid", #"{"lifetime":"soon"}"#, 400, "is not a duration"),
      ("/control/vinid/fail", #"{"kind":"http_50"}"#, 400, "did you mean \\\"http_500\\\""),
      ("/control/vinid/fail", "{}", 400, "is missing"), ("/control/vinid", "[", 400, "not a JSON object"),
      ("/control/nobody", "{}", 404, "GET /control"), ("/control/vinid/explode", "{}", 404, "GET /control"),
    ] {
      let response = try await OwnThread.run {
        try RawClient.request("POST", path, to: control, body: Array(body.utf8))
      }
      #expect(response.status == status && response.bodyText.contains(text), "\(body): \(response.bodyText)")
    }
    let pair = try await Caller(addresses: sandbox.addresses).refresh()
    #expect(pair.status == 200 && pair.json?["expires_in"]?.int == 3600)
  }

  @Test func aCommandLineThatCannotBeDoneIsRefused() async throws {
    let taken = try ScriptedServer { _ in .answer(Answer()) }
    for (arguments, code, text) in [
      (["--port-base", "\(taken.port)"], Int32(1), "a port cannot be used"), (["--fail", "x"], 64, "API=KIND"),
      (["--lifetime", "soon"], 64, "is not a duration"), (["--state", "/nowhere/state"], 1, "cannot be written"),
    ] {
      let process = try ChildProcess(
        Products.path("gateway-sandbox"), arguments, directory: directory, name: "refused-\(code)-\(text.count)")
      #expect(try await process.waitForExit() == .code(code), "\(arguments)")
      #expect(process.errors.contains(text), "\(process.errors)")
    }
    try directory.write("broken", "{")
    let process = try ChildProcess(
      Products.path("gateway-sandbox"), ["--port-base", "0", "--state", directory.path("broken")],
      directory: directory, name: "broken-state")
    #expect(try await process.waitForExit() == .code(1))
    #expect(process.errors.contains("not a state file"))
  }

  @Test func faultsCanBeOnTheCommandLine() async throws {
    let sandbox = try await SandboxUnderTest.start(
      ["--fail", "vinid=http_500:2", "--fail", "vinid=malformed"], in: directory)
    let caller = Caller(addresses: sandbox.addresses)
    var statuses: [Int] = []
    for _ in 0..<4 { statuses.append(try await caller.refresh().status) }
    #expect(statuses == [500, 500, 200, 200])
    #expect(try await sandbox.counters()["vinid"]?["token_api"]?["outcomes"]?["malformed"]?.int == 1)
  }
}
