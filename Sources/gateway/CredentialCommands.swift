// `gateway reload`, `status`, `refresh` and `login`: what people do with a running gateway, and with credentials also if
// none runs.
internal import ArgumentParser
internal import EventLoop
internal import Gateway
internal import TokenKit

struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check the configuration, have the running gateway take it, and say what has changed.",
    discussion: """
      A wrong file is not sent, and one that the gateway refuses leaves the old configuration in force. Secrets that the \
      command can't read, but the gateway can, do no harm.
      Exit code 0: it is in force. 1: it is wrong, or was refused; all problems stand on standard error. 2: the gateway \
      could not be asked.
      """)

  @OptionGroup var file: ConfigurationOption
  @Option(
    help: "The running gateway's process: it gets SIGHUP where admin.token is new to it, or can't be read here.",
    transform: Reload.process) var pid: Int32?

  func run() throws {
    let unread = UnreadSecrets()
    let configuration = try file.load(quietly: true, without: unread)
    try end(ReloadCommand.run(configuration, without: unread, file: file.config, process: pid))
  }

  private static func process(_ text: String) throws -> Int32 {
    if let number = Int32(text), number > 1 { return number }
    throw ValidationError("it is the number of a process")
  }
}

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show how the credentials are: as the running gateway says, or its store if none runs.",
    discussion: """
      Exit code 0: all is well. 1: something is wrong with a credential. 2: nobody could be asked.
      """)

  @OptionGroup var file: ConfigurationOption
  @Flag(help: "Print JSON instead of a table.") var json = false

  func run() throws {
    try end(StatusCommand.run(try file.load(quietly: true, failingWith: 2), file: file.config, asJSON: json))
  }
}

struct Refresh: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Get a new token now, also for a credential that needs a login or is misconfigured.",
    discussion: """
      Exit code 0: refreshed. 1: it was not. 2: nobody could be asked.
      """)

  @OptionGroup var file: ConfigurationOption
  @Argument(help: "The credential's name in the configuration.") var name: String

  func run() throws { try end(RefreshCommand.run(try file.load(quietly: true, failingWith: 2), name: name)) }
}

struct Login: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Log in by browser, and give the new tokens to the running gateway, or into its store if none runs.",
    discussion: """
      Prints an address to open. If redirect_uri is on this machine (http://127.0.0.1:PORT/...), the answer comes by itself;
      else, or with --paste, the address of the page that the browser ends on is read from standard input.
      Exit code 0: logged in. 1: it failed. 2: gateway and store can't be reached.
      """)

  @OptionGroup var file: ConfigurationOption
  @Argument(help: "The credential's name in the configuration.") var name: String
  @Flag(help: "Read the answer from standard input, also if redirect_uri is on this machine.") var paste = false
  @Option(help: "How long to wait for the answer, such as 90s or 10m.", transform: Login.duration) var timeout =
    LoginOptions().timeout

  func run() throws {
    let options = LoginOptions(pastes: paste, timeout: timeout)
    try end(LoginCommand.run(try file.load(quietly: true, failingWith: 2), name: name, options))
  }

  private static func duration(_ text: String) throws -> Duration {
    if let duration = SettingsUnits.duration(text), duration > .zero, duration <= .seconds(86_400) { return duration }
    throw ValidationError("write it as 90s or 10m, at most 24h")
  }
}

/// Prints what a command came to, and ends with its code.
private func end(_ result: CommandResult) throws {
  for line in result.errors { StandardError.write(line: line) }
  if !result.output.isEmpty { print(result.output, terminator: "") }
  if result.code != 0 { throw ExitCode(result.code) }
}
