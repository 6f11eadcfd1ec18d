// More callers than the limits allow: who is turned away and how, and that limits of the process hold for all its loops.
import EventLoop
import GatewayTesting
import Glibc
import Synchronization
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct SheddingTests {
  /// A reason to come again later, in a way that every client understands.
  private static func isTurnedAway(_ response: ReceivedResponse) -> Bool {
    response.status == 503 && response.problem?.reason == "limit_reached"
      && response.fields["Retry-After"].flatMap(Int.init) ?? 0 >= 1
  }

  /// All that come at the same time, whichever loop accepts them.
  /// What happens when: There are more callers than `limits.connections`
  @Test(arguments: [1, 2, 4]) func exactlyAsManyConnectionsAsTheLimitAreServed(workers: Int) async throws {
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.more["workers"] = .int(workers)
      configuration.limits = ["connections": 20]
    }) { $0.path == "/hang" ? .hang : .answer(.text("origin")) }
    let (origin, address) = (relay.origin, relay.address)
    for round in 1...3 {
      try await OwnThread.run {
        let clients = try (0..<120).map { _ in try RawClient(to: address) }
        var served: [RawClient] = []
        var refused = 0
        for client in clients {
          do throws(ClientError) { try client.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n") } catch {
            // It was turned away and closed before.
            refused += 1
            continue
          }
          served.append(client)
        }
        try Deadline.block("round \(round): the limit is reached") { origin.record.openConnections == 20 }
        for client in served {
          do throws(ClientError) {
            let response = try client.response(within: .milliseconds(20))
            guard Self.isTurnedAway(response) else { throw ClientError.check("\(response)") }
            refused += 1
          } catch {
            switch error {
            case .timedOut: continue
            // Its request met a connection that was closed already, which takes the answer with it.
            case .closed, .system, .violation: refused += 1
            case .check: throw error
            }
          }
        }
        guard refused == 100, origin.record.openConnections == 20 else {
          throw ClientError.check("\(refused) of 120 turned away, \(origin.record.openConnections) served")
        }
        for client in clients { client.close() }
      }
      try await Deadline.wait("they are gone") { origin.record.openConnections == 0 }
      try await relay.expectWorks("after round \(round)")
    }
  }

  /// Nobody who has a request on its way pays for those who come, and no idle connection of another loop is kept for it.
  @Test func idleConnectionsOfAllLoopsGoFirst() async throws {
    let limit = 24
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.more["workers"] = 2
      configuration.limits = ["connections": .int(limit)]
    }) { request in
      // Each loop has its own random part in the ids of its requests.
      let loop = request.fields["X-Request-ID"]?.split(separator: "-").first ?? ""
      return request.path == "/wait" ? .later : .answer(.text(String(loop)))
    }
    let (origin, address) = (relay.origin, relay.address)
    try await OwnThread.run {
      func ask(_ client: RawClient) throws -> String {
        try client.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let response = try client.response()
        guard response.status == 200 else { throw ClientError.check("\(response)") }
        return response.bodyText
      }
      let clients = try (0..<limit).map { _ in try RawClient(to: address) }
      var loops: [String: [RawClient]] = [:]
      for client in clients { loops[try ask(client), default: []].append(client) }
      guard loops.count == 2 else { throw ClientError.check("\(loops.mapValues(\.count))") }
      for busyLoop in loops.keys {
        let busy = loops[busyLoop] ?? []
        let idle = loops.values.reduce(0) { $0 + $1.count } - busy.count
        let before = origin.record.completed
        for client in busy { try client.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n") }
        try Deadline.block("one loop is busy") { origin.record.completed == before + busy.count }
        // Twice as many as there is room for, all kept open as far as they are let.
        var more: [RawClient] = []
        var places: [String: [RawClient]] = [:]
        for _ in 0..<2 * idle {
          let client = try RawClient(to: address)
          more.append(client)
          places[try ask(client), default: []].append(client)
        }
        for request in origin.record.requests where request.path == "/wait" {
          request.responder?.respond(.answer(.text("waited")))
        }
        for client in busy {
          let response = try client.response()
          guard response.bodyText == "waited" else { throw ClientError.check("\(response)") }
        }
        // The last ones are what is open besides.
        loops = [busyLoop: busy]
        for (loop, clients) in places {
          loops[loop, default: []] += clients.filter { client in more.suffix(idle).contains { $0 === client } }
        }
      }
    }
  }

  /// Connections that were taken, and whose requests were not read yet, are not idle: whoever comes later has to wait.
  @Test func whoHasSentARequestIsNotClosedForThoseWhoComeLater() async throws {
    let limit = 6
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.more["workers"] = 1
      configuration.limits = ["connections": .int(limit)]
    }) { _ in .answer(.text("origin")) }
    let address = relay.address
    let process = try relay.gateway.process
    try await relay.expectWorks()
    // The one that asked is gone before others come.
    try await Deadline.wait("its connection is closed") { relay.origin.record.openConnections <= 1 }
    // All of them are in the queue, with their requests, when the gateway looks at the first.
    process.send(SIGSTOP)
    try await OwnThread.run {
      let clients = try (0..<5 * limit).map { _ in
        let client = try RawClient(to: address)
        try client.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client
      }
      process.send(SIGCONT)
      for (number, client) in clients.prefix(limit).enumerated() {
        let response = try client.response()
        guard response.status == 200 else { throw ClientError.check("\(number): \(response)") }
      }
    }
  }

  /// Callers of several loops at once, at a process-wide limit that they reach together.
  @Test func exactlyAsManyParkAsMay() async throws {
    for round in 0..<3 {
      var options = SandboxOptions.onFreePorts
      options.latencyBefore = .seconds(60)
      let rig = try await TokenRig(options, waitingFor: "/healthz") {
        $0.more["workers"] = 4
        $0.limits = ["parked": 40]
        $0.timeouts = ["park": "3s", "token": "60s", "drain": "2s"]
      }
      // Everybody is connected, on all loops, before the first one asks.
      let report = try await rig.load(callers: 200, .requestsPerCaller(1), check: { _ in nil }) { _, _ in
        OutgoingRequest("/vinid/echo")
      }.run()
      #expect(report.statuses == [504: 10, 503: 190], "round \(round): \(report.statuses) \(report.failures)")
      try await rig.finish()
    }
  }

  /// Those that find no place in front of the upstream within their time are told so, the others are served.
  @Test(arguments: [1, 2]) func whoWaitsTooLongForAnUpstreamConnectionIsTurnedAway(workers: Int) async throws {
    let isHanging = Shared(Atomic(true))
    let relay = try await Relay.start(configure: { configuration, _ in
      configuration.more["workers"] = .int(workers)
      configuration.limits["upstream_connections"] = 5
      configuration.timeouts["connect"] = "700ms"
    }) { _ in isHanging.value.load(ordering: .relaxed) ? .hang : .answer(.text("origin")) }
    var run = LoadRun(to: relay.address, callers: 60, .requestsPerCaller(1), OutgoingRequest("/x"))
    run.timeout = .seconds(3)
    run.check = { Self.isTurnedAway($0) ? nil : "\($0)" }
    let report = try await run.run()
    #expect(report.statuses == [503: 55], "\(report.statuses)")
    #expect(report.failures == ["timed out": 5], "\(report.failures)")
    #expect(relay.origin.record.completed == 5, "no more connections than the limit: \(relay.origin.record.completed)")
    isHanging.value.store(false, ordering: .relaxed)
    let after = try await LoadRun(to: relay.address, callers: 60, .requestsPerCaller(5), OutgoingRequest("/x")).run()
    #expect(after.count == 300 && after.isAll(200), "\(after.statuses) \(after.failures)")
    #expect(relay.origin.record.openConnections <= 5)
  }

  /// Requests in a row whose answers nobody reads.
  @Test func theAdminListenerKeepsNoAnswersThatNobodyReads() async throws {
    let sandbox = try Sandbox(.onFreePorts)
    let gateway = try await GatewayUnderTest.start(.standard(sandbox.addresses))
    let admin = gateway.admin
    let process = try gateway.process
    let warm = try await gateway.adminGet("/api/credentials")
    let request = Array("GET /api/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
    let many = Array(repeatElement(request, count: 2000).joined())
    let before = process.residentBytes
    let mayEnd = Latch()
    let flood = Task {
      try await OwnThread.run {
        let client = try RawClient(to: admin)
        let clock = ContinuousClock()
        let end = clock.now + .seconds(6)
        var sent = 0
        // The kernel keeps some MiB in each direction; the rest of 100 MiB waits here, if the other side lets it.
        while sent < 100 << 20, clock.now < end { sent += try client.sendSome(many, within: .milliseconds(500)) }
        mayEnd.wait()
        return sent
      }
    }
    // Others do not wait for it, and nothing piles up.
    var most = 0
    for _ in 0..<40 {
      let answer = try await gateway.adminGet("/api/credentials")
      #expect(answer.status == 200 && answer.body.count == warm.body.count)
      most = max(most, process.residentBytes)
      try await Task.sleep(for: .milliseconds(150))
    }
    mayEnd.open()
    let sent = try await flood.value
    #expect(most - before < 8 << 20 + Pace.keptBack, "\(most - before) bytes more for \(sent) bytes of requests")
    // Whoever does read gets every answer.
    let count = 3000
    try await OwnThread.run {
      let client = try RawClient(to: admin)
      try client.send(Array(repeatElement(request, count: count).joined()))
      for number in 0..<count {
        let response = try client.response()
        guard response.status == 200, response.body.count == warm.body.count else {
          throw ClientError.check("\(number): \(response)")
        }
      }
    }
    #expect(try await gateway.stop() == .code(0))
  }
}
