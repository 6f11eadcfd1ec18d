// gateway.json: any text is read to its end, and everything that is wrong with it is shown with its place in the file,
// on lines that a terminal can take, without a secret.
internal import FoundationEssentials
@testable internal import Gateway
internal import MisaCukcukProvider
internal import OAuth2Provider
internal import TokenKit
internal import VinIDProvider

enum ConfigurationTarget {
  private static let registry = ProviderRegistry([VinIDProvider.self, MisaCukcukProvider.self, OAuth2Provider.self])
  private static let secret = "a-secret-out-of-the-environment"

  static func run(_ input: [UInt8]) {
    let problems: [SettingsProblem]
    let result = ConfigurationLoader.read(
      input, directory: "/nonexistent", registry: registry, environment: ["SECRET": secret])
    switch result {
    case .success(let loaded):
      problems = loaded.warnings
      require(problems.allSatisfy { $0.severity == .warning }, "a configuration with errors")
      requireUsable(loaded.configuration)
    case .failure(let invalid):
      problems = invalid.problems
      require(problems.contains { $0.severity == .error }, "refused without an error")
    }
    requirePlaces(problems, input)
    for line in ProblemReport.lines(problems, file: "gateway.json") {
      require(!line.utf8.contains { $0 < 0x20 || $0 == 0x7f }, "a line with a control character")
      require(!line.contains(secret), "a secret is shown")
    }
  }

  /// A place is in the text. Only what is not in the text at all has none: the document itself, or a key that is missing
  /// at its top.
  private static func requirePlaces(_ problems: [SettingsProblem], _ input: [UInt8]) {
    let lines = input.split(separator: 0x0a, omittingEmptySubsequences: false)
    let document = try? JSONText.parse(input, problems: SettingsProblems())
    if document != nil { requireJSON(input) }
    for problem in problems {
      guard let position = problem.position else {
        let top = problem.path.prefix { $0 != "." && $0 != "[" }
        require(document?.position(of: String(top)) == nil, "\(problem.path) has no place")
        require(document != nil, "an error in the text without a place")
        continue
      }
      require(position.line >= 1 && position.line <= lines.count, "line \(position.line) of \(lines.count)")
      let columns = lines[position.line - 1].count { $0 & 0xc0 != 0x80 }
      require(position.column >= 1 && position.column <= columns + 1, "column \(position.column) of \(columns)")
    }
  }

  /// The text is JSON to another parser as well. Numbers too small for a Double are 0 to us and an error to Foundation;
  /// RFC 8259 §6 leaves that open.
  private static func requireJSON(_ input: [UInt8]) {
    do {
      _ = try JSONDecoder().decode(AnyJSON.self, from: Data(input))
    } catch {
      require(false, "JSON to us only: \(error)")
    }
  }

  private static func requireUsable(_ configuration: GatewayConfiguration) {
    require(!configuration.listeners.isEmpty && !configuration.routes.isEmpty, "a gateway that does nothing")
    for route in configuration.routes {
      if let credential = route.credential {
        require(configuration.credentials.indices.contains(credential), "a route with a credential that is not there")
      }
    }
  }
}

/// Visits every value and keeps none.
private struct AnyJSON: Decodable {
  private struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  init(from decoder: any Decoder) throws {
    if var elements = try? decoder.unkeyedContainer() {
      while !elements.isAtEnd { _ = try elements.decode(AnyJSON.self) }
    } else if let members = try? decoder.container(keyedBy: Key.self) {
      for key in members.allKeys { _ = try members.decode(AnyJSON.self, forKey: key) }
    } else {
      try Self.visit(try decoder.singleValueContainer())
    }
  }

  private static func visit(_ scalar: any SingleValueDecodingContainer) throws {
    if scalar.decodeNil() { return }
    do {
      _ = try scalar.decode(Double.self)
    } catch DecodingError.typeMismatch {
      if (try? scalar.decode(Bool.self)) == nil { _ = try scalar.decode(String.self) }
    } catch  where String(describing: error).contains("numberIsNotRepresentable") {
      return
    }
  }
}
