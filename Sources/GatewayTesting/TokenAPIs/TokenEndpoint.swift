// A token API with its faults, its latency and its counters; still without I/O.
package import TokenKit

/// What a token API does wrong to its next calls.
package enum TokenFault: String, Sendable, CaseIterable {
  /// 500 without processing.
  case http500 = "http_500"
  /// 429 with Retry-After, without processing.
  case http429 = "http_429"
  /// 200 with half a JSON document, without processing.
  case malformed
  /// Reads the request and never answers, without processing.
  case hang
  /// Reads the request and closes, without processing.
  case readAndClose = "read_and_close"
  /// Processes the request and closes without answering: a rotated token gets lost.
  case loseAnswer = "lose_answer"
}

/// Counts since the start or the last reset.
package struct TokenCounters: Sendable, Equatable {
  /// Requests that came whole, faulty ones included.
  package var calls = 0
  /// By what they came to: `granted`, an error code, or the fault's name.
  package var outcomes: [String: Int] = [:]
  /// Calls that sent a refresh token which was spent when they came.
  package var spentTokenSeen = 0
  /// Those of them whose sender cannot have known: the answer with the successor was lost.
  package var spentAfterLostAnswer = 0
  /// The most calls that were being processed at once.
  package var mostAtOnce = 0

  package init() {}
  package var granted: Int { outcomes["granted"] ?? 0 }

  var json: OrderedJSON {
    [
      "calls": .int(calls),
      "granted": .int(granted),
      "outcomes": .object(outcomes.sorted { $0.key < $1.key }.map { ($0.key, .int($0.value)) }),
      "spent_token_seen": .int(spentTokenSeen),
      "spent_after_lost_answer": .int(spentAfterLostAnswer),
      "most_at_once": .int(mostAtOnce),
    ]
  }
}

/// One token API as the sandbox runs it.
package struct TokenEndpoint: Sendable {
  package enum Step: Sendable {
    /// To be processed after the latency, by `finish`.
    case process(TokenCall, fault: TokenFault?)
    case react(Reaction)
  }

  package var model: any TokenModel
  package var counters = TokenCounters()
  /// Waited between the arrival of a request and its processing.
  package var latencyBefore: Duration = .zero
  /// Waited between the processing and the answer.
  package var latencyAfter: Duration = .zero
  private var faults: [(fault: TokenFault, count: Int, retryAfter: Int)] = []
  private var atOnce = 0

  package init(_ model: any TokenModel) { self.model = model }

  /// The next `count` calls go wrong like that, after those that were asked for before.
  /// - Parameter retryAfter: seconds, for 429.
  package mutating func fail(_ fault: TokenFault, count: Int, retryAfter: Int = 1) {
    if count > 0 { faults.append((fault, count, retryAfter)) }
  }

  package mutating func clearFaults() { faults = [] }

  private mutating func nextFault() -> (fault: TokenFault, retryAfter: Int)? {
    guard let first = faults.first else { return nil }
    if first.count == 1 { faults.removeFirst() } else { faults[0].count -= 1 }
    return (first.fault, first.retryAfter)
  }

  /// A request has come.
  package mutating func receive(_ request: IncomingRequest) -> Step {
    counters.calls += 1
    let call = model.receive(request)
    if let token = call.refreshToken {
      switch model.ledger.standing(of: token) {
      case .spent: counters.spentTokenSeen += 1
      case .spentWithLostAnswer:
        counters.spentTokenSeen += 1
        counters.spentAfterLostAnswer += 1
      case .good, .unknown: break
      }
    }
    guard let (fault, retryAfter) = nextFault() else { return process(call, fault: nil) }
    if fault == .loseAnswer { return process(call, fault: fault) }
    counters.outcomes[fault.rawValue, default: 0] += 1
    switch fault {
    case .http500: return .react(.answer(.text("<html><body>500</body></html>", status: 500, type: "text/html")))
    case .http429:
      let answer = Answer.json(["error": "temporarily_unavailable"], status: 429)
      return .react(.answer(answer.adding("Retry-After", String(retryAfter))))
    case .malformed: return .react(.answer(.text("{\"access_token\":", type: "application/json")))
    case .hang: return .react(.hang)
    case .readAndClose, .loseAnswer: return .react(.close)
    }
  }

  private mutating func process(_ call: TokenCall, fault: TokenFault?) -> Step {
    atOnce += 1
    counters.mostAtOnce = max(counters.mostAtOnce, atOnce)
    return .process(call, fault: fault)
  }

  /// The time of processing has come.
  package mutating func finish(_ call: TokenCall, fault: TokenFault?, now: WallTime) -> Reaction {
    atOnce -= 1
    let result = model.finish(call, now: now)
    if fault == .loseAnswer {
      counters.outcomes[TokenFault.loseAnswer.rawValue, default: 0] += 1
      if result.outcome == "granted", let token = call.refreshToken { model.ledger.loseSuccessor(of: token) }
      return .close
    }
    counters.outcomes[result.outcome, default: 0] += 1
    var answer = result.answer
    answer.delay = latencyAfter
    return .answer(answer)
  }
}
