// HTTP-RULES.md, "Upstream responses" and what else it says of answers, one row for each rule and spelling, over real
// sockets: what an HTTP/1.1 and an HTTP/1.0 caller get, and that no connection carries a request that it must not.
import EventLoop
import GatewayTesting
import Testing

@Suite("HTTP rules of answers", .serialized, .timeLimit(.minutes(5))) struct UpstreamRulesTests {
  @Test func malformedHeads() async throws { try await UpstreamRun.expect(UpstreamFaultRows.heads, atLeast: 600) }

  @Test func malformedChunks() async throws { try await UpstreamRun.expect(UpstreamFaultRows.chunks, atLeast: 900) }

  @Test func truncatedBodies() async throws { try await UpstreamRun.expect(UpstreamFaultRows.truncated, atLeast: 200) }

  @Test func goodAnswers() async throws { try await UpstreamRun.expect(UpstreamAnswerRows.all, atLeast: 300) }
}
