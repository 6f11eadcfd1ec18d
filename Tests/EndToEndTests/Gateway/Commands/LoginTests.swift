// `gateway login` at django-oauth-toolkit's real pages: on loopback and pasted, with and without a running gateway.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(10))) struct LoginTests {
  /// A credential that nobody has logged in for yet.
  private func configuration(
    _ api: RotatingAPI, _ server: TokenServerUnderTest, redirectURI: String = "http://127.0.0.1/callback",
    keepingSeed: Bool = false
  ) -> GatewayConfiguration {
    let rotating = RotatingServer(api, server)
    var credential = rotating.credential(scope: "read write")
    credential["redirect_uri"] = .string(redirectURI)
    credential["authorization_url"] = .string("http://\(server.address)/o/authorize/")
    if !keepingSeed { credential["refresh_token"] = nil }
    return rotating.configuration(["main": credential])
  }

  /// The running gateway has no token at all; after the login it serves without a restart.
  @Test(arguments: [RotatingAPI.toolkitOAuth2, .toolkitVinID], [true, false])
  func theRunningGatewayServesWithTheNewPairAtOnce(_ api: RotatingAPI, pasted: Bool) async throws {
    let server = try await TokenServerUnderTest.start(isPublic: api == .toolkitVinID)
    let uri = pasted ? LoginRun.callback : "http://127.0.0.1/callback"
    let gateway = try await GatewayUnderTest.start(configuration(api, server, redirectURI: uri), waitingFor: "/healthz")
    #expect(try await gateway.waitForNeedsLogin() == "needs_login")
    #expect(try await gateway.adminStatus("/readyz") == 503)

    let login = try LoginRun(gateway)
    let (address, page) = try await login.browse(following: !pasted)
    let (exit, output, errors) = try await login.end(pasting: pasted ? address : nil)
    #expect(exit == .code(0) && errors.isEmpty, "\(errors)")
    #expect(output.contains("main: logged in, generation 1; the running gateway uses it"), "\(output)")
    if !pasted { #expect(page.hasPrefix("200 Thank you"), "\(page)") }

    try await RotatingServer(api, server).expectService(through: gateway)
    #expect(try await gateway.adminStatus("/readyz") == 200)
    #expect(try await gateway.credential()?["state"]?.text == "ready")
    // The new pair can be refreshed, and survives a restart.
    let refresh = try await gateway.command(["refresh", "main", "--config", gateway.configurationPath])
    #expect(refresh.exit == .code(0) && refresh.output.hasPrefix("main: refreshed, generation 2"), "\(refresh)")
    #expect(try await gateway.stop() == .code(0))
    try await gateway.start()
    try await RotatingServer(api, server).expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    let calls = try await server.calls()
    #expect(
      calls.map(\.grant) == ["authorization_code", "refresh_token"] && calls.allSatisfy { $0.outcome == "granted" })
    gateway.expectNoSecretsInOutputs()
  }

  /// The refresh token in the file was never used: the login's counts all the same, and the other one is never sent.
  @Test(arguments: [true, false]) func ifNoneRunsTheNextStartServes(hasSeed: Bool) async throws {
    let server = try await TokenServerUnderTest.start()
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration(.toolkitOAuth2, server, keepingSeed: hasSeed))
    let login = try LoginRun(gateway)
    _ = try await login.browse(following: true)
    let (exit, output, errors) = try await login.end()
    #expect(exit == .code(0), "\(errors)")
    #expect(output.contains("generation 1; the gateway uses it when it starts"), "\(output)")

    let status = try await gateway.command(["status", "--config", gateway.configurationPath])
    #expect(status.exit == .code(0) && status.output.contains("stored"), "\(status)")
    #expect(status.errors.contains("none runs"))
    try await gateway.start()
    try await RotatingServer(.toolkitOAuth2, server).expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
    let calls = try await server.calls()
    #expect(calls.map(\.grant) == ["authorization_code"], "\(calls)")
    gateway.expectNoSecretsInOutputs()
  }

  @Test func aLoginEndsTheNeedForOne() async throws {
    let server = try await TokenServerUnderTest.start()
    let rotating = RotatingServer(.toolkitOAuth2, server)
    let gateway = try await GatewayUnderTest.start(configuration(.toolkitOAuth2, server, keepingSeed: true))
    try await rotating.expectService(through: gateway)
    try await server.endFamilies()
    let refresh = try await gateway.command(["refresh", "main", "--config", gateway.configurationPath])
    #expect(refresh.exit == .code(1) && refresh.errors.contains("was not refreshed: rejected, invalid_grant"))
    let before = try await gateway.command(["status", "--config", gateway.configurationPath])
    #expect(before.exit == .code(1), "\(before.output)")
    #expect(before.output.contains("main: run gateway login main --config \(gateway.configurationPath)"))

    let login = try LoginRun(gateway)
    _ = try await login.browse(following: true)
    #expect(try await login.end().exit == .code(0))
    try await rotating.expectService(through: gateway)
    let after = try await gateway.command(["status", "--config", gateway.configurationPath])
    #expect(after.exit == .code(0), "\(after.output)")
    #expect(try await gateway.stop() == .code(0))
    SecretMarks.expectNone(in: refresh.output + refresh.errors + before.output + after.output)
    gateway.expectNoSecretsInOutputs()
  }

  @Test func theCodeAloneMayBePasted() async throws {
    let server = try await TokenServerUnderTest.start()
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration(.toolkitOAuth2, server))
    let login = try LoginRun(gateway, "main", ["--paste"])
    let address = try await login.browse().address
    let code = try #require(address.split(separator: "code=").last?.split(separator: "&").first)
    #expect(try await login.end(pasting: String(code)).exit == .code(0))
    #expect(try await server.calls().map(\.outcome) == ["granted"])
  }

  @Test(arguments: [true, false]) func aRefusalIsShown(pasted: Bool) async throws {
    let server = try await TokenServerUnderTest.start()
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration(.toolkitOAuth2, server))
    let login = try LoginRun(gateway, "main", pasted ? ["--paste"] : [])
    let (address, page) = try await login.browse(denying: true, following: !pasted)
    let (exit, _, errors) = try await login.end(pasting: pasted ? address : nil)
    #expect(exit == .code(1) && errors.contains("the server refused the login: access_denied"), "\(errors)")
    #expect(pasted || page.contains("refused"), "\(page)")
    #expect(try await server.calls().isEmpty)
  }

  /// RFC 6749 §10.12: an answer with another state is somebody else's. On loopback the right one may still come.
  @Test func anAnswerWithAnotherStateIsNotTaken() async throws {
    let server = try await TokenServerUnderTest.start()
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration(.toolkitOAuth2, server))
    let pasting = try LoginRun(gateway, "main", ["--paste"])
    _ = try await pasting.url()
    let (exit, _, errors) = try await pasting.end(pasting: "\(LoginRun.callback)?code=abc&state=another")
    #expect(exit == .code(1) && errors.contains("not the answer to this login"), "\(errors)")

    let login = try LoginRun(gateway)
    let uri = try #require(try await login.url().split(separator: "redirect_uri=http%3A%2F%2F").last)
    let place = String(uri.prefix { $0 != "&" }).replacing("%3A", with: ":").replacing("%2F", with: "/")
    let (authority, path) = (String(place.prefix { $0 != "/" }), String(place.drop { $0 != "/" }))
    let listener = try #require(SocketAddress(text: authority))
    for (target, status) in [
      ("\(path)?code=abc&state=another", 400), ("\(path)?code=abc", 400), (path, 400), ("/favicon.ico", 404),
    ] {
      let answer = try await OwnThread.run { try RawClient.request("GET", target, to: listener) }
      #expect(answer.status == status && !answer.bodyText.contains("abc"), "\(target)")
    }
    _ = try await login.browse(following: true)
    let (right, _, notes) = try await login.end()
    #expect(right == .code(0) && notes.contains("was ignored"), "\(notes)")
    #expect(try await server.calls().map(\.outcome) == ["granted"], "no foreign code was sent")
  }

  @Test func whatCannotBeLoggedInIsSaid() async throws {
    let gateway = try GatewayUnderTest()
    let token: OrderedJSON = "http://127.0.0.1:1/token"
    let seed: OrderedJSON = ["value": "made-up-seed"]
    var configuration = GatewayConfiguration()
    configuration.credentials = [
      "cukcuk": ["provider": "misa-cukcuk", "token_url": token, "company_code": "A", "refresh_token": seed],
      "bare": [
        "provider": "oauth2", "grant": "refresh_token", "token_url": token, "client_id": "c",
        "refresh_token": ["value": "made-up-other"],
      ],
      "service": [
        "provider": "oauth2", "grant": "client_credentials", "token_url": token, "client_id": "c",
        "client_secret": ["value": "made-up-secret"],
      ],
    ]
    configuration.routes = [
      GatewayConfiguration.route("r", prefix: "/", to: .ipv4(0x7f00_0001, port: 1), credential: "cukcuk")
    ]
    try gateway.write(configuration)
    for (name, words) in [
      ("cukcuk", "have a new refresh token issued there, put it into the configuration"),
      ("bare", "needs \"authorization_url\" and \"redirect_uri\" for a login"), ("service", "needs no login"),
      ("nobody", "there are bare, cukcuk, service"),
    ] {
      let result = try await gateway.command(["login", name, "--config", gateway.configurationPath])
      #expect(result.exit == .code(1) && result.errors.contains(words) && result.output.isEmpty, "\(result)")
      SecretMarks.expectNone(in: result.errors)
    }
  }

  @Test func aLoginThatNobodyMakesEnds() async throws {
    let server = try await TokenServerUnderTest.start()
    let gateway = try GatewayUnderTest()
    try gateway.write(configuration(.toolkitOAuth2, server))
    for options in [["--timeout", "1s"], ["--timeout", "500ms", "--paste"]] {
      let login = try LoginRun(gateway, "main", options)
      _ = try await login.url()
      // Standard input ends only after the time is over.
      try await Deadline.wait("the command gives up", within: .seconds(60)) { !login.errors.isEmpty }
      let (exit, _, errors) = try await login.end()
      #expect(exit == .code(1) && errors.contains("no answer came within"), "\(errors)")
    }
    let empty = try await LoginRun(gateway, "main", ["--paste"]).end()
    #expect(empty.exit == .code(1) && empty.errors.contains("nothing was pasted"), "\(empty.errors)")
  }

  /// A pair that belongs to other settings would be of no use to the gateway that runs: said before anybody logs in.
  @Test func settingsThatTheGatewayDoesNotKnowComeFirst() async throws {
    let server = try await TokenServerUnderTest.start()
    var changed = configuration(.toolkitOAuth2, server, keepingSeed: true)
    let gateway = try await GatewayUnderTest.start(changed)
    changed.credentials["main"]?["scope"] = "read"
    changed.credentials["more"] = changed.credentials["main"]
    changed.credentials["more"]?["refresh_token"] = nil
    try gateway.write(changed)
    for (name, words) in [("main", "runs with other settings of main"), ("more", "has no credential more")] {
      let (exit, output, errors) = try await LoginRun(gateway, name).end()
      #expect(exit == .code(2) && errors.contains(words) && output.isEmpty, "\(output)\(errors)")
    }
    #expect(try await gateway.stop() == .code(0))
  }

  /// A code is good for one exchange: one that the token endpoint does not take is an error, and nothing changes.
  @Test func aCodeThatIsNotTakenChangesNothing() async throws {
    let server = try await TokenServerUnderTest.start()
    let rotating = RotatingServer(.toolkitOAuth2, server)
    let gateway = try await GatewayUnderTest.start(configuration(.toolkitOAuth2, server, keepingSeed: true))
    let login = try LoginRun(gateway, "main", ["--paste"])
    _ = try await login.url()
    let (exit, _, errors) = try await login.end(pasting: "made-by-nobody")
    #expect(exit == .code(1) && errors.contains("did not take the code: invalid_grant"), "\(errors)")
    #expect(try await gateway.credential()?["generation"]?.int == 1)
    try await rotating.expectService(through: gateway)
    #expect(try await gateway.stop() == .code(0))
  }
}
