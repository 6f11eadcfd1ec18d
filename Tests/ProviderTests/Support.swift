// Shared by the provider tests: providers and problems from settings, outcomes of replies.
import GatewayTesting
import TokenKit

/// A provider and what was wrong with its settings, as `path: message`, errors and warnings apart.
func read<Provider: TokenProvider>(
  _ type: Provider.Type, _ settings: String
) throws -> (provider: Provider, errors: [String], warnings: [String]) {
  let problems = SettingsProblems()
  let reader = try SettingsReader.fromJSON(settings, path: "c", problems: problems)
  let provider = Provider(settings: reader)
  reader.finish()
  func texts(_ severity: SettingsProblem.Severity) -> [String] {
    problems.all.filter { $0.severity == severity }.map { "\($0.path): \($0.message)" }
  }
  return (provider, texts(.error), texts(.warning))
}

let now = ProviderConformance.clock

func context(_ refreshToken: String? = "rt-1") -> GrantContext {
  GrantContext(refreshToken: refreshToken.map(Secret.init), now: now)
}

extension GrantRequest {
  /// `Name: value` lines and the body, revealed.
  var lines: [String] { headers.map { "\($0.name): \($0.value.reveal())" } + [body.reveal()] }
}

extension TokenProvider {
  /// The token of a body, or the error.
  func outcome(
    _ body: String, status: Int = 200, date: WallTime? = nil, retryAfter: Duration? = nil
  ) -> Result<Token, GrantError> {
    let response = GrantResponse(status: status, body: Array(body.utf8), date: date, retryAfter: retryAfter)
    do {
      return .success(try token(from: response, context()))
    } catch {
      return .failure(error)
    }
  }
}
