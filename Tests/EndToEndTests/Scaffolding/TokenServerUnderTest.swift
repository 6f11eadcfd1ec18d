// django-oauth-toolkit as a process: a token server with rotation and reuse protection that nobody here has written.
import EventLoop
import GatewayTesting
import TokenKit

/// Runs `TokenServer/token_server.py` on a free port until it is let go.
struct TokenServerUnderTest {
  /// What is known of one call to its token endpoint; tokens are the start of their SHA-256.
  struct Call: Sendable {
    /// Seconds of the server's own clock.
    var at: Double
    var path: String
    var token: String
    var scope: String?
    /// `refresh_token` or `authorization_code`.
    var grant: String?
    var wasSpent: Bool
    /// `granted`, an error code or the fault; nil while it is being processed.
    var outcome: String?
    var accessToken: String?
  }

  /// A request that its API received.
  struct APIRequest: Sendable {
    var token: String?
    var status: Int
  }

  static let clientID = "gateway-test"
  static let clientSecret = "made-up-client-secret"

  let process: ChildProcess
  let address: SocketAddress
  /// The first refresh token, as after a login.
  let seed: String
  private let directory: TemporaryDirectory

  /// - Parameters:
  ///   - isPublic: the client has no secret.
  ///   - lifetime: of access tokens, in seconds.
  ///   - grace: how long a rotated refresh token is still taken, in seconds.
  /// - Throws: with what to do, when there is no Python with django-oauth-toolkit.
  static func start(isPublic: Bool = false, lifetime: Int = 3600, grace: Int = 0) async throws -> TokenServerUnderTest {
    let directory = try TemporaryDirectory()
    let (process, json) = try await PythonPeer.start(
      "TokenServer/token_server.py",
      [
        "--directory", directory.path, "--client", isPublic ? "public" : "confidential", "--lifetime", "\(lifetime)",
        "--grace", "\(grace)",
      ], directory: directory)
    guard let seed = json["refresh_token"]?.text, let port = json["port"]?.int.flatMap({ UInt16(exactly: $0) })
    else { throw SpawnError("the token server printed: \(process.output)") }
    return TokenServerUnderTest(
      process: process, address: .ipv4(0x7f00_0001, port: port), seed: seed, directory: directory)
  }

  /// All calls of the token endpoint so far.
  func calls() async throws -> [Call] {
    try await control("GET", "log")["calls"]?.elements?.map { call in
      Call(
        at: call["at"]?.double ?? 0, path: call["path"]?.text ?? "", token: call["token"]?.text ?? "",
        scope: call["scope"]?.text, grant: call["grant"]?.text, wasSpent: call["was_spent"]?.bool ?? true,
        outcome: call["outcome"]?.text,
        accessToken: call["access_token"]?.text)
    } ?? []
  }

  /// All requests of its API so far.
  func requests() async throws -> [APIRequest] {
    try await control("GET", "log")["requests"]?.elements?.map {
      APIRequest(token: $0["token"]?.text, status: $0["status"]?.int ?? 0)
    } ?? []
  }

  /// Calls that have been processed and whose answer is kept back.
  func answersKeptBack() async throws -> Int { try await control("GET", "log")["waiting"]?["after"]?.int ?? 0 }

  /// The next calls go wrong: `read_and_close` or `lose_answer`.
  func fail(_ kind: String, count: Int = 1) async throws {
    try await control("POST", "fail", ["kind": .string(kind), "count": .int(count)])
  }

  /// From now on calls are processed and their answers kept back until `release`.
  func keepAnswersBack() async throws { try await control("POST", "hold", ["when": "after"]) }

  /// From now on calls wait before they are processed, until `release`.
  func keepCallsBack() async throws { try await control("POST", "hold", ["when": "before"]) }

  func release() async throws { try await control("POST", "release") }

  /// Access tokens live that long from now on, in seconds.
  func setLifetime(_ seconds: Int) async throws { try await control("POST", "lifetime", ["seconds": .int(seconds)]) }

  /// No access token that was given so far is taken any more; refresh tokens are.
  func endAccessTokens() async throws { try await control("POST", "revoke") }

  /// Ends every refresh token, and the access tokens that came with them.
  func endFamilies() async throws { try await control("POST", "end_families") }

  /// Another login's refresh token.
  func logIn() async throws -> String { try await control("POST", "login")["refresh_token"]?.text ?? "" }

  @discardableResult
  private func control(_ method: String, _ what: String, _ body: OrderedJSON = [:]) async throws -> JSONValue {
    let address = address
    let response = try await OwnThread.run {
      try RawClient.request(
        method, "/control/\(what)", to: address, body: method == "POST" ? Array(body.text.utf8) : nil,
        within: .seconds(60))
    }
    guard response.status == 200, let json = response.json else {
      throw DeadlinePassed("\(what): \(response.status) \(response.bodyText)")
    }
    return json
  }
}

extension JSONValue {
  fileprivate var double: Double? { if case .number(let number) = self { number } else { nil } }
}
