// All that a snapshot of the status page is made from, at one moment, and how its parts are written.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// What came of the last reload of the configuration.
struct LastReload {
  var time: WallTime
  /// The new configuration is in force; else an older one still is.
  var isTaken: Bool
  /// What was wrong, for people; empty: nothing.
  var problem: String
}

/// A value of the control loop. Nothing of it is a secret.
struct StatusReport {
  /// Raw values stand in snapshots.
  enum Phase: String { case starting, serving, draining }

  let metrics: MetricsReport
  let counters: StatusCounters
  let phase: Phase
  let refreshes: RefreshHistory
  /// nil: there was none.
  let lastReload: LastReload?
  /// Why the last replacement of this process came to nothing; nil: it is long ago, or there was none.
  var replacementFailure: String?

  /// Those that a reload has taken away included.
  /// Those that a reload adds while this report is written come with the next one.
  var credentialCount: Int { min(metrics.manager?.count ?? 0, metrics.leases.count) }

  /// - Returns: what is wrong with it; nil when a reload has taken it away.
  func writeCredential(_ index: Int, _ json: inout SnapshotWriter) -> (isHealthy: Bool, StatusProblem?)? {
    guard let status = metrics.manager?.status(of: index, at: metrics.now) else { return nil }
    let parked = max(0, metrics.leases.parked(index))
    let last = refreshes.last(of: status.name)
    let problem = StatusProblem.of(status, parked: parked, last: last)
    json.object { json in
      json.member("name", status.name)
      json.member("state", status.state.rawValue)
      json.member("serving", status.isServing)
      if let problem { json.member("level", problem.level.rawValue) }
      if let failure = status.failure {
        json.member("reason", failure.text)
        if !failure.code.isEmpty { json.member("code", failure.code) }
      }
      if status.state == .needsLogin || status.alarms.contains(.refreshTokenEnding) {
        json.member("command", StatusProblem.loginCommand(status.name))
      }
      if let generation = status.generation { json.member("generation", generation) }
      time("expires", status.expires, &json)
      if let lifetime = status.lifetime { json.member("lifetime_ms", lifetime.nanoseconds / 1_000_000) }
      time("next_attempt", status.nextAttempt, &json)
      time("refresh_token_end", status.refreshTokenEnd, &json)
      if let last { write(last, &json) }
      json.member("grants", status.grants)
      json.member("failed_grants", status.failedGrants)
      if parked > 0 { json.member("parked", Int64(parked)) }
      if !status.alarms.isEmpty {
        json.open("[", "alarms")
        for alarm in status.alarms { json.element(alarm.rawValue) }
        json.close("]")
      }
    }
    return (status.isHealthy, problem)
  }

  private func write(_ last: LastRefresh, _ json: inout SnapshotWriter) {
    json.object("last_refresh") { json in
      time("time", last.time, &json)
      json.member("outcome", last.outcome)
      json.member("success", last.isSuccess)
      if !last.code.isEmpty { json.member("code", last.code) }
      if let cause = last.cause { json.member("cause", cause.rawValue) }
      if let took = last.took { json.member("took_ms", took.nanoseconds / 1_000_000) }
    }
  }

  private func time(_ name: StaticString, _ value: WallTime?, _ json: inout SnapshotWriter) {
    if let value { json.member(name, value.milliseconds) }
  }

  /// Requests without a route stand behind all routes.
  var routeCount: Int { counters.now.layout.routeCount + 1 }

  /// - Returns: nil when there is nothing to tell of it.
  func writeRoute(_ index: Int, _ json: inout SnapshotWriter) -> (RequestFigures, StatusProblem?)? {
    let figures = RequestFigures(counters, route: index)
    let isNone = index == counters.now.layout.noRoute
    if metrics.names.goneRoutes.contains(index) || (isNone && figures.total == 0) { return nil }
    let (name, credential) = isNone || index >= metrics.names.routes.count ? ("", "") : metrics.names.routes[index]
    let problem = StatusProblem.of(route: name, credential: credential, figures)
    json.object { json in
      json.member("name", name)
      if !credential.isEmpty { json.member("credential", credential) }
      if let problem { json.member("level", problem.level.rawValue) }
      figures.write(&json)
    }
    return (figures, problem)
  }

  func writeListener(_ index: Int, _ json: inout SnapshotWriter) -> StatusProblem? {
    let name = metrics.names.listeners[index]
    let shed: (CounterSnapshot) -> UInt64 = {
      $0.listener(index, .shed) &+ $0.listener(index, .shedForDescriptors)
    }
    let recent = counters.growth(shed) ?? 0
    json.object { json in
      json.member("name", name)
      json.member("connections", counters.now.listener(index, .open))
      json.member("accepted", counters.now.listener(index, .accepted))
      json.member("rate", rounded: counters.rate { $0.listener(index, .accepted) })
      json.member("shed", shed(counters.now))
      if recent > 0 { json.member("level", StatusProblem.Level.critical.rawValue) }
    }
    if recent == 0 { return nil }
    return StatusProblem(
      level: .critical,
      text: "The listener \(name) has turned \(recent) connections away in the last minute: there was no place.",
      action: "Look at limits.connections and at the limit of open files, and who opens so many connections.")
  }

  func writeUpstream(_ index: Int, _ json: inout SnapshotWriter) -> StatusProblem? {
    let upstream = metrics.names.upstreams[index]
    func sum(_ snapshot: CounterSnapshot, _ cell: CounterLayout.UpstreamCell) -> UInt64 {
      upstream.pools.reduce(0) { $0 &+ snapshot.upstream($1, cell) }
    }
    let problem = StatusProblem.avoided(upstream: upstream.name, loops: sum(counters.now, .ejected))
    json.object { json in
      json.member("name", upstream.name)
      json.member("active", sum(counters.now, .active))
      json.member("idle", sum(counters.now, .idle))
      json.member("connecting", sum(counters.now, .connecting))
      json.member("waiting", sum(counters.now, .waiting))
      json.member("connects", sum(counters.now, .attempts))
      json.member("failures", sum(counters.now, .failures))
      json.member("recent_failures", counters.growth { sum($0, .failures) } ?? 0)
      if let problem { json.member("level", problem.level.rawValue) }
    }
    return problem
  }
}
