// The conformance suite that every provider passes: one list of cases, made from a provider and samples of its API.
// Plain values, so that any test library can run them.
package import TokenKit

/// One thing that a provider must do.
package struct ConformanceCase: Sendable {
  /// The provider's name and the rule.
  package var name: String
  /// Runs it: nil when the provider does so, else how it does not. Never contains a token.
  package var run: @Sendable () -> String?
}

/// The suite for one provider in one configuration.
package struct ProviderConformance: Sendable {
  /// The wall clock of all attempts: 2025-06-25T10:44:15Z.
  package static let clock = WallTime(milliseconds: 1_750_848_255_000)

  /// What is tested.
  package let subject: ProviderUnderTest

  /// A suite for `subject`.
  package init(_ subject: ProviderUnderTest) { self.subject = subject }

  /// All cases, in a fixed order.
  package var cases: [ConformanceCase] {
    (settingsCases + requestCases + goodReplyCases + tokenSyntaxCases + statusCases + garbageCases + secrecyCases).map {
      rule, run in ConformanceCase(name: "\(subject.name): \(rule)", run: run)
    }
  }

  typealias Rules = [(rule: String, run: @Sendable () -> String?)]

  static let accessToken = "at-0.first_~+/x=="
  static let refreshToken = "rt-0.sent_~"
  static let successor = "rt-1.successor_~"

  static let context = GrantContext(refreshToken: Secret(refreshToken), now: clock)

  /// The provider of the subject's settings, or what is wrong with them.
  func provider() -> Result<any TokenProvider, ConformanceProblem> {
    let problems = SettingsProblems()
    do {
      let settings = try SettingsReader.fromJSON(subject.settings, problems: problems)
      let provider = subject.make(settings)
      settings.finish()
      guard problems.all.isEmpty else {
        return .failure(ConformanceProblem(text: "settings: \(problems.all.map { "\($0.path) \($0.message)" })"))
      }
      return .success(provider)
    } catch {
      return .failure(ConformanceProblem(text: "the settings are not a JSON object"))
    }
  }

  /// A check that needs the provider; problems with its settings fail it.
  func with(_ check: @escaping @Sendable (any TokenProvider) -> String?) -> @Sendable () -> String? {
    {
      switch provider() {
      case .success(let provider): check(provider)
      case .failure(let problem): problem.text
      }
    }
  }

  /// What the provider makes of an answer.
  static func outcome(_ provider: any TokenProvider, _ response: GrantResponse) -> Result<Token, GrantError> {
    do {
      return .success(try provider.token(from: response, context))
    } catch {
      return .failure(error)
    }
  }

  /// What the provider makes of a body, with nothing else in the answer.
  static func outcome(_ provider: any TokenProvider, _ status: Int, _ body: String) -> Result<Token, GrantError> {
    outcome(provider, GrantResponse(status: status, body: Array(body.utf8), date: clock))
  }

  /// nil if the outcome is a failure of `kind` (and `code`), else what it is.
  static func failure(
    _ outcome: Result<Token, GrantError>, _ kind: GrantError.Kind, _ code: String? = nil
  ) -> String? {
    switch outcome {
    case .success: return "a token came out of it, not \(kind.rawValue)"
    case .failure(let error):
      if error.kind != kind { return "\(error.kind.rawValue) \(error.code), not \(kind.rawValue)" }
      if let code, error.code != code { return "code \(error.code), not \(code)" }
      return nil
    }
  }

  /// nil if the outcome is a token with these parts and a lifetime that ends in the future, else what it is.
  func token(_ outcome: Result<Token, GrantError>, _ access: String, successor: String?) -> String? {
    switch outcome {
    case .failure(let error): return "\(error.kind.rawValue) \(error.code), not a token"
    case .success(let token):
      if token.accessToken.reveal() != access { return "another access token than the reply's" }
      if token.refreshToken?.reveal() != (subject.usesRefreshToken ? successor : nil) {
        return "another refresh token than the reply's"
      }
      return Self.lifetimes(token)
    }
  }

  /// nil if no lifetime is over or endless.
  static func lifetimes(_ token: Token) -> String? {
    let tenYears = Duration.seconds(10 * 366 * 86_400)
    switch token.lifetime {
    case .relative(let life): if life <= .zero || life > tenYears { return "a lifetime of \(life)" }
    case .absolute(let end): if end <= clock || end - clock > tenYears { return "an end at \(end.milliseconds) ms" }
    case .unknown: break
    }
    if let life = token.refreshTokenLifetime, life <= .zero || life > tenYears {
      return "a refresh token's life: \(life)"
    }
    return nil
  }
}

/// Why a case cannot even start.
struct ConformanceProblem: Error {
  var text: String
}
