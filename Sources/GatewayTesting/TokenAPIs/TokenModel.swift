// What the three token APIs of the sandbox have in common: a request comes, is looked at, and is processed some time
// later. No I/O; the time is handed in.
package import TokenKit

/// A token request as its API understood it.
package struct TokenCall: Sendable {
  package enum Kind: Sendable {
    case refresh(TokenLedger.Attempt)
    case clientCredentials
    /// Refused without looking at a token.
    case refused(TokenResult)
  }

  package var kind: Kind
  /// MISA only: the reply is XML.
  package var isXML = false

  var refreshToken: String? { if case .refresh(let attempt) = kind { attempt.refreshToken } else { nil } }
}

/// What a call came to.
package struct TokenResult: Sendable {
  package var answer: Answer
  /// For the counters: `granted`, or the error's code.
  package var outcome: String

  package init(_ answer: Answer, _ outcome: String) {
    self.answer = answer
    self.outcome = outcome
  }
}

/// One token API.
package protocol TokenModel: Sendable {
  var rules: IssuingRules { get set }
  var ledger: TokenLedger { get set }
  /// The request has come. What is decided by its form alone is decided here.
  mutating func receive(_ request: IncomingRequest) -> TokenCall
  /// The call is processed.
  mutating func finish(_ call: TokenCall, now: WallTime) -> TokenResult
}

extension TokenModel {
  /// Both steps at once: nothing else happens in between.
  package mutating func answer(_ request: IncomingRequest, now: WallTime) -> TokenResult {
    let call = receive(request)
    return finish(call, now: now)
  }
}

/// RFC 6749 §5.1 and §5.2 as JSON.
enum OAuthAnswer {
  static func error(_ code: String, _ description: String, status: Int = 400) -> TokenResult {
    let body: OrderedJSON = ["error": .string(code), "error_description": .string(description)]
    return TokenResult(json(body, status: status), code)
  }

  static func json(_ body: OrderedJSON, status: Int = 200) -> Answer {
    Answer.json(body, status: status).adding("Cache-Control", "no-store").adding("Pragma", "no-cache")
  }
}
