// `gateway serve`, `check` and `schema`: reads the configuration, says what is wrong with it, hands it to the server.
internal import ArgumentParser
internal import EventLoop
internal import FoundationEssentials
internal import Gateway
internal import TokenKit

struct GatewayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway",
    abstract: "A reverse proxy that puts bearer tokens on requests and keeps them fresh.",
    version: "gateway \(Version.text)",
    subcommands: [
      Serve.self, Check.self, Reload.self, Status.self, Refresh.self, Login.self, Schema.self,
    ])
}

struct ConfigurationOption: ParsableArguments {
  @Option(name: [.short, .long], help: "The configuration file.")
  var config = "gateway.json"

  /// Where `serve` reads the file again. Environment variables are those of the start.
  /// - Parameter unread: for a command that does not need the secrets.
  func source(_ unread: UnreadSecrets? = nil) -> ConfigurationSource {
    // Secrets are among what is read.
    Process.forbidDumps()
    let path = config
    let environment = ProcessInfo.processInfo.environment
    return ConfigurationSource(file: path) {
      ConfigurationLoader.load(path: path, registry: Registry.providers, environment: environment, unread: unread)
    }
  }

  /// The configuration; or everything that is wrong with it on standard error, and the end of the process.
  /// - Parameters:
  ///   - quietly: leaves warnings to others.
  ///   - code: of the end when the configuration is wrong.
  ///   - unread: for a command that does not need the secrets.
  func load(
    quietly: Bool = false, failingWith code: Int32 = 1, without unread: UnreadSecrets? = nil
  ) throws -> GatewayConfiguration {
    let problems: [SettingsProblem]
    let loaded: GatewayConfiguration?
    switch source(unread).read() {
    case .success(let result): (loaded, problems) = (result.configuration, result.warnings)
    case .failure(let invalid): (loaded, problems) = (nil, invalid.problems)
    }
    if loaded == nil || !quietly {
      for line in ProblemReport.excerpts(problems, file: config) { StandardError.write(line: line) }
    }
    if let loaded { return loaded }
    if let summary = ProblemReport.summary(problems) { StandardError.write(line: "\(config): \(summary)") }
    throw ExitCode(code)
  }
}

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve requests until SIGTERM or SIGINT, then drain.",
    discussion: """
      SIGHUP reads the configuration again. SIGUSR2 starts this program anew, as --replace does, so that another version \
      goes on without a request or a connection lost. SIGUSR1 opens the access log again.
      """)

  @OptionGroup var file: ConfigurationOption
  @Flag(help: "Take the place of the running gateway: its sockets first, then its store. Starts as usual if none runs.")
  var replace = false

  func run() throws {
    // Before anything may have changed what the program's file is.
    let environment = ProcessInfo.processInfo.environment
    let program = ProgramStart.replacing(arguments: CommandLine.arguments, environment: environment)
    let configuration = try file.load()
    do throws(StartFailure) {
      try GatewayServer.run(
        configuration, source: file.source(), environment: environment, replaces: replace, program: program)
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
    _ = try file.load()
    print("\(file.config) is fine")
  }
}

struct Schema: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the JSON Schema of the configuration file (draft 2020-12), for editors and validators.")

  @Flag(help: "Print the tables of docs/configuration.md instead.")
  var markdown = false

  func run() throws {
    print(
      markdown
        ? ConfigurationSchema.markdown(Registry.providers) : ConfigurationSchema.json(Registry.providers),
      terminator: "")
  }
}
