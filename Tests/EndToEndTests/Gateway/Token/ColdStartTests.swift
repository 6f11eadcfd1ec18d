// No token yet, and everybody asks at once: one call, and every request is answered, bodies and all.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct ColdStartTests {
  private static func slowTokens(_ latency: Duration) -> SandboxOptions {
    var options = SandboxOptions.onFreePorts
    options.latencyBefore = latency
    return options
  }

  /// The seed is exchanged from the start on: the callers come while that call is under way.
  @Test(arguments: [1, 2]) func aThousandCallersMakeOneTokenCall(workers: Int) async throws {
    let rig = try await TokenRig(Self.slowTokens(.seconds(3)), waitingFor: "/healthz") {
      $0.more["workers"] = .int(workers)
    }
    let report = try await rig.load(callers: 1000, .requestsPerCaller(1)) { caller, _ in
      OutgoingRequest("/vinid/echo/\(caller)")
    }.run()
    #expect(report.count == 1000 && report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(report.latency(0) > .milliseconds(200), "not all of them had to wait: \(report.latency(0))")
    #expect(rig.tokenCalls() == 1)
    #expect(rig.sandbox.upstreamCounters(.vinid).requests == 1000)
    try await rig.finish()
  }

  /// client_credentials rests until somebody asks: the callers themselves start the one call.
  @Test func aThousandCallersWakeARestingCredentialOnce() async throws {
    let rig = try await TokenRig(Self.slowTokens(.seconds(2)), waitingFor: "/healthz", base: { .only(.oauth2, $0) }) {
      $0.credentials["oauth2"]?["grant"] = "client_credentials"
      $0.credentials["oauth2"]?["refresh_token"] = nil
    }
    #expect(rig.tokenCalls(.oauth2) == 0)
    let report = try await rig.load(callers: 1000, .requestsPerCaller(1)) { caller, _ in
      OutgoingRequest("/oauth2/echo/\(caller)")
    }.run()
    #expect(report.count == 1000 && report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(report.latency(0) > .milliseconds(200), "not all of them had to wait: \(report.latency(0))")
    #expect(rig.tokenCalls(.oauth2) == 1)
    try await rig.finish()
  }

  @Test(arguments: [false, true]) func parkedBodiesArriveWhole(isChunked: Bool) async throws {
    let rig = try await TokenRig(Self.slowTokens(.seconds(3)), waitingFor: "/healthz")
    let size = 100 * 1024
    let report = try await rig.load(callers: 100, .requestsPerCaller(1), check: TokenRig.isEcho(ofPattern: size)) {
      _, _ in OutgoingRequest("POST", "/vinid/upload", body: .pattern(size, isChunked: isChunked))
    }.run()
    #expect(report.count == 100 && report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(report.latency(0) > .milliseconds(200), "not all of them had to wait: \(report.latency(0))")
    #expect(rig.tokenCalls() == 1)
    try await rig.finish()
  }

  /// Far more than may be kept, each and together: the callers are stopped in mid-body until the token is there.
  @Test(arguments: [false, true]) func parkedBodiesThatCannotBeKeptArriveWholeToo(isChunked: Bool) async throws {
    let rig = try await TokenRig(Self.slowTokens(.seconds(3)), waitingFor: "/healthz") {
      $0.limits = ["replay_body": "64KiB", "replay_memory": "1MiB"]
    }
    let size = 2 * 1024 * 1024
    let before = try rig.gateway.process.residentBytes
    let run = try rig.load(callers: 30, .requestsPerCaller(1), check: TokenRig.isEcho(ofPattern: size)) { _, _ in
      OutgoingRequest("POST", "/vinid/upload", body: .pattern(size, isChunked: isChunked))
    }.start()
    try await Task.sleep(for: .seconds(1))
    let growth = try rig.gateway.process.residentBytes - before
    let wasWaiting = run.progress.count == 0
    let report = try await run.report()
    #expect(report.count == 30 && report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(wasWaiting && growth < 30 * size / 2, "\(growth) bytes more while parked")
    #expect(rig.tokenCalls() == 1)
    try await rig.finish()
  }
}
