// What /metrics says after traffic that is known.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.timeLimit(.minutes(3))) struct MetricsTests {
  private static let route = "route=\"vinid\",credential=\"vinid\""

  @Test func countsEveryRequestOfALoad() async throws {
    let body = String(repeating: "x", count: 137)
    let relay = try await Relay.start(recording: .counts) { _ in .answer(.text(body)) }
    var request = OutgoingRequest("POST", "/load", body: .bytes(Array(repeating: 0x70, count: 61)))
    request.fields = []
    let report = try await LoadRun(to: relay.address, callers: 8, .requestsPerCaller(125), request).run()
    #expect(report.count == 1000 && report.isAll(200), "\(report.failures)")
    let found = try await relay.gateway.metrics()
    let labels = "route=\"all\",credential=\"\""
    #expect(found["gateway_requests_total{\(labels),status=\"2xx\"}"] == 1000)
    #expect(found["gateway_requests_total{\(labels),status=\"5xx\"}"] == 0)
    #expect(found["gateway_request_body_bytes_total{\(labels)}"] == 61_000)
    #expect(found["gateway_response_body_bytes_total{\(labels)}"] == 137_000)
    #expect(found["gateway_request_duration_seconds_count{\(labels)}"] == 1000)
    #expect(found["gateway_request_duration_seconds_bucket{\(labels),le=\"+Inf\"}"] == 1000)
    let sum = found["gateway_request_duration_seconds_sum{\(labels)}"] ?? 0
    let measured = report.entries.map(\.duration.seconds).reduce(0, +)
    #expect(sum > 0 && sum < measured, "\(sum) s of the callers' \(measured) s")
    #expect(found["gateway_upstream_first_byte_seconds_count{\(labels)}"] == 1000)
    #expect(found["gateway_requests_in_flight"] == 0)
    #expect(found["gateway_connections_accepted_total{listener=\"main\"}"] == Double(report.connections))
    let upstream = "upstream=\"http://\(relay.origin.address)\""
    let open = found["gateway_upstream_connections{\(upstream),state=\"idle\"}"] ?? 0
    let made = found["gateway_upstream_connects_total{\(upstream)}"] ?? 0
    #expect(open > 0 && open <= made && made <= 16)
    #expect(found["gateway_upstream_connections{\(upstream),state=\"active\"}"] == 0)
    try await relay.gateway.metrics(until: "gateway_connections{listener=\"main\"}", is: 0)
  }

  @Test func aRejectedTokenIsSeenWithItsReplay() async throws {
    let rig = try await TokenRig()
    #expect(try await rig.get("/vinid/echo").status == 200)
    rig.sandbox.revokeAccessTokens(.vinid)
    #expect(try await rig.get("/vinid/echo").status == 200)
    let found = try await rig.gateway.metrics()
    #expect(found["gateway_requests_total{\(Self.route),status=\"2xx\"}"] == 2)
    #expect(found["gateway_requests_total{\(Self.route),status=\"4xx\"}"] == 0, "callers saw no 401")
    #expect(found["gateway_token_rejections_total{\(Self.route)}"] == 1)
    for (outcome, count) in [("accepted", 1.0), ("rejected", 0), ("failed", 0)] {
      #expect(found["gateway_replays_total{\(Self.route),outcome=\"\(outcome)\"}"] == count, "\(outcome)")
    }
    #expect(found["gateway_upstream_first_byte_seconds_count{\(Self.route)}"] == 3, "every attempt")
    #expect(found["gateway_refreshes_total{credential=\"vinid\",result=\"success\"}"] == 2)
    #expect(found["gateway_refresh_attempts_total{cause=\"rejected\"}"] == 1)
    #expect(found["gateway_token_call_duration_seconds_count{credential=\"vinid\"}"] == 2)
    #expect((found["gateway_parks_total{credential=\"vinid\"}"] ?? 0) >= 1)
    #expect(found["gateway_parked_requests{credential=\"vinid\"}"] == 0)
    #expect(found["gateway_credential_serving{credential=\"vinid\"}"] == 1)
    #expect(found["gateway_credentials{state=\"ready\"}"] == 1)
    let now = Double(Process.wallClockMilliseconds()) / 1000
    let expires = found["gateway_lease_expires_timestamp_seconds{credential=\"vinid\"}"] ?? 0
    #expect(expires > now && expires < now + 100_000, "\(expires)")
    let end = found["gateway_refresh_token_expires_timestamp_seconds{credential=\"vinid\"}"] ?? 0
    #expect(abs(end - now - 720 * 3600) < 600, "\(end)")
    try await rig.finish()
  }

  @Test func aTokenThatIsRefusedAgainAndAReplayThatGetsNoAnswer() async throws {
    let seen = Shared(Mutex(0))
    let upstream = try ScriptedServer { request in
      let isFirst = seen.value.withLock { count in
        count += 1
        return count == 1
      }
      return isFirst || request.path == "/rejected" ? .answer(.text("no", status: 401)) : .hang
    }
    let rig = try await TokenRig {
      $0.routes = [
        GatewayConfiguration.route(
          "vinid", prefix: "/own/", to: upstream.address, credential: "vinid",
          more: [("timeouts", ["response_head": .string("\(2 * Pace.slowness)s")])])
      ]
      $0.credentials["vinid"]?["min_refresh_interval"] = "100ms"
    }
    #expect(try await rig.get("/own/silent").status == 504)
    var found = try await rig.gateway.metrics()
    #expect(found["gateway_replays_total{\(Self.route),outcome=\"failed\"}"] == 1)
    #expect(found["gateway_token_rejections_total{\(Self.route)}"] == 1)
    #expect(try await rig.get("/own/rejected").status == 401)
    found = try await rig.gateway.metrics()
    #expect(found["gateway_requests_total{\(Self.route),status=\"4xx\"}"] == 1)
    #expect(found["gateway_requests_total{\(Self.route),status=\"5xx\"}"] == 1)
    #expect(found["gateway_replays_total{\(Self.route),outcome=\"rejected\"}"] == 1)
    #expect(found["gateway_replays_total{\(Self.route),outcome=\"failed\"}"] == 1)
    #expect(found["gateway_token_rejections_total{\(Self.route)}"] == 3)
    try await rig.finish()
  }

  @Test func errorsOfOurOwnByReason() async throws {
    let nobody = SocketAddress.ipv4(0x7f00_0001, port: try FreePort.take())
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.routes.append(GatewayConfiguration.route("dead", prefix: "/dead/", to: nobody, credential: nil))
    }) { request in request.path == "/busy" ? .answer(.text("", status: 503)) : .hang }
    let gateway = relay.gateway
    #expect(try await gateway.request("GET", "/dead/x").status == 502)
    #expect(try await gateway.request("GET", "/dead/x").status == 502)
    #expect(try await gateway.request("GET", "/busy").status == 503)
    #expect(try await relay.send("GET /x y HTTP/1.1\r\nHost: a\r\n\r\n").response.status == 400)
    #expect(try await relay.send("GET /x HTTP/1.1\r\nHost: elsewhere\r\n\r\n").response.status == 421)
    try await relay.talk { client in
      try client.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
      try Deadline.block("the origin has it") { relay.origin.record.completed == 2 }
    }
    let found = try await gateway.metrics(
      until: "gateway_requests_abandoned_total{route=\"all\",credential=\"\"}", is: 1)
    let dead = "route=\"dead\",credential=\"\""
    #expect(found["gateway_errors_total{\(dead),reason=\"connection_refused\",source=\"upstream\"}"] == 2)
    #expect(found["gateway_requests_total{\(dead),status=\"5xx\"}"] == 2)
    #expect(found["gateway_requests_total{route=\"all\",credential=\"\",status=\"5xx\"}"] == 1, "the upstream's own")
    #expect(found["gateway_requests_total{route=\"all\",credential=\"\",status=\"4xx\"}"] == 1, "499")
    let none = "route=\"\",credential=\"\""
    #expect(found["gateway_requests_total{\(none),status=\"4xx\"}"] == 2)
    #expect(found["gateway_errors_total{\(none),reason=\"malformed_request\",source=\"downstream\"}"] == 1)
    #expect(found["gateway_errors_total{\(none),reason=\"misdirected_request\",source=\"downstream\"}"] == 1)
    #expect(found.values.keys.filter { $0.hasPrefix("gateway_errors_total") }.count == 3)
    #expect((found["gateway_upstream_connect_failures_total{upstream=\"http://\(nobody)\"}"] ?? 0) >= 2)
  }

  @Test func requestsThatWaitAndWaitInVain() async throws {
    var options = SandboxOptions.onFreePorts
    options.latencyBefore = .seconds(60)
    let rig = try await TokenRig(options, waitingFor: "/healthz") {
      $0.timeouts = ["park": .string("\(4 * Pace.slowness)s"), "token": "60s", "drain": "1s"]
    }
    let running = try rig.load(callers: 5, .requestsPerCaller(1), check: { $0.status == 504 ? nil : "\($0.status)" }) {
      _, _ in OutgoingRequest("/vinid/echo")
    }.start()
    let waiting = try await rig.gateway.metrics(until: "gateway_requests_in_flight", is: 5)
    #expect(
      waiting["gateway_parked_requests{credential=\"vinid\"}"] == 5
        && waiting["gateway_connections{listener=\"main\"}"] == 5)
    #expect(waiting["gateway_credential_serving{credential=\"vinid\"}"] == 0)
    #expect(waiting["gateway_credentials{state=\"refreshing\"}"] == 1)
    #expect(waiting["gateway_lease_expires_timestamp_seconds{credential=\"vinid\"}"] == nil)
    let report = try await running.report()
    #expect(report.isAll(504), "\(report.failures)")
    let found = try await rig.gateway.metrics()
    #expect(found["gateway_parked_requests{credential=\"vinid\"}"] == 0)
    #expect(found["gateway_parks_total{credential=\"vinid\"}"] == 5)
    #expect(found["gateway_park_timeouts_total{credential=\"vinid\"}"] == 5)
    #expect(found["gateway_errors_total{\(Self.route),reason=\"park_timeout\",source=\"token_endpoint\"}"] == 5)
    _ = try await rig.gateway.stop()
  }

  @Test func theProcessAndItsLoops() async throws {
    let relay = try await Relay.start(configure: { configuration, _ in configuration.more["workers"] = 2 }) { _ in
      .answer(.text("hello"))
    }
    // Its own turn ends the one before.
    _ = try await relay.gateway.metrics()
    let found = try await relay.gateway.metrics()
    for loop in ["control", "data-0", "data-1"] {
      let longest = found["gateway_loop_longest_turn_seconds{loop=\"\(loop)\"}"] ?? -1
      #expect(longest > 0 && longest < 20, "\(loop)")
      #expect((found["gateway_loop_turn_duration_seconds_count{loop=\"\(loop)\"}"] ?? 0) > 0)
    }
    #expect((found["gateway_loop_lag_seconds{loop=\"data-1\"}"] ?? -1) >= 0 && found["gateway_late_loops"] == 0)
    let process = try relay.gateway.process
    let resident = found["process_resident_memory_bytes"] ?? 0
    let seen = Double(process.residentBytes)
    #expect(abs(resident - seen) < 16_000_000, "\(resident)")
    let descriptors = found["process_open_fds"] ?? 0
    let counted = Double(process.openDescriptors)
    #expect(abs(descriptors - counted) <= 3, "\(descriptors) and \(counted)")
    #expect((found["process_max_fds"] ?? 0) > descriptors)
    let cpu = found["process_cpu_seconds_total"] ?? 0
    #expect(cpu > 0 && cpu < 60)
    let started = Double(Process.wallClockMilliseconds()) / 1000 - (found["process_start_time_seconds"] ?? 0)
    #expect(started > -1 && started < 120, "\(started) s ago")
    #expect(found.values.keys.contains { $0.hasPrefix("gateway_build_info{version=\"") })
    #expect(found["gateway_store_up"] == 1 && found["gateway_access_log_dropped_lines_total"] == 0)
  }

  @Test func callersThatAreTurnedAway() async throws {
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.more["workers"] = 1
      configuration.limits["connections"] = 2
    }) { _ in .hang }
    let address = relay.address
    let gateway = relay.gateway
    let statuses = try await OwnThread.run {
      let busy = try (0..<2).map { _ in
        let client = try RawClient(to: address)
        try client.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client
      }
      try Deadline.block("both are served") { relay.origin.record.completed == 2 }
      let statuses = try (0..<3).map { _ in try RawClient(to: address).response().status }
      for client in busy { client.close() }
      return statuses
    }
    #expect(statuses == [503, 503, 503])
    let found = try await gateway.metrics(until: "gateway_connections{listener=\"main\"}", is: 0)
    #expect(found["gateway_connections_shed_total{listener=\"main\",reason=\"limit\"}"] == 3)
    #expect(found["gateway_connections_accepted_total{listener=\"main\"}"] == 5)
    #expect(found["gateway_requests_abandoned_total{route=\"all\",credential=\"\"}"] == 2)
  }
}
