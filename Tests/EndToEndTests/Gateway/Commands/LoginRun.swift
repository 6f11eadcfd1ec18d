// `gateway login` with somebody at the browser: django-oauth-toolkit's own pages, walked through by a script.
import GatewayTesting
import Testing
import TokenKit

/// One login. What it prints is looked through for secrets at its end.
struct LoginRun {
  static let callback = "https://app.example/callback"

  private let process: ChildProcess
  private let directory: TemporaryDirectory
  /// What is pasted; complete when there is another file beside it.
  private let answerFile: String

  /// Starts the command and waits until it has printed the address.
  init(
    _ gateway: GatewayUnderTest, _ name: String = "main", _ options: [String] = [], environment: [String: String] = [:]
  ) throws {
    directory = gateway.directory
    answerFile = try directory.write("answer-\(UInt32.random(in: .min ... .max))", "")
    // The pipeline's exit is that of the gateway.
    let script = "(while [ ! -e \"$0.done\" ]; do sleep 0.05; done; cat \"$0\") | \"$@\""
    process = try ChildProcess(
      "sh",
      ["-c", script, answerFile, try Products.path("gateway"), "login", name, "--config", gateway.configurationPath]
        + options,
      environment: ChildProcess.environment(adding: environment), directory: directory,
      name: "login-\(UInt32.random(in: .min ... .max))")
  }

  /// The address that the person is to open.
  func url() async throws -> String {
    let line = try await process.waitForLine(containing: "response_type=code", within: .seconds(60))
    return String(line.drop { $0 == " " })
  }

  /// Logs in at the server's pages.
  /// - Returns: where the server sends the browser, and what is found there if it goes on.
  func browse(denying: Bool = false, following: Bool = false) async throws -> (address: String, page: String) {
    let options = (denying ? ["--deny"] : []) + (following ? ["--follow"] : [])
    let (exit, output, errors) = try await PythonPeer.run(
      "TokenServer/authorize.py", options + [try await url()], in: directory)
    try #require(exit == .code(0), "\(errors)")
    let lines = output.split(separator: "\n", maxSplits: 1)
    return (String(lines.first ?? ""), lines.count > 1 ? String(lines[1]) : "")
  }

  /// What it has said of its failure so far.
  var errors: String { process.errors }

  /// Waits for the end.
  /// - Parameter pasted: what the person types before it; nil: nothing, and standard input ends.
  func end(pasting pasted: String? = nil) async throws -> (exit: ChildExit, output: String, errors: String) {
    let name = String(answerFile.dropFirst(directory.path.utf8.count + 1))
    if let pasted { try directory.write(name, pasted + "\n") }
    try directory.write(name + ".done", "")
    let exit = try await process.waitForExit(within: .seconds(120))
    let (output, errors) = (process.output, process.errors)
    SecretMarks.expectNone(in: output + errors)
    return (exit, output, errors)
  }
}
