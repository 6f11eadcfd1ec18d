// What becomes of spans that were posted: whether the collector has them, gets them again, or is not to get them.
internal import TokenKit
internal import TokenService

/// Why spans were lost. Raw values stand in metrics and logs.
enum SpanLoss: String, CaseIterable {
  /// A data loop was quicker than the control loop.
  case bufferFull = "buffer_full"
  /// The collector does not keep up.
  case queueFull = "queue_full"
  /// The collector said so.
  case refused
  /// The collector could not be reached, or was busy, again and again.
  case unavailable
  /// The process has ended.
  case shutdown
}

/// Calls of the collector for one batch after the other. Without I/O.
struct SpanExport {
  enum Verdict: Equatable {
    /// Of its spans, so many were not taken for good.
    case taken(refused: Int)
    case again(after: Duration)
    case lost(SpanLoss)
  }

  /// Calls for the same spans.
  static let tries = 5
  /// After the first call that went wrong; doubled with every further one.
  private static let firstPause = Duration.seconds(1)
  private static let longestPause = Duration.seconds(30)
  /// What a collector may ask for in Retry-After.
  private static let longestWait = Duration.seconds(60)

  /// Of the batch at hand.
  private var calls = 0
  private var failuresInARow = 0

  /// Statuses after which the same spans may be sent again (OTLP/HTTP, "Failures").
  static func isRetryable(_ status: Int) -> Bool { [429, 502, 503, 504].contains(status) }

  /// - Parameters:
  ///   - count: spans of the batch.
  ///   - isLast: there is no time for another call.
  ///   - jitter: -1...1, so that many gateways do not come back at once.
  mutating func judge(
    _ result: Result<GrantResponse, GrantTransportFailure>, count: Int, isLast: Bool, jitter: Double
  ) -> Verdict {
    calls += 1
    var wait: Duration?
    switch result {
    case .success(let response):
      if (200..<300).contains(response.status) {
        (calls, failuresInARow) = (0, 0)
        return .taken(refused: min(count, Self.refusedSpans(response.body)))
      }
      if !Self.isRetryable(response.status) { return end(.refused) }
      wait = response.retryAfter.map { min($0, Self.longestWait) }
    case .failure(let failure):
      if failure.isMisconfigured { return end(.unavailable) }
    }
    failuresInARow += 1
    if isLast { return end(.shutdown) }
    if calls >= Self.tries { return end(.unavailable) }
    return .again(after: wait ?? pause(jitter))
  }

  private mutating func end(_ loss: SpanLoss) -> Verdict {
    calls = 0
    return .lost(loss)
  }

  /// Goes on growing from batch to batch while the collector is away.
  private func pause(_ jitter: Double) -> Duration {
    let full = min(Self.longestPause, Self.firstPause * (1 << min(5, failuresInARow - 1)))
    return full * (1 + 0.2 * jitter)
  }

  /// `partialSuccess.rejectedSpans` of an answer, a number or, as protobuf's JSON has 64 bits, a text.
  static func refusedSpans(_ body: [UInt8]) -> Int {
    guard !body.isEmpty, case .object(let members)? = try? JSONText.parse(body, problems: SettingsProblems()).value,
      case .object(let partial)? = members["partialSuccess"]
    else { return 0 }
    switch partial["rejectedSpans"] {
    case .number(let number): return Int(exactly: number.rounded()).map { max(0, $0) } ?? 0
    case .string(let text): return Int(text).map { max(0, $0) } ?? 0
    default: return 0
    }
  }
}
