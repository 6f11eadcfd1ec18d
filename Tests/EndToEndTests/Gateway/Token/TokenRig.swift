// A gateway with a sandbox, for the tests of a token's life: starts both, keeps everything that was printed, and looks
// for secrets in it at the end of every test.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

/// One sandbox in this process and one gateway as a process of its own.
final class TokenRig: Sendable {
  /// What callers prove themselves with, where a test configures it.
  static let callerToken = "caller-token-of-the-tests"

  /// Every token of the sandbox begins with one of these, and no other text does; then the secrets of the configuration.
  static let secrets =
    SandboxAPI.allCases.flatMap { ["\($0.rawValue)-at-", "\($0.rawValue)-rt-"] } + [
      "sandbox-vinid-refresh-token", "sandbox-cukcuk-refresh-token", "sandbox-oauth2-refresh-token", "sandbox-secret",
      callerToken,
    ]

  let sandbox: Sandbox
  let gateway: GatewayUnderTest
  private let printed = Shared(Mutex<[String]>([]))

  /// - Parameters:
  ///   - base: the configuration to start from.
  ///   - prepare: changes the sandbox before the gateway asks it for the first time.
  ///   - configure: changes it.
  ///   - path: what the admin listener answers with 200 before the test begins; nil waits for nothing.
  init(
    _ options: SandboxOptions = .onFreePorts, waitingFor path: String? = "/readyz",
    base: (Sandbox.Addresses) -> GatewayConfiguration = { .only(.vinid, $0) },
    prepare: (Sandbox) throws -> Void = { _ in }, configure: (inout GatewayConfiguration) -> Void
  ) async throws {
    sandbox = try Sandbox(options)
    try prepare(sandbox)
    var configuration = base(sandbox.addresses)
    // The most that is ever printed.
    configuration.more["log"] = ["level": "trace"]
    configure(&configuration)
    gateway = try GatewayUnderTest()
    try gateway.write(configuration)
    try await gateway.start(waitingFor: path)
  }

  /// The same with the configuration as it is.
  convenience init(
    _ options: SandboxOptions = .onFreePorts, waitingFor path: String? = "/readyz",
    prepare: (Sandbox) throws -> Void = { _ in }
  ) async throws {
    try await self.init(options, waitingFor: path, prepare: prepare, configure: { _ in })
  }

  // MARK: Requests

  /// One request whose answer is kept for `finish`.
  func request(
    _ method: String, _ target: String, fields: FieldList = [], body: [UInt8]? = nil,
    within limit: Duration = .seconds(30)
  ) async throws -> ReceivedResponse {
    let response = try await gateway.request(method, target, fields: fields, body: body, within: limit)
    keep(response)
    return response
  }

  /// A GET.
  func get(_ target: String, within limit: Duration = .seconds(30)) async throws -> ReceivedResponse {
    try await request("GET", target, within: limit)
  }

  /// A run whose callers look for secrets in every answer, besides their own check.
  func load(
    callers: Int, _ amount: LoadRun.Amount, pause: Duration = .zero, timeout: Duration = .seconds(30),
    keepsConnections: Bool = true, check: @escaping @Sendable (ReceivedResponse) -> String? = TokenRig.isEcho,
    request: @escaping @Sendable (_ caller: Int, _ ordinal: Int) -> OutgoingRequest
  ) -> LoadRun {
    var run = LoadRun(to: gateway.address, callers: callers, amount, request: request)
    run.pause = pause
    run.timeout = timeout
    run.keepsConnections = keepsConnections
    run.check = { response in Self.leak(in: Self.text(of: response)) ?? check(response) }
    return run
  }

  /// What the admin listener says of a credential.
  func credential(_ name: String) async throws -> JSONValue {
    let response = try await admin("/api/credentials")
    let list: [JSONValue] = if case .array(let list)? = response.json?["credentials"] { list } else { [] }
    return try #require(list.first { $0["name"]?.text == name }, "\(response.bodyText)")
  }

  /// An answer of the admin listener, kept for `finish`.
  func admin(_ path: String) async throws -> ReceivedResponse {
    let response = try await gateway.adminGet(path)
    keep(response)
    return response
  }

  func keep(_ response: ReceivedResponse) { printed.value.withLock { $0.append(Self.text(of: response)) } }

  // MARK: Counts

  func tokenCalls(_ api: SandboxAPI = .vinid) -> Int { sandbox.counters(api).calls }

  /// What is wrong with an answer that must be the sandbox's echo of a request with the current token.
  static let isEcho: @Sendable (ReceivedResponse) -> String? = { response in
    guard response.status == 200 else { return "\(response.status) \(response.bodyText.prefix(200))" }
    guard response.json?["authorizations"]?.int == 1 else { return "no echo: \(response.bodyText.prefix(200))" }
    return nil
  }

  /// The same, with a body of `count` bytes of the pattern that came whole.
  static func isEcho(ofPattern count: Int) -> @Sendable (ReceivedResponse) -> String? {
    let expected = BodyDigest.ofPattern(count: count).description
    return { response in
      if let problem = isEcho(response) { return problem }
      let body = response.json?["body"]
      guard body?["bytes"]?.int == count, body?["fnv1a64"]?.text == expected else { return "the body is not whole" }
      return nil
    }
  }

  /// What is wrong with an answer that must be a problem document of the gateway about the credential.
  static func isProblem(
    _ response: ReceivedResponse, _ status: Int, reason: String, credential: String = "vinid"
  ) -> Bool {
    guard let json = response.json else { return false }
    return response.status == status && response.fields["Content-Type"] == "application/problem+json"
      && json["status"]?.int == status && json["reason"]?.text == reason && json["credential"]?.text == credential
      && json["detail"]?.text?.contains("\"\(credential)\"") == true && response.fields["Proxy-Status"] != nil
  }

  // MARK: The end

  /// Stops the gateway and looks at all that was printed: no token, no secret; no violation of framing was seen.
  func finish() async throws {
    _ = try await admin("/api/credentials")
    _ = try await admin("/readyz")
    #expect(try await gateway.stop() == .code(0))
    let log = try gateway.log
    #expect(log.contains("drain"), "the log is not where it is looked for")
    for text in printed.value.withLock({ $0 }) + [log] {
      let leak = Self.leak(in: text)
      #expect(leak == nil)
    }
    #expect(sandbox.record.violations.isEmpty)
    for api in SandboxAPI.allCases { #expect(sandbox.upstreamCounters(api).notOneAuthorization == 0) }
  }

  private static func text(of response: ReceivedResponse) -> String {
    response.fields.lines.map(\.description).joined(separator: "\n") + response.bodyText
  }

  /// Names the kind of secret, without the secret.
  private static func leak(in text: String) -> String? {
    secrets.first { text.contains($0) }.map { "a secret like \($0)… was printed" }
  }
}

extension Duration {
  /// For bounds that are counts.
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
