// What is wrong, in words for a person who was just woken: what, and what to do.
internal import TokenKit

/// Something that somebody should look at.
struct StatusProblem {
  /// Raw values stand in snapshots.
  enum Level: String {
    /// It will come to failing requests, or a few fail.
    case warning
    /// Requests fail, or tokens may be lost.
    case critical
  }

  var level: Level
  /// One sentence.
  var text: String
  /// One sentence: what to do.
  var action: String
  /// To be typed into a shell.
  var command: String?
  /// The credential or the route that it is about; empty: the gateway.
  var subject = ""

  func write(_ json: inout SnapshotWriter) {
    json.member("level", level.rawValue)
    json.member("text", text)
    json.member("action", action)
    if let command { json.member("command", command) }
    if !subject.isEmpty { json.member("subject", subject) }
  }

  /// Names are letters, digits, `_`, `.` and `-`: a shell takes them as they are.
  static func loginCommand(_ credential: String) -> String {
    "gateway login \(credential.hasPrefix("-") ? "-- " : "")\(credential)"
  }
}

/// What is found while a snapshot is made, the worst first.
struct StatusProblems {
  /// So many of each level are told; the rest is counted.
  private static let told = 20

  private var critical: [StatusProblem] = []
  private var warnings: [StatusProblem] = []
  private(set) var criticalCount = 0
  private(set) var count = 0

  mutating func add(_ problem: StatusProblem?) {
    guard let problem else { return }
    count += 1
    if problem.level == .critical {
      criticalCount += 1
      if critical.count < Self.told { critical.append(problem) }
    } else if warnings.count < Self.told {
      warnings.append(problem)
    }
  }

  /// What a person has to do by hand comes before what may end by itself.
  var all: ArraySlice<StatusProblem> {
    let byHand = { (problem: StatusProblem) in problem.command != nil }
    let sorted = [critical, warnings].flatMap { $0.filter(byHand) + $0.filter { !byHand($0) } }
    return sorted.prefix(Self.told)
  }
}

extension StatusProblem {
  /// The worst about a credential; nil: it is as it should be.
  /// - Parameters:
  ///   - parked: requests that wait for it.
  ///   - last: a refresh that goes on does not make a failure good.
  static func of(_ status: CredentialStatus, parked: Int, last: LastRefresh?) -> StatusProblem? {
    let name = status.name
    let failed = last?.isSuccess == false ? last?.code : nil
    let code = (status.failure?.code ?? failed).map { $0.isEmpty ? "" : " (\($0))" } ?? ""
    let waiting = parked == 0 ? "" : parked == 1 ? "; a request waits for it" : "; \(parked) requests wait for it"
    let level: Level = status.isServing ? .warning : .critical
    // What has become of requests, as the end of a sentence.
    let effect = status.isServing ? "; its token serves to its end" : "; requests with it fail\(waiting)"
    func problem(
      _ level: Level, _ text: String, _ action: String, command: String? = nil
    ) -> StatusProblem {
      StatusProblem(level: level, text: text, action: action, command: command, subject: name)
    }
    switch status.state {
    case .needsLogin:
      // Also while its token serves: nothing but a person ends it.
      return problem(
        .critical, "\(name) needs a login: \(loginReason(status))\(code)\(effect).", "Log in with",
        command: loginCommand(name))
    case .misconfigured:
      return problem(
        level, "The token endpoint refuses the configuration of \(name)\(code)\(effect).",
        "Check its client_id, client_secret and token_url in gateway.json, then refresh it.")
    case .backingOff, .refreshing:
      if status.state == .refreshing, failed == nil || status.isServing { break }
      return problem(
        level, "\(name) gets no new token: its token endpoint can't be reached or refuses for now\(code)\(effect).",
        "Check that this machine reaches the token endpoint; the next attempt comes by itself.")
    case .waitingForStore where status.failure != nil || !status.isServing:
      return problem(
        status.alarms.contains(.pairNotStored) ? .critical : level, "\(name) waits for the store\(effect).",
        "Check the store's disk or database; do not stop the gateway before: newer tokens may be in memory only.")
    case .rateLimited where !status.isServing:
      return problem(
        .critical, "\(name) waits for its turn at the token host\(code)\(effect).",
        "Its turn comes by itself; if that takes long, look at limits.token_calls_per_host and at who else calls it.")
    case .starting, .ready, .idle, .rateLimited, .waitingForStore, .stopped: break
    }
    if status.alarms.contains(.pairNotStored) {
      return problem(
        .critical, "The newest tokens of \(name) are in memory only: the store does not take them.",
        "Check the store's disk or database; do not stop the gateway before.")
    }
    if status.alarms.contains(.markNotWritten) {
      return problem(
        .warning, "The store does not take what is to be written before \(name) is refreshed.",
        "Check the store's disk or database.")
    }
    if status.alarms.contains(.refreshTokenEnding) {
      return problem(
        .warning, "The refresh token of \(name) comes to its end.", "Log in again before that with",
        command: loginCommand(name))
    }
    if let failure = status.failure, !status.isServing {
      return problem(
        .critical, "\(name) has no token: \(failure.text)\(code)\(waiting).",
        "Look for its name in the log; the next attempt comes by itself.")
    }
    return nil
  }

  private static func loginReason(_ status: CredentialStatus) -> String {
    switch status.failure?.needsLogin {
    case .lostReply: "the answer to its last refresh was lost, and the old refresh token is dead"
    case .noRefreshToken: "there is no refresh token"
    case .seedSpent: "the configured refresh token was used before"
    case .rejected, nil: "its refresh token is not accepted"
    }
  }

  /// About a route: a tenth or more of its last minute's requests failed, and not just one.
  static func of(route name: String, credential: String, _ figures: RequestFigures) -> StatusProblem? {
    guard figures.failures >= 3, figures.failures * 10 >= figures.count else { return nil }
    let share = "\(figures.failures) of \(figures.count) requests in the last minute"
    let cause = figures.reason.map { " (mostly \($0.0.label))" } ?? ""
    let action =
      switch figures.reason?.0.source {
      case .tokenEndpoint: credential.isEmpty ? "Look at its credential." : "Look at the credential \(credential)."
      case .upstream: "Check that its upstream runs and can be reached from here."
      case .internal: "Look at limits in gateway.json and at the load."
      case .downstream, nil: "Look at the upstream's own log: these are its answers."
      }
    return StatusProblem(
      level: figures.failures * 2 >= figures.count ? .critical : .warning,
      text: "\(name.isEmpty ? "Without a route" : "Route \(name)"): \(share) failed\(cause).", action: action,
      subject: name)
  }

  /// About an upstream server.
  static func avoided(upstream name: String, loops: UInt64) -> StatusProblem? {
    if loops == 0 { return nil }
    return StatusProblem(
      level: .warning, text: "The upstream \(name) does not take connections and is left alone for a while.",
      action: "Check that it runs and can be reached from here.")
  }
}
