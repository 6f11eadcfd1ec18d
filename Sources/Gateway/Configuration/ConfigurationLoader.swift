// From a configuration file to a snapshot, or to everything that is wrong with it. `serve` and `check` call it.
package import TokenKit

/// A configuration that can be used, with what deserves a second look.
package struct LoadedConfiguration: Sendable {
  package var configuration: GatewayConfiguration
  /// In the order of the file.
  package var warnings: [SettingsProblem]
  /// An error at a JSON path, with its place in the file: for what only shows later.
  package var problem: @Sendable (_ path: String, _ message: String) -> SettingsProblem
}

/// A configuration that can't be used.
package struct InvalidConfiguration: Error, Sendable {
  /// Errors and warnings in the order of the file; at least one error.
  package var problems: [SettingsProblem]
}

package enum ConfigurationLoader {
  private static let largestFile = 512 << 20

  /// Reads a file. Relative paths in it count from its own directory. Blocking.
  /// - Parameters:
  ///   - environment: for `{"env": …}`.
  ///   - unread: for who does not need the secrets: those that can't be read here; nil: that is an error.
  package static func load(
    path: String, registry: ProviderRegistry, environment: [String: String], unread: UnreadSecrets? = nil
  ) -> Result<LoadedConfiguration, InvalidConfiguration> {
    do {
      let file = try SystemFile.read(path, limit: largestFile)
      let absolute = SystemFile.absolute(path)
      let directory = SystemFile.directory(of: absolute)
      let name = absolute.split(separator: "/").last.map(String.init) ?? "gateway.json"
      return read(
        file.bytes, name: name, directory: directory, registry: registry, environment: environment, unread: unread)
    } catch {
      return .failure(InvalidConfiguration(problems: [SettingsProblem(path: "", message: "the file \(error.message)")]))
    }
  }

  /// Reads a file's content.
  package static func read(
    _ text: [UInt8], name: String = "gateway.json", directory: String, registry: ProviderRegistry,
    environment: [String: String], unread: UnreadSecrets? = nil
  ) -> Result<LoadedConfiguration, InvalidConfiguration> {
    let problems = SettingsProblems()
    let settings = ConfigurationReader.settings(registry)
    let document: JSONDocument
    do {
      document = try JSONText.parse(text, deferring: "credentials", problems: problems)
    } catch {
      problems.add(SettingsProblem(path: "", message: error.message, position: error.position))
      let quote = SourceQuote(text, settings: settings, brokenAt: error.position)
      return .failure(InvalidConfiguration(problems: quote.added(to: ProblemReport.sorted(problems.all))))
    }
    guard case .object(let members) = document.value else {
      let problem = SettingsProblem(
        path: "", message: "must be a JSON object, not \(document.value.kind)", position: document.position(of: ""))
      let quote = SourceQuote(text, settings: settings)
      return .failure(InvalidConfiguration(problems: quote.added(to: [problem])))
    }
    let reader = ConfigurationReader(
      name: name, directory: directory, registry: registry, environment: environment, problems: problems,
      settings: settings, unread: unread)
    let configuration = reader.read(members, credentials: document.deferredValues)
    let places = problems.all.isEmpty ? nil : document.places(of: problems.all.map(\.path))
    let all = ProblemReport.sorted(
      problems.all.map { problem in
        var problem = problem
        if problem.position == nil { problem.position = places?.position(of: problem.path) }
        return problem
      })
    let quoted = all.isEmpty ? [] : SourceQuote(text, settings: settings).added(to: all)
    if all.contains(where: { $0.severity == .error }) { return .failure(InvalidConfiguration(problems: quoted)) }
    return .success(
      LoadedConfiguration(configuration: configuration, warnings: quoted) { path, message in
        let position = document.places(of: [path]).position(of: path)
        let problem = SettingsProblem(path: path, message: message, position: position)
        return SourceQuote(text, settings: settings).added(to: [problem]).first ?? problem
      })
  }
}
