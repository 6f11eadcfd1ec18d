// What tests of the credentials' lives ask a running gateway: a credential's state, and whether its outputs kept secrets.
import GatewayTesting
import Testing
import TokenKit

extension GatewayUnderTest {
  /// A credential in `/api/credentials`; nil when nobody answers.
  func credential(_ name: String = "main") async throws -> JSONValue? {
    guard let answer = try? await adminGet("/api/credentials"), answer.status == 200 else { return nil }
    SecretMarks.expectNone(in: answer.bodyText)
    return answer.json?["credentials"]?.elements?.first { $0["name"]?.text == name }
  }

  /// Waits until a pair of that generation or a later one is published and stored.
  @discardableResult
  func waitForGeneration(_ generation: Int, of name: String = "main") async throws -> Int {
    var found = 0
    try await process.waitWhileRunning("\(name) has generation \(generation)", within: .seconds(90)) {
      guard let credential = try await self.credential(name), credential["state"]?.text == "ready" else { return false }
      found = credential["generation"]?.int ?? 0
      return found >= generation
    }
    return found
  }

  /// Waits until the credential needs a login.
  /// - Returns: the reason in `/api/credentials`.
  func waitForNeedsLogin(of name: String = "main") async throws -> String {
    var reason = ""
    try await process.waitWhileRunning("\(name) needs a login", within: .seconds(90)) {
      guard let credential = try await self.credential(name) else { return false }
      reason = credential["reason"]?.text ?? ""
      return credential["state"]?.text == "needs_login"
    }
    return reason
  }

  /// Every line that its starts have logged, oldest first.
  var allLogs: String {
    let names = TemporaryDirectory.names(in: directory.path).filter { $0.hasSuffix(".out") || $0.hasSuffix(".err") }
    return names.sorted().compactMap { TemporaryDirectory.read(directory.path($0)) }.joined()
  }

  /// Nothing that it wrote has a token or a secret in it. The servers' tokens are recognisable.
  func expectNoSecretsInOutputs(sourceLocation: SourceLocation = #_sourceLocation) {
    let logs = allLogs
    #expect(logs.contains("\"message\""), "no log at all", sourceLocation: sourceLocation)
    SecretMarks.expectNone(in: logs, sourceLocation: sourceLocation)
  }
}

/// Texts that stand in every token and secret of the servers under test, and nowhere else.
enum SecretMarks {
  static let all = ["made-up-", "vinid-at-", "vinid-rt-", "-refresh-token", "Bearer ", "Basic "]

  static func expectNone(in text: String, sourceLocation: SourceLocation = #_sourceLocation) {
    for mark in all { #expect(!text.contains(mark), "\(mark) stands in it", sourceLocation: sourceLocation) }
  }
}
