// The command line of the sandbox: flags to options, and signals to an end. All behaviour is in GatewayTesting.
internal import ArgumentParser
internal import EventLoop
internal import GatewayTesting
internal import Glibc
internal import TokenKit

@main
struct SandboxCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway-sandbox",
    abstract: "Plays the token APIs and the business APIs behind the gateway, on loopback.",
    discussion: """
      VinID (Ory Hydra in strict mode), MISA CUKCUK (JSON and XML) and a plain OAuth2 server, each with an upstream \
      that takes only the current access token of its API and answers with what it received. With the defaults it fits \
      the gateway.json at the top of the repository:

        token APIs  127.0.0.1:9100  /vinid/oauth2/token, /cukcuk/Authen/v2/RefreshToken, /oauth2/token
        upstreams   127.0.0.1:9101 (VinID), 9102 (CUKCUK), 9103 (OAuth2)
        control     127.0.0.1:9104 and 9100  /control  (GET it for a list)

      Upstream paths: /user-management/user-info (VinID), /api/v1/branchs/all (CUKCUK), and on each of them \
      /download/BYTES[?chunked], /upload, /slow/MS, /status/CODE, /events/COUNT[?ms=MS], /stall/BYTES[?seconds=S], \
      /early-401/…, /early-401-close/…; every other path echoes.

      The client id is sandbox-app (OAuth2: sandbox-client with sandbox-secret), the company code SANDBOX, the initial \
      refresh tokens are sandbox-vinid-refresh-token, sandbox-cukcuk-refresh-token and sandbox-oauth2-refresh-token. \
      They are good once, as with the real servers: a gateway keeps the successor in its store. Use --state to stop and \
      start the sandbox under a gateway that keeps its store; remove both files together to start afresh.

      When it listens it prints the addresses as one line of JSON.
      """)

  @Option(help: "The first of five consecutive ports: token APIs, VinID, CUKCUK, OAuth2, control. 0: free ones.")
  var portBase: UInt16 = 9100

  @Option(help: "The token APIs' port, if it is not the first.")
  var tokenPort: UInt16?

  @Option(help: "The port of VinID's upstream.")
  var vinidPort: UInt16?

  @Option(help: "The port of CUKCUK's upstream.")
  var cukcukPort: UInt16?

  @Option(help: "The port of the OAuth2 upstream.")
  var oauth2Port: UInt16?

  @Option(help: "The port that serves /control also while the token APIs are down.")
  var controlPort: UInt16?

  @Option(help: "A file that the state is kept in, so that a restart goes on with it.")
  var state: String?

  @Option(help: "How long access tokens live, such as 3s or 10m. (default: 1h)", transform: duration)
  var lifetime: Duration = .seconds(3600)

  @Option(help: "Waited before a token call is processed, such as 200ms.", transform: duration)
  var latency: Duration = .zero

  @Option(help: "Waited between the processing of a token call and its answer.", transform: duration)
  var answerLatency: Duration = .zero

  @Option(help: "How long VinID takes a refresh token that it has rotated already.", transform: duration)
  var grace: Duration = .zero

  @Flag(help: "VinID keeps the old access token good when it rotates.")
  var keepOldToken = false

  @Flag(help: "CUKCUK sends its JSON replies as text/html, as its page allows.")
  var repliesAsHTML = false

  @Option(
    help: ArgumentHelp(
      "API=KIND or API=KIND:COUNT: the first token calls go wrong. May be repeated.",
      discussion: "KIND is http_500, http_429, malformed, hang, read_and_close or lose_answer."))
  var fail: [String] = []

  func run() throws {
    var options = SandboxOptions()
    if portBase > 65531 { throw ValidationError("--port-base must leave room for five ports") }
    let port: (UInt16?, UInt16) -> UInt16 = { $0 ?? (portBase == 0 ? 0 : portBase + $1) }
    options.tokenPort = port(tokenPort, 0)
    options.vinidPort = port(vinidPort, 1)
    options.cukcukPort = port(cukcukPort, 2)
    options.oauth2Port = port(oauth2Port, 3)
    options.controlPort = port(controlPort, 4)
    options.stateFile = state
    options.setLifetime(lifetime)
    options.latencyBefore = latency
    options.latencyAfter = answerLatency
    options.vinid.rules.grace = grace
    options.vinid.rules.killsOldToken = !keepOldToken
    options.cukcuk.repliesAsHTML = repliesAsHTML
    options.reportProblem = { complain($0) }
    let faults = try fail.map(Self.fault)

    // Before the sandbox starts its thread, which inherits the mask.
    let ends = [SignalSource.terminate, SignalSource.interrupt]
    try SignalSource.block(ends)
    _ = Process.raiseDescriptorLimit()
    let sandbox: Sandbox
    do throws(SandboxError) {
      sandbox = try Sandbox(options)
    } catch {
      complain(error.description)
      throw ExitCode.failure
    }
    for (api, kind, count) in faults { sandbox.change(api) { $0.fail(kind, count: count) } }
    print(sandbox.addresses.json)
    fflush(nil)

    let loop = try EventLoop()
    let signals = try SignalSource(loop, ends) { [unowned loop] _ in loop.stop() }
    try loop.run()
    withExtendedLifetime((sandbox, signals)) {}
  }

  /// `vinid=http_500:3`
  private static func fault(_ text: String) throws -> (SandboxAPI, TokenFault, Int) {
    let parts = text.split(separator: "=", maxSplits: 1)
    let kind = parts.count == 2 ? parts[1].split(separator: ":", maxSplits: 1) : []
    guard let api = parts.first.flatMap({ SandboxAPI(rawValue: String($0)) }),
      let fault = kind.first.flatMap({ TokenFault(rawValue: String($0)) }),
      let count = kind.count == 2 ? Int(kind[1]) : 1, count > 0
    else { throw ValidationError("--fail \(text) is not API=KIND or API=KIND:COUNT; see --help") }
    return (api, fault, count)
  }
}

private func duration(_ text: String) throws -> Duration {
  guard let duration = SettingsUnits.duration(text) else {
    throw ValidationError("\"\(text)\" is not a duration such as 500ms, 3s or 10m")
  }
  return duration
}

private func complain(_ text: String) {
  let line = Array("gateway-sandbox: \(text)\n".utf8)
  // Safety: the buffer is read within the call only. There is nowhere to say that standard error is gone.
  _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
}
