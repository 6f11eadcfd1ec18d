// `gateway serve` and `gateway check`: reads the configuration, says what is wrong with it, hands it to the server.
internal import ArgumentParser
internal import EventLoop
internal import Gateway
internal import TokenKit

struct GatewayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway",
    abstract: "A reverse proxy that puts bearer tokens on requests and keeps them fresh.",
    version: "gateway \(Version.text)", subcommands: [Serve.self, Check.self])
}

struct ConfigurationOption: ParsableArguments {
  @Option(name: [.short, .long], help: "The configuration file.")
  var config = "gateway.json"

  /// The configuration, or everything that is wrong with it on standard error and the end of the process.
  func load() throws -> (configuration: GatewayConfiguration, warnings: [SettingsProblem]) {
    switch ConfigurationLoader.load(path: config, registry: Registry.providers) {
    case .success(let loaded): return (loaded.configuration, loaded.warnings)
    case .failure(let problems):
      StandardError.write(line: ProblemReport.render(problems.all, file: config))
      throw ExitCode(1)
    }
  }
}

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve requests until SIGTERM or SIGINT, then drain.")

  @OptionGroup var file: ConfigurationOption

  func run() throws {
    let (configuration, warnings) = try file.load()
    if !warnings.isEmpty { StandardError.write(line: ProblemReport.render(warnings, file: file.config)) }
    do throws(StartFailure) {
      try GatewayServer.run(configuration)
    } catch {
      StandardError.write(line: "gateway: \(error)")
      throw ExitCode(1)
    }
  }
}

struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say everything that is wrong with the configuration, each with its place.")

  @OptionGroup var file: ConfigurationOption

  func run() throws {
    let (_, warnings) = try file.load()
    if !warnings.isEmpty { StandardError.write(line: ProblemReport.render(warnings, file: file.config)) }
    print("\(file.config) is fine")
  }
}
