// Makes a snapshot as JSON, some rows in each turn of the loop: with thousands of routes all at once would hold up
// everything else that the control loop does.
internal import TokenKit

/// Confined to the control loop.
final class StatusRendering {
  private static let rowsPerStep = 64

  private enum Part: Int {
    case credentials, routes, listeners, upstreams, summary, done
  }

  private let report: StatusReport
  private var json = SnapshotWriter()
  private var part = Part.credentials
  private var row = 0
  private var problems = StatusProblems()
  private var credentials = 0
  private var healthy = 0
  private var figures: [RequestFigures] = []

  init(_ report: StatusReport) {
    self.report = report
    json.open("{")
    json.member("time", report.metrics.now.wall.milliseconds)
    json.member("state", report.phase.rawValue)
    json.member("window_ms", (report.counters.span ?? 0) / 1_000_000)
    for problem in report.generalProblems { problems.add(problem) }
  }

  /// The snapshot; nil while it is not complete.
  func step() -> [UInt8]? {
    var left = Self.rowsPerStep
    while left > 0 {
      switch part {
      case .credentials:
        rows("credentials", report.credentialCount, &left) { index in
          guard let (isHealthy, problem) = report.writeCredential(index, &json) else { return }
          credentials += 1
          if isHealthy { healthy += 1 }
          problems.add(problem)
        }
      case .routes:
        rows("routes", report.routeCount, &left) { index in
          guard let (figures, problem) = report.writeRoute(index, &json) else { return }
          self.figures.append(figures)
          problems.add(problem)
        }
      case .listeners:
        rows("listeners", report.metrics.names.listeners.count, &left) {
          problems.add(report.writeListener($0, &json))
        }
      case .upstreams:
        rows("upstreams", report.metrics.names.upstreams.count, &left) {
          problems.add(report.writeUpstream($0, &json))
        }
      case .summary:
        report.writeSummary(
          RequestFigures(all: figures, report.counters), problems, (healthy, credentials), &json)
        json.close("}")
        part = .done
      case .done: return json.bytes
      }
    }
    return nil
  }

  /// All of it at once.
  func all() -> [UInt8] {
    while true { if let bytes = step() { return bytes } }
  }

  /// Writes rows of an array as far as they are due.
  private func rows(_ name: StaticString, _ count: Int, _ left: inout Int, _ write: (Int) -> Void) {
    if row == 0 { json.open("[", name) }
    while row < count, left > 0 {
      write(row)
      row += 1
      left -= 1
    }
    // An array of no rows is something done as well.
    if row < count { return }
    json.close("]")
    row = 0
    part = Part(rawValue: part.rawValue + 1) ?? .done
  }
}
