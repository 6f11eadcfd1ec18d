// What the status page asks of the control loop.
internal import TokenKit

extension ControlPlane {
  func statusReport(_ metrics: MetricsReport, _ counters: StatusCounters) -> StatusReport {
    StatusReport(
      metrics: metrics, counters: counters,
      phase: isDraining ? .draining : isServing || phase == .handingOver ? .serving : .starting,
      refreshes: refreshes, lastReload: reloads?.last.map(LastReload.init),
      replacementFailure: recentReplacementFailure)
  }
}

extension LastReload {
  /// The first error is told; the log and the answer to whoever asked for the reload have all of them.
  init(_ record: ReloadRecord) {
    let errors = record.problems.filter { $0.severity == .error }
    var problem = ""
    if record.result == .refused, let first = errors.first {
      let line = first.position.map { ":\($0.line)" } ?? ""
      problem = "\(record.file)\(line): \(first.path.isEmpty ? "" : first.path + ": ")\(first.message)"
      if errors.count > 1 { problem += " (and \(errors.count - 1) more)" }
    }
    self.init(time: record.time, isTaken: record.result == .taken, problem: problem)
  }
}
