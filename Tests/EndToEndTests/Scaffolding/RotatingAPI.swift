// Token APIs that rotate, with their upstreams, in one shape: the sandbox's strict VinID and django-oauth-toolkit. Tests of
// what a restart keeps run against each of them.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

/// Which server, and which provider of the gateway talks to it.
enum RotatingAPI: String, Sendable, CaseIterable, CustomTestStringConvertible {
  /// The sandbox's Hydra; a spent refresh token ends the family.
  case sandboxVinID
  /// django-oauth-toolkit with a confidential client; a spent refresh token ends the family.
  case toolkitOAuth2
  /// django-oauth-toolkit with a public client that sends multipart forms.
  case toolkitVinID

  var testDescription: String { rawValue }
}

/// One running server of such a kind.
struct RotatingServer: Sendable {
  private enum Backend: Sendable {
    case sandbox(Sandbox)
    case toolkit(TokenServerUnderTest)
  }

  /// What the server saw at its token endpoint. The same token has the same text.
  struct Tally: Sendable {
    /// Refresh tokens in the order in which they came.
    var tokens: [String]
    /// Calls with a refresh token that was spent when it came.
    var spent: Int
    /// Calls that brought a pair, delivered or not.
    var granted: Int
    /// No token came twice.
    var areAllDifferent: Bool { Set(tokens).count == tokens.count }
  }

  let api: RotatingAPI
  private let backend: Backend

  /// - Parameters:
  ///   - lifetime: of access tokens, in seconds.
  ///   - grace: how long a rotated refresh token is still taken, in seconds.
  static func start(_ api: RotatingAPI, lifetime: Int = 3600, grace: Int = 0) async throws -> RotatingServer {
    switch api {
    case .sandboxVinID:
      var options = SandboxOptions.onFreePorts
      options.recording = .requests
      options.setLifetime(.seconds(lifetime))
      options.vinid.rules.grace = .seconds(grace)
      return RotatingServer(api: api, backend: .sandbox(try Sandbox(options)))
    case .toolkitOAuth2, .toolkitVinID:
      let server = try await TokenServerUnderTest.start(
        isPublic: api == .toolkitVinID, lifetime: lifetime, grace: grace)
      return RotatingServer(api: api, backend: .toolkit(server))
    }
  }

  /// A token server that runs already, as one of the toolkit's kinds.
  init(_ api: RotatingAPI, _ server: TokenServerUnderTest) {
    self.init(api: api, backend: .toolkit(server))
  }

  private init(api: RotatingAPI, backend: Backend) {
    self.api = api
    self.backend = backend
  }

  /// The first login's refresh token.
  var seed: String {
    switch backend {
    case .sandbox: "sandbox-vinid-refresh-token"
    case .toolkit(let server): server.seed
    }
  }

  /// Where the API behind the gateway listens.
  var upstream: SocketAddress {
    switch backend {
    case .sandbox(let sandbox): sandbox.addresses.vinid
    case .toolkit(let server): server.address
    }
  }

  /// A credential that logs in there.
  /// - Parameter isMoved: the token endpoint's other URL.
  func credential(seed: String? = nil, scope: String? = nil, isMoved: Bool = false) -> OrderedJSON {
    let url =
      switch backend {
      case .sandbox(let sandbox):
        "http://\(isMoved ? "localhost" : "127.0.0.1"):\(sandbox.addresses.token.port)/vinid/oauth2/token"
      case .toolkit(let server): "http://\(server.address)/\(isMoved ? "moved" : "o")/token/"
      }
    var credential: OrderedJSON = [
      "token_url": .string(url), "refresh_token": ["value": .string(seed ?? self.seed)],
    ]
    switch api {
    case .sandboxVinID:
      credential["provider"] = "vinid"
      credential["client_id"] = "sandbox-app"
      credential["redirect_uri"] = "http://127.0.0.1/callback"
    case .toolkitVinID:
      credential["provider"] = "vinid"
      credential["client_id"] = .string(TokenServerUnderTest.clientID)
      credential["redirect_uri"] = "http://127.0.0.1/callback"
      credential["encoding"] = "multipart"
    case .toolkitOAuth2:
      credential["provider"] = "oauth2"
      credential["grant"] = "refresh_token"
      credential["client_id"] = .string(TokenServerUnderTest.clientID)
      credential["client_secret"] = ["value": .string(TokenServerUnderTest.clientSecret)]
    }
    if let scope { credential["scope"] = .string(scope) }
    return credential
  }

  /// One credential `main` and the route `/main/` with it.
  func configuration(seed: String? = nil, scope: String? = nil, isMoved: Bool = false) -> GatewayConfiguration {
    configuration(["main": credential(seed: seed, scope: scope, isMoved: isMoved)])
  }

