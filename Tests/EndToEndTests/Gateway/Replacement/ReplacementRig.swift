// What the tests of replacements share: a gateway on a rotating token server, load of two kinds, and starting the process
// that takes its place.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

extension GatewayUnderTest {
  static let servesInPlace = "serving in place of the old process"

  /// Starts `gateway serve --replace`.
  /// - Returns: the process that was there before.
  @discardableResult
  func startReplacement(environment: [String: String] = [:]) async throws -> ChildProcess {
    let old = try process
    try await start(environment: environment, waitingFor: nil, arguments: ["--replace"])
    return old
  }

  /// The same, and waits until the new process serves.
  func replace(environment: [String: String] = [:]) async throws -> ChildProcess {
    let old = try await startReplacement(environment: environment)
    let new = try process
    try await new.waitWhileRunning("it serves in place of the old one", within: .seconds(60)) {
      new.errors.contains(Self.servesInPlace)
    }
    return old
  }

  /// Waits until a process that was replaced has drained.
  func expectEnd(of old: ChildProcess, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    #expect(try await old.waitForExit(within: .seconds(60)) == .code(0), sourceLocation: sourceLocation)
    #expect(old.errors.contains("replaced, draining"), sourceLocation: sourceLocation)
  }

  /// Starts a replacement that must not come about.
  /// - Returns: what it said; the process from before is the gateway's again.
  func failedReplacement(
    environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> String {
    let old = try await startReplacement(environment: environment)
    let new = try process
    #expect(try await new.waitForExit(within: .seconds(60)) == .code(1), sourceLocation: sourceLocation)
    #expect(!old.hasEnded, sourceLocation: sourceLocation)
    adopt(old)
    return new.errors
  }
}

/// A gateway with tokens of a few seconds, under load all the time.
struct ReplacementRig: Sendable {
  let server: RotatingServer
  let gateway: GatewayUnderTest
  var configuration: GatewayConfiguration
  static let target = "/main/user-management/user-info"

  static func start(
    lifetime: Int = 3, grace: Int = 0, environment: [String: String] = [:], program: String? = nil,
    _ change: (inout GatewayConfiguration) -> Void = { _ in }
  ) async throws -> ReplacementRig {
    let server = try await RotatingServer.start(.sandboxVinID, lifetime: lifetime, grace: grace)
    var configuration = server.configuration()
    change(&configuration)
    let gateway = try GatewayUnderTest(program: program)
    try gateway.write(configuration)
    try await gateway.start(environment: environment)
    return ReplacementRig(server: server, gateway: gateway, configuration: configuration)
  }

  /// Callers that keep their connections, and callers that make a new one for each request.
  func load(callers: Int = 4) throws -> [LoadRun.Running] {
    try [true, false].map { keeps in
      var run = LoadRun(to: gateway.address, callers: callers, .time(.seconds(600)), OutgoingRequest(Self.target))
      run.keepsConnections = keeps
      run.pause = .milliseconds(3)
      run.timeout = .seconds(60)
      run.check = { $0.status == 200 ? nil : "status \($0.status): \($0.bodyText)" }
      return try run.start()
    }
  }

  /// Ends it; no request may have failed and no caller been refused.
  @discardableResult
  func end(_ load: [LoadRun.Running], sourceLocation: SourceLocation = #_sourceLocation) async throws -> Int {
    var count = 0
    for run in load {
      run.stop()
      let report = try await run.report()
      #expect(report.isAll(200), "\(report.failures)", sourceLocation: sourceLocation)
      count += report.count
    }
    return count
  }

  /// No spent refresh token was sent, and none twice.
  @discardableResult
  func expectNoSpentToken(sourceLocation: SourceLocation = #_sourceLocation) async throws -> RotatingServer.Tally {
    let tally = try await server.tally()
    #expect(tally.spent == 0 && tally.areAllDifferent, "\(tally)", sourceLocation: sourceLocation)
    return tally
  }
}
