// What follows from a collector's answers, by the section "Failures" of OTLP/HTTP.
import Testing
import TokenKit
import TokenService

@testable import Gateway

@Suite struct SpanExportTests {
  private static func answer(
    _ status: Int, _ body: String = "", retryAfter: Duration? = nil
  ) -> Result<GrantResponse, GrantTransportFailure> {
    .success(GrantResponse(status: status, body: Array(body.utf8), retryAfter: retryAfter))
  }

  private static let refused = Result<GrantResponse, GrantTransportFailure>.failure(
    GrantTransportFailure(code: "connect_refused", mayHaveBeenSent: false))

  private func judge(_ result: Result<GrantResponse, GrantTransportFailure>, isLast: Bool = false) -> SpanExport.Verdict
  {
    var export = SpanExport()
    return export.judge(result, count: 10, isLast: isLast, jitter: 0)
  }

  @Test(
    arguments: [
      (200, .taken(refused: 0)), (202, .taken(refused: 0)), (400, .lost(.refused)), (401, .lost(.refused)),
      (404, .lost(.refused)), (413, .lost(.refused)), (500, .lost(.refused)), (501, .lost(.refused)),
      (301, .lost(.refused)), (429, .again(after: .seconds(1))), (502, .again(after: .seconds(1))),
      (503, .again(after: .seconds(1))), (504, .again(after: .seconds(1))),
    ] as [(Int, SpanExport.Verdict)])
  func statuses(_ status: Int, _ verdict: SpanExport.Verdict) { #expect(judge(Self.answer(status)) == verdict) }

  @Test func retryAfterIsHeeded() {
    #expect(judge(Self.answer(503, retryAfter: .seconds(7))) == .again(after: .seconds(7)))
    #expect(judge(Self.answer(429, retryAfter: .seconds(86_400))) == .again(after: .seconds(60)), "within bounds")
    #expect(judge(Self.answer(429, retryAfter: .zero)) == .again(after: .zero))
  }

  @Test func pausesGrowAndTriesEnd() {
    var export = SpanExport()
    func next() -> SpanExport.Verdict { export.judge(Self.refused, count: 10, isLast: false, jitter: 0) }
    #expect((0..<4).map { _ in next() } == [1, 2, 4, 8].map { .again(after: .seconds($0)) })
    #expect(next() == .lost(.unavailable))
    // The next batch: the collector is as far away as it was.
    #expect((0..<4).map { _ in next() } == [30, 30, 30, 30].map { .again(after: .seconds($0)) })
    #expect(next() == .lost(.unavailable))
    #expect(export.judge(Self.answer(200), count: 10, isLast: false, jitter: 0) == .taken(refused: 0))
    #expect(next() == .again(after: .seconds(1)))
  }

  @Test func whatCannotWorkIsNotTriedAgain() {
    let failure = GrantTransportFailure(code: "ca_file", mayHaveBeenSent: false, isMisconfigured: true)
    #expect(judge(.failure(failure)) == .lost(.unavailable))
    #expect(judge(Self.refused, isLast: true) == .lost(.shutdown))
    #expect(judge(Self.answer(503), isLast: true) == .lost(.shutdown))
    #expect(judge(Self.answer(200), isLast: true) == .taken(refused: 0))
  }

  @Test(arguments: [
    ("{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"x\"}}", 3),
    ("{\"partialSuccess\":{\"rejectedSpans\":3}}", 3), ("{\"partialSuccess\":{\"rejectedSpans\":\"99\"}}", 10),
    ("{\"partialSuccess\":{}}", 0), ("{\"partialSuccess\":{\"rejectedSpans\":-1}}", 0), ("{}", 0), ("", 0), ("no", 0),
    ("{\"partialSuccess\":{\"rejectedSpans\":1e300}}", 0), ("[1]", 0),
  ]) func partialSuccess(_ body: String, _ refused: Int) {
    #expect(judge(Self.answer(200, body)) == .taken(refused: refused))
  }
}
