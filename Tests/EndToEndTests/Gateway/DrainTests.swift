// SIGTERM under load: nobody's request fails, and the process ends in time.
import EventLoop
import GatewayTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct DrainTests {
  /// What happens when: SIGTERM under load
  @Test func aDrainUnderLoadFailsNoRequest() async throws {
    let relay = try await Relay.start { _ in .after(.milliseconds(20)) { .answer(.text("fine")) } }
    let run = LoadRun(to: relay.address, callers: 20, .time(.seconds(20)), OutgoingRequest("GET", "/x"))
    let load = try run.start()
    try await Deadline.wait("callers are served") { load.progress.count > 200 }
    #expect(try await relay.gateway.stop(within: .seconds(20)) == .code(0))
    load.stop()
    let report = try await load.report()
    // Once nobody listens any more callers are refused; what was taken is answered.
    #expect(report.entries.allSatisfy { $0.status == 200 || $0.status == 0 })
    #expect(report.failures.keys.allSatisfy { $0.contains("refused") }, "\(report.failures)")
    #expect(try relay.gateway.log.contains("stopped"))
  }

  @Test func aRequestUnderWayIsAnsweredAndItsConnectionClosed() async throws {
    let relay = try await Relay.start { _ in .after(.milliseconds(1500)) { .answer(.text("late")) } }
    let answer = Task { try await relay.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n") }
    try await Deadline.wait("the origin has the request") { relay.origin.record.completed == 1 }
    #expect(try await relay.gateway.stop(within: .seconds(20)) == .code(0))
    let (response, closes) = try await answer.value
    #expect(response.status == 200 && response.bodyText == "late" && closes)
  }

  /// Callers that heed `Connection: close`, as the protocol asks them to: not one request of theirs fails.
  @Test func callersThatHeedTheCloseLoseNothing() async throws {
    let relay = try await Relay.start { _ in .after(.milliseconds(20)) { .answer(.text("fine")) } }
    let address = relay.address
    let origin = relay.origin
    let callers = 20
    let answered = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<callers {
        group.addTask {
          try await OwnThread.run {
            let client = try RawClient(to: address)
            var count = 0
            while true {
              try client.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
              let response = try client.response()
              guard response.status == 200, response.bodyText == "fine" else {
                throw ClientError.check("\(response.status) \(response.bodyText)")
              }
              count += 1
              if !response.head.keepsAlive { return count }
            }
          }
        }
      }
      try await Deadline.wait("callers are served") { origin.record.completed > 500 }
      #expect(try await relay.gateway.stop(within: .seconds(20)) == .code(0))
      return try await group.reduce(0, +)
    }
    #expect(answered == origin.record.completed)
    print("drain under load: \(answered) requests of \(callers) callers, none failed")
  }

  @Test func readyzSaysDrainingAndTheDrainEndsInItsTime() async throws {
    let relay = try await Relay.start(
      configure: { configuration, _ in configuration.timeouts["drain"] = "3s" }
    ) { _ in .hang }
    let answer = Task { try await relay.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n") }
    try await Deadline.wait("the origin has the request") { relay.origin.record.completed == 1 }
    #expect(try await relay.gateway.adminStatus("/readyz") == 200)
    let process = try relay.gateway.process
    let clock = ContinuousClock()
    let begin = clock.now
    process.send(ChildProcess.terminate)
    try await process.waitWhileRunning("/readyz says draining") {
      let ready = try await relay.gateway.adminGet("/readyz")
      return ready.status == 503 && ready.bodyText.contains("draining")
    }
    #expect(try await relay.gateway.adminStatus("/healthz") == 200)
    let address = relay.address
    try await Deadline.wait("new callers are refused", within: .seconds(2)) {
      do {
        try await OwnThread.run { _ = try RawClient(to: address) }
        return false
      } catch ClientError.system(let error) {
        return error.description.contains("connect")
      }
    }
    #expect(try await process.waitForExit(within: .seconds(20)) == .code(0))
    let time = clock.now - begin
    #expect(time >= .milliseconds(2900) && time < .seconds(8), "\(time)")
    // What is cut at the end is seen as cut.
    await #expect(throws: (any Error).self) { try await answer.value }
  }
}
