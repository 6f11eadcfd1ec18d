// SIGTERM under load: nobody's request fails, and the process ends in time.
import GatewayTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct DrainTests {
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
}