  /// Credentials by name, each with a route of its name.
  func configuration(_ credentials: [String: OrderedJSON]) -> GatewayConfiguration {
    var configuration = GatewayConfiguration()
    configuration.credentials = credentials
    configuration.routes = credentials.keys.sorted().map {
      GatewayConfiguration.route($0, prefix: "/\($0)/", to: upstream, credential: $0)
    }
    configuration.more["log"] = ["level": "debug"]
    // Machines that run all tests at once are slow.
    configuration.timeouts = ["token": "30s", "park": "30s"]
    return configuration
  }

  /// A request through the gateway, with the upstream's own answer.
  func request(through gateway: GatewayUnderTest, credential: String = "main") async throws -> ReceivedResponse {
    let response = try await gateway.request("GET", "/\(credential)\(path)")
    SecretMarks.expectNone(in: response.head.fields.lines.map(\.value).joined(separator: "\n") + response.bodyText)
    return response
  }

  /// The same, which must succeed.
  func expectService(
    through gateway: GatewayUnderTest, credential: String = "main", sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let response = try await request(through: gateway, credential: credential)
    #expect(response.status == 200, "\(response.bodyText)", sourceLocation: sourceLocation)
    let isRight =
      switch backend {
      case .sandbox: response.json?["data"]?["full_name"]?.text == "Sandbox User"
      case .toolkit: response.json?["path"]?.text == path
      }
    #expect(isRight, "\(response.bodyText)", sourceLocation: sourceLocation)
  }

  private var path: String {
    switch backend {
    case .sandbox: "/user-management/user-info"
    case .toolkit: "/api/things"
    }
  }

  func tally() async throws -> Tally {
    switch backend {
    case .sandbox(let sandbox):
      let counters = sandbox.counters(.vinid)
      let tokens = sandbox.record.requests.filter { $0.port == 0 }.map { request in
        let field = request.bodyText.split(separator: "&").first { $0.hasPrefix("refresh_token=") }
        return field.map { String($0.dropFirst("refresh_token=".count)) } ?? ""
      }
      return Tally(tokens: tokens, spent: counters.spentTokenSeen, granted: counters.granted)
    case .toolkit(let server):
      let calls = try await server.calls()
      return Tally(
        tokens: calls.map(\.token), spent: calls.filter(\.wasSpent).count,
        granted: calls.filter { $0.outcome == "granted" }.count)
    }
  }

  /// Bearer tokens that the upstream received, in order; the same token has the same text, nil is a request without one.
  func upstreamTokens() async throws -> [String?] {
    switch backend {
    case .sandbox(let sandbox): sandbox.record.requests.filter { $0.port == 1 }.map { $0.fields["Authorization"] }
    case .toolkit(let server): try await server.requests().map(\.token)
    }
  }

  /// Access tokens live that long from now on, in seconds.
  func setLifetime(_ seconds: Int) async throws {
    switch backend {
    case .sandbox(let sandbox): sandbox.change(.vinid) { $0.model.rules.lifetime = .seconds(seconds) }
    case .toolkit(let server): try await server.setLifetime(seconds)
    }
  }

  /// The sandbox takes that long over each call from now on, after it has rotated.
  func answerLate(by delay: Duration) {
    if case .sandbox(let sandbox) = backend { sandbox.change(.vinid) { $0.latencyAfter = delay } }
  }

  /// Calls are processed from now on, but not answered before `release`; the sandbox answers after 5 s at the latest.
  func keepAnswersBack() async throws {
    switch backend {
    case .sandbox(let sandbox): sandbox.change(.vinid) { $0.latencyAfter = .seconds(5) }
    case .toolkit(let server): try await server.keepAnswersBack()
    }
  }

  /// Waits until the call that brings the server's nth pair has been processed and its answer is kept back.
  func waitForAnswerKeptBack(pair count: Int) async throws {
    try await Deadline.wait("pair \(count) is made and its answer kept back", within: .seconds(60)) {
      switch backend {
      case .sandbox(let sandbox): sandbox.counters(.vinid).granted >= count
      case .toolkit(let server): try await server.answersKeptBack() > 0
      }
    }
  }

  func release() async throws {
    switch backend {
    case .sandbox(let sandbox): sandbox.change(.vinid) { $0.latencyAfter = .zero }
    case .toolkit(let server): try await server.release()
    }
  }

  /// The next calls are read and their connections closed, unprocessed.
  func readAndClose(count: Int) async throws {
    switch backend {
    case .sandbox(let sandbox): sandbox.change(.vinid) { $0.fail(.readAndClose, count: count) }
    case .toolkit(let server): try await server.fail("read_and_close", count: count)
    }
  }

  /// A person logs in again.
  func logIn() async throws -> String {
    switch backend {
    case .sandbox(let sandbox): sandbox.logIn(.vinid)
    case .toolkit(let server): try await server.logIn()
    }
  }
}
