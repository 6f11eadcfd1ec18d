// HTTP-RULES.md, one row for each rule and spelling, over real sockets: what the caller gets, and what h11 makes of the
// bytes that reach the origin, which is nothing or exactly one request with exactly one Authorization, ours.
import GatewayTesting
import Testing

@Suite("HTTP rules of requests", .serialized, .timeLimit(.minutes(5))) struct HTTPRulesTests {
  @Test func framing() async throws { try await RuleRun.expect(FramingRows.all, atLeast: 900) }

  @Test func fieldLines() async throws { try await RuleRun.expect(FieldRows.all, atLeast: 900) }

  @Test func requestLines() async throws { try await RuleRun.expect(LineRows.all, atLeast: 900) }

  @Test func chunkedBodies() async throws {
    try await RuleRun.expect(
      ChunkRows.all, atLeast: 900, limits: ["request_body": .string("\(ChunkRows.bodyLimit)B")])
  }

  @Test func paths() async throws { try await RuleRun.expect(PathRows.all, atLeast: 900) }

  @Test func headerHygiene() async throws { try await RuleRun.expect(HygieneRows.all, atLeast: 300) }

  @Test func headerHygieneWithUnderscoresKept() async throws {
    try await RuleRun.expect(HygieneRows.withUnderscoresKept, atLeast: 30, more: ["underscore_fields": "keep"])
  }
}
