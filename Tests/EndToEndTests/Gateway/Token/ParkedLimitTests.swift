// Requests that wait for a token: how many, how long, and what is left of those that gave up.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct ParkedLimitTests {
  /// A token API that does not answer for a long time.
  private static func rig(
    workers: Int, parked: Int = 40, park: String, latency: Duration = .seconds(60), token: String = "60s"
  ) async throws -> TokenRig {
    var options = SandboxOptions.onFreePorts
    options.latencyBefore = latency
    return try await TokenRig(options, waitingFor: "/healthz") {
      $0.more["workers"] = .int(workers)
      $0.limits = ["parked": .int(parked)]
      $0.timeouts = ["park": .string(park), "token": .string(token), "drain": "2s"]
    }
  }

  private static let isTurnedAway: @Sendable (ReceivedResponse) -> Bool = {
    TokenRig.isProblem($0, 503, reason: "parked_too_many") && $0.fields["Retry-After"].flatMap(Int.init) ?? 0 >= 1
  }

  /// What happens when: More requests wait for a token than `limits.parked` allows
  @Test(arguments: [1, 2])
  func oneCredentialGetsAQuarterOfThePlacesAndTheOthersAreTurnedAway(workers: Int) async throws {
    // All have come before the first place is free again.
    let rig = try await Self.rig(workers: workers, park: "\(3 * Pace.slowness)s")
    let report = try await rig.load(
      callers: 60, .requestsPerCaller(1),
      check: {
        Self.isTurnedAway($0) || TokenRig.isProblem($0, 504, reason: "park_timeout")
          ? nil : "\($0.status) \($0.bodyText)"
      }
    ) { _, _ in OutgoingRequest("/vinid/echo") }.run()
    #expect(report.failures.isEmpty, "\(report.failures)")
    #expect(report.statuses == [504: 10, 503: 50], "\(report.statuses)")
    for entry in report.entries {
      let isAtOnce = entry.duration < .seconds(2) * Pace.slowness
      #expect(isAtOnce == (entry.status == 503), "\(entry.status) after \(entry.duration)")
    }
    try await rig.finish()
  }

  /// As many as may park do, however they came to the loops.
  @Test(arguments: [1, 2]) func asManyAsAQuarterAreServed(workers: Int) async throws {
    let rig = try await Self.rig(workers: workers, park: "20s", latency: .seconds(3))
    let report = try await rig.load(callers: 10, .requestsPerCaller(1)) { _, _ in OutgoingRequest("/vinid/echo") }.run()
    #expect(report.count == 10 && report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(rig.tokenCalls() == 1)
    try await rig.finish()
  }

  /// With their bodies not yet sent, too: their places, their connections and their requests are gone.
  @Test(arguments: [1, 2], [false, true])
  func callersThatGoAwayWhileParkedLeaveNoTrace(workers: Int, isResetting: Bool) async throws {
    let rig = try await Self.rig(workers: workers, park: "30s", latency: .seconds(15))
    let process = try rig.gateway.process
    let address = rig.gateway.address
    var settled: Int?
    for round in 0..<3 {
      let parked = try await OwnThread.run {
        // One after the other, until one is turned away.
        var clients: [RawClient] = []
        while clients.count < 20 {
          let client = try RawClient(to: address)
          let body = clients.count % 2 == 0 ? "Content-Length: 0\r\n\r\n" : "Content-Length: 1000000\r\n\r\n0123456789"
          try client.send("POST /vinid/gone HTTP/1.1\r\nHost: \(address)\r\n\(body)")
          clients.append(client)
          do throws(ClientError) {
            if Self.isTurnedAway(try client.response(within: .milliseconds(150))) { break }
          } catch {
            if error != .timedOut { throw error }
          }
        }
        // One that came late may have its answer by now.
        let parked = clients.dropLast().filter { client in
          (try? client.response(within: .milliseconds(1))) == nil
        }
        for client in clients { client.close(resetting: isResetting) }
        return parked.count
      }
      #expect(parked == 10, "round \(round)")
      try await Deadline.wait("nothing is left of round \(round)") {
        KernelTable.connections(to: address) == 0 && process.openDescriptors <= settled ?? .max
      }
      // What the gateway opens at its start is there by now.
      settled = settled ?? process.openDescriptors
    }
    let report = try await rig.load(callers: 10, .requestsPerCaller(1)) { _, _ in OutgoingRequest("/vinid/echo") }.run()
    #expect(report.count == 10 && report.isAll(200), "\(report.statuses) \(report.failures)")
    #expect(rig.sandbox.upstreamCounters(.vinid).requests == 10, "somebody who has gone was served")
    #expect(rig.tokenCalls() == 1)
    try await rig.finish()
  }

  @Test func callersThatGoAwayWhileTheir401IsHeldLeaveNoTrace() async throws {
    let rig = try await TokenRig { $0.limits = ["parked": 40] }
    rig.sandbox.change(.vinid) { $0.latencyBefore = .seconds(4) }
    rig.sandbox.revokeAccessTokens(.vinid)
    let address = rig.gateway.address
    try await OwnThread.run {
      let clients = try (0..<10).map { _ in
        let client = try RawClient(to: address)
        try client.send("GET /vinid/gone HTTP/1.1\r\nHost: \(address)\r\n\r\n")
        return client
      }
      try Deadline.block("all have met their 401") { rig.sandbox.upstreamCounters(.vinid).unauthorized >= 10 }
      for client in clients { client.close() }
    }
    try await Deadline.wait("the callers' connections are gone") { KernelTable.connections(to: address) == 0 }
    #expect(try await rig.get("/vinid/echo").status == 200)
    #expect(rig.sandbox.upstreamCounters(.vinid).accepted == 1 && rig.tokenCalls() == 2)
    try await rig.finish()
  }
}
