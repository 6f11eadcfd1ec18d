// What a snapshot says of the gateway as a whole: its headline, the process, the store.
internal import EventLoop
internal import TokenKit
internal import TokenService

extension StatusReport {
  /// What is wrong with none of the listed things in particular.
  var generalProblems: [StatusProblem] {
    var problems: [StatusProblem] = []
    if metrics.credentialCounters.isStoreAway {
      problems.append(
        StatusProblem(
          level: .critical, text: "The store is away: leases serve to their end, and nothing is refreshed.",
          action:
            "Check the database and the way to it; do not stop the gateway before: newer tokens may be in memory only.")
      )
    }
    if let lastReload, !lastReload.isTaken {
      problems.append(
        StatusProblem(
          level: .warning,
          text: "The last reload was refused, the configuration before it is in force: \(lastReload.problem)",
          action: "Correct the file, look at it with", command: "gateway check"))
    }
    if let replacementFailure {
      problems.append(
        StatusProblem(
          level: .warning,
          text: "Another process was to take this one's place, which goes on instead: \(replacementFailure).",
          action: "The log has the new process's own words too. Correct that, and try again."))
    }
    if counters.now.lateLoops > 0 {
      problems.append(
        StatusProblem(
          level: .warning, text: "\(counters.now.lateLoops) data loops did not answer within a second.",
          action: "See whether the machine is overloaded or stands still."))
    }
    if let dropped = counters.growth({ $0[.accessLogDropped] }), dropped > 0 {
      problems.append(
        StatusProblem(
          level: .warning, text: "\(dropped) lines of the access log were lost in the last minute.",
          action: "Look at its disk, or at who reads its pipe."))
    }
    if let open = metrics.process.openDescriptors, let most = metrics.process.maximumDescriptors, open * 10 >= most * 9
    {
      problems.append(
        StatusProblem(
          level: .warning, text: "\(open) of \(most) file descriptors are in use.",
          action: "Raise the limit of open files, or lower limits.connections."))
    }
    return problems
  }

  /// The snapshot's last members, when everything else was looked at.
  func writeSummary(
    _ figures: RequestFigures, _ problems: StatusProblems, _ serving: (healthy: Int, all: Int),
    _ json: inout SnapshotWriter
  ) {
    json.object("headline") { headline(figures, problems, serving.all, &$0) }
    json.open("[", "problems")
    for problem in problems.all { json.object { problem.write(&$0) } }
    json.close("]")
    json.member("problem_count", Int64(problems.count))
    json.object("totals") { json in
      figures.write(&json)
      json.member("in_flight", counters.now.inFlight)
      json.member("parked", Int64((0..<credentialCount).reduce(0) { $0 + max(0, metrics.leases.parked($1)) }))
      json.member("credentials", Int64(serving.all))
      json.member("healthy_credentials", Int64(serving.healthy))
    }
    json.object("store") { json in
      json.member("up", !metrics.credentialCounters.isStoreAway)
      json.member("pending", Int64(metrics.storeOperations))
      json.member("failures", metrics.credentialCounters.storeFailures.values.reduce(0, &+))
    }
    json.object("process") { json in
      json.member("version", Version.text)
      if let started = metrics.process.started {
        json.member("uptime_ms", max(0, metrics.now.boot.nanoseconds - started) / 1_000_000)
      }
      if let bytes = metrics.process.residentBytes { json.member("memory_bytes", bytes) }
      if let open = metrics.process.openDescriptors { json.member("descriptors", open) }
      if let most = metrics.process.maximumDescriptors { json.member("most_descriptors", most) }
      json.member("loops", Int64(counters.now.loops.count))
      json.member("longest_turn_ms", rounded: longestTurn / 1e6)
      json.member("access_log_dropped", counters.now[.accessLogDropped])
    }
    if let lastReload {
      json.object("reload") { json in
        json.member("time", lastReload.time.milliseconds)
        json.member("taken", lastReload.isTaken)
        if !lastReload.problem.isEmpty { json.member("problem", lastReload.problem) }
      }
    }
  }

  /// Nanoseconds; of all loops, in the last half to whole minute.
  private var longestTurn: Double {
    var control = metrics.controlTiming
    var longest = control.longest(at: metrics.now.boot.nanoseconds)
    for case var state? in counters.now.loops { longest = max(longest, state.timing.longest(at: state.time)) }
    return Double(longest)
  }

  /// Whether all is well, in one sentence, else the worst that is wrong and what to do.
  private func headline(
    _ figures: RequestFigures, _ problems: StatusProblems, _ credentialCount: Int, _ json: inout SnapshotWriter
  ) {
    if phase != .serving {
      json.member("level", "warning")
      json.member(
        "text",
        phase == .starting
          ? "The gateway is starting: it reads its store." : "The gateway is stopping: it finishes what is going on.")
      json.member("action", phase == .starting ? "Wait a moment." : "New requests go to whoever takes its place.")
      return
    }
    if let worst = problems.all.first {
      let others = problems.count - 1
      json.member("level", worst.level.rawValue)
      json.member("text", worst.text)
      json.member("action", worst.action)
      if let command = worst.command { json.member("command", command) }
      if others > 0 { json.member("others", Int64(others)) }
      return
    }
    json.member("level", "ok")
    let credentials =
      credentialCount == 0
      ? "there are no credentials"
      : credentialCount == 1 ? "the credential serves" : "all \(credentialCount) credentials serve"
    guard let span = counters.span else { return json.member("text", "All is well: \(credentials).") }
    let failures =
      figures.failures == 0 ? "no request failed" : "\(figures.failures) of \(figures.count) requests failed"
    let seconds = max(1, span / 1_000_000_000)
    let window = seconds >= 50 ? "minute" : seconds == 1 ? "second" : "\(seconds) seconds"
    json.member("text", "All is well: \(credentials), and \(failures) in the last \(window).")
  }
}
