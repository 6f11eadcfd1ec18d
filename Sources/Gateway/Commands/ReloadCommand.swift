// `gateway reload`: the running gateway reads its file again, and what comes of it is told here.
internal import EventLoop
internal import Glibc
internal import TokenKit
internal import TokenService

package enum ReloadCommand {
  /// Longer than the gateway itself waits with its answer.
  private static let patience = Duration.seconds(70)
  /// - Parameters:
  ///   - configuration: as it is in the file now, which says where the gateway is.
  ///   - unread: secrets of it that stand for others: the gateway judges them.
  ///   - file: its path as it was given.
  ///   - process: the gateway's, for a file whose `admin.token` is new to it or can't be read; nil: that is an error.
  package static func run(
    _ configuration: GatewayConfiguration, without unread: UnreadSecrets, file: String, process: Int32?
  ) -> CommandResult {
    Process.ignoreBrokenPipes()
    do throws(CommandFailure) {
      let client = try AdminClient(configuration)
      do throws(AdminCallFailure) {
        if unread.paths.contains("admin.token") {
          if let process { return try bySignal(client, process, file) }
          throw .failed("admin.token can't be read here: give --pid, or send SIGHUP to the gateway")
        }
        let known = try client.call("GET", "/api/reload")
        if known.status == 401, let process { return try bySignal(client, process, file) }
        try expectSameFile(client, known, file)
        let reply = try client.call("POST", "/api/reload", body: Secret("{}"), within: patience)
        return try result(client, reply)
      } catch {
        switch error {
        case .notRunning: throw .unasked("none runs at \(client.address): there is nothing to reload")
        case .failed(let message): throw .unasked(message)
        }
      }
    } catch {
      return error.result
    }
  }

  // MARK: The answers

  private struct Record: Decodable {
    struct Problem: Decodable {
      var severity: String
      var path: String
      var message: String
      var line: Int?
      var column: Int?
      var excerpt: [String]?
    }
    var result: String
    var time: String?
    var took_ms: Int?
    var file: String?
    var problems: [Problem]?
    var changes: ConfigurationChanges?
  }

  private struct Known: Decodable {
    var file: String
    var last: Record?
  }

  /// What was checked here must be what the gateway reads, as far as that can be seen from here.
  private static func expectSameFile(
    _ client: AdminClient, _ reply: AdminReply, _ file: String
  ) throws(AdminCallFailure) {
    try client.expectAccess(reply)
    guard reply.status == 200, let known = JSONReply.decode(Known.self, from: reply.body[...]) else {
      throw client.strange
    }
    if SystemFile.isSameFile(known.file, file) == false {
      throw .failed(
        "the gateway at \(client.address) was started with \(Printable.text(known.file)), which is another file: "
          + "nothing was sent")
    }
  }

  private static func result(_ client: AdminClient, _ reply: AdminReply) throws(AdminCallFailure) -> CommandResult {
    try client.expectAccess(reply)
    guard let record = JSONReply.decode(Record.self, from: reply.body[...]) else {
      throw .failed("the gateway at \(client.address) answers with status \(reply.status)")
    }
    return result(record)
  }

  private static func result(_ record: Record) -> CommandResult {
    let file = Printable.text(record.file ?? "")
    let problems = (record.problems ?? []).map { problem in
      var shown = SettingsProblem(
        path: problem.path, message: problem.message, severity: problem.severity == "warning" ? .warning : .error,
        position: problem.line.map { SettingsPosition(line: $0, column: problem.column ?? 1) })
      shown.excerpt = (problem.excerpt ?? []).map { Printable.text($0, limit: 1000) }
      return shown
    }
    let lines = ProblemReport.excerpts(problems, file: file)
    switch record.result {
    case "success":
      let changes = record.changes?.lines ?? []
      let time = record.took_ms.map { " after \($0) ms" } ?? ""
      let what = changes.isEmpty ? "; nothing in it has changed" : ":"
      let text = (["\(file) is in force\(time)\(what)"] + changes.map { "  \($0)" }).map { $0 + "\n" }.joined()
      return CommandResult(code: 0, output: text, errors: lines)
    case "refused":
      return CommandResult(
        code: 1, errors: lines + ["gateway: the running gateway refused \(file), and goes on as before"])
    default:
      return CommandFailure.refused("the reload takes its time; the gateway's log says what comes of it").result
    }
  }

  // MARK: Without a token that the gateway knows

  private struct Health: Decodable {
    struct Reloads: Decodable {
      var success: UInt64
      var refused: UInt64
    }
    var reloads: Reloads
  }

  private static func counts(_ client: AdminClient) throws(AdminCallFailure) -> Health.Reloads {
    let reply = try client.call("GET", "/healthz")
    guard let health = JSONReply.decode(Health.self, from: reply.body[...]) else { throw client.strange }
    return health.reloads
  }

  private static func bySignal(
    _ client: AdminClient, _ process: Int32, _ file: String
  ) throws(AdminCallFailure) -> CommandResult {
    let clock = SystemClock()
    let begun = clock.now.boot
    let before = try counts(client)
    guard kill(process, SIGHUP) == 0 else { throw .failed("process \(process) can't be sent SIGHUP: error \(errno)") }
    var after = before
    while after.success + after.refused == before.success + before.refused {
      if clock.now.boot - begun > patience {
        throw .failed("process \(process) has got SIGHUP, and the gateway at \(client.address) does not reload")
      }
      usleep(20_000)
      after = try counts(client)
    }
    // Whoever has a token that the gateway takes now is told more.
    let known = try client.call("GET", "/api/reload")
    if known.status == 200, let last = JSONReply.decode(Known.self, from: known.body[...])?.last { return result(last) }
    if after.success > before.success {
      return CommandResult(
        code: 0, output: "\(Printable.text(file)) is in force; the gateway's log says what has changed\n")
    }
    return CommandFailure.refused(
      "the running gateway refused \(Printable.text(file)), as its log tells, and goes on as before"
    ).result
  }
}
