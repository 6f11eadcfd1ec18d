// The transport on a loop of the test's own, with names that the test makes up.
import EventLoop
import Glibc
import Testing
import TokenKit

@testable import TokenService

/// A loop, a transport, and what is known of names. Everything happens on the test's thread, in `turn`.
final class CurlHarness {
  typealias Outcome = Result<GrantResponse, GrantTransportFailure>

  let loop: EventLoop
  /// What the resolver answers; nil: never.
  var names: [String: Result<[String], NameFailure>?] = [:]
  private(set) var lookups: [String] = []
  private(set) var transport: CurlTransport

  /// All of these tests run with a proxy in the environment that nobody listens at: it must be ignored. One variable,
  /// set once, as the environment is shared with other threads.
  private static let environment: Void = { _ = unsafe setenv("all_proxy", "http://127.0.0.1:1", 1) }()

  init() throws {
    Self.environment
    loop = try EventLoop()
    transport = CurlTransport(loop) { _, _, _ in }
    transport.close()
    transport = CurlTransport(loop, userAgent: "gateway/1.2") { [weak self] host, _, completion in
      guard let self else { return }
      lookups.append(host)
      if let answer = names[host] ?? .failure(.notFound) { completion(answer) }
    }
  }

  deinit { transport.close() }

  /// Turns the loop until `condition` holds.
  func turn(until condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try !condition() {
      try #require(ContinuousClock.now < deadline, "the condition did not come")
      try loop.turn(waitingAtMost: 100)
    }
  }

  /// One call to its end; the completion must come once, and not from within `send`.
  func call(_ request: GrantRequest, _ options: GrantTransportOptions = GrantTransportOptions()) throws -> Outcome {
    var outcomes: [Outcome] = []
    transport.send(request, options: options) { outcomes.append($0) }
    #expect(outcomes.isEmpty)
    try turn { !outcomes.isEmpty }
    try loop.turn(waitingAtMost: 0)
    #expect(outcomes.count == 1)
    return outcomes[0]
  }

  func failure(
    _ request: GrantRequest, _ options: GrantTransportOptions = GrantTransportOptions()
  ) throws -> GrantTransportFailure {
    switch try call(request, options) {
    case .success(let response):
      let status: Int? = response.status
      try #require(status == nil, "there was an answer")
      return GrantTransportFailure(code: "", mayHaveBeenSent: false)
    case .failure(let failure):
      return failure
    }
  }

  func response(
    _ request: GrantRequest, _ options: GrantTransportOptions = GrantTransportOptions()
  ) throws -> GrantResponse {
    try call(request, options).get()
  }

  static func request(
    _ url: String, body: String = "grant_type=refresh_token&refresh_token=r1", spends: Bool = true,
    headers: [(String, String)] = [("Content-Type", "application/x-www-form-urlencoded")]
  ) -> GrantRequest {
    GrantRequest(
      url: url, headers: headers.map { (name: $0.0, value: Secret($0.1)) }, body: Secret(body),
      spendsRefreshToken: spends)
  }

  func request(_ server: ScriptedServer, spends: Bool = true) -> GrantRequest {
    Self.request("http://127.0.0.1:\(server.port)/oauth2/token", spends: spends)
  }
}
