// How `gateway status` prints: a table for people, JSON for programs.
internal import TokenKit

enum StatusText {
  private static let titles = [
    "NAME", "STATE", "SERVING", "EXPIRES", "NEXT REFRESH", "REFRESH TOKEN", "LAST SUCCESS", "FAILURES", "REASON",
  ]

  /// A line for each, and behind them what to do.
  /// - Parameter remedy: what ends a credential's need of a login.
  static func table(_ views: CredentialViews, remedy: (CredentialView) -> String) -> String {
    if views.list.isEmpty { return "no credentials\n" }
    let rows = [titles] + views.list.map { row($0, views.now) }
    let widths = titles.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    var text = ""
    for row in rows {
      let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
      text += trimmed(cells.joined(separator: "  ")) + "\n"
    }
    for view in views.list where view.isInNeedOfLogin { text += "\(view.name): \(remedy(view))\n" }
    return text
  }

  private static func row(_ view: CredentialView, _ now: WallTime) -> [String] {
    var reasons = [view.needsLogin ?? view.reason, view.code].compactMap { $0 }
    for alarm in view.alarms where alarm != view.reason && alarm != view.state { reasons.append(alarm) }
    let serving = view.isServing.map { $0 ? "yes" : "no" }
    let success = view.lastSuccess.map { "\(span(now - $0)) ago" }
    let cells: [String] = [
      view.name, view.state, serving ?? "-", until(view.expires, now), until(view.nextAttempt, now),
      until(view.refreshTokenEnd, now), success ?? "-", view.failedGrants.map { "\($0)" } ?? "-",
      reasons.isEmpty ? "-" : reasons.joined(separator: ", "),
    ]
    return cells.map { Printable.text($0) }
  }

  private static func until(_ time: WallTime?, _ now: WallTime) -> String {
    guard let time else { return "-" }
    return time > now ? "in \(span(time - now))" : "over"
  }

  /// The two greatest units: `3 d 4 h`, `59 m 12 s`, `4 s`.
  static func span(_ duration: Duration) -> String {
    let seconds = max(0, duration.components.seconds)
    let units: [(Int64, String)] = [
      (seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"),
    ]
    let first = units.firstIndex { $0.0 > 0 } ?? units.count - 1
    return units[first...].prefix(2).filter { $0.0 > 0 || $0.1 == units[first].1 }.map { "\($0.0) \($0.1)" }
      .joined(separator: " ")
  }

  private static func trimmed(_ text: String) -> String {
    var text = text[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }

  /// The same as an object. Times are UTC.
  static func json(_ views: CredentialViews, isRunning: Bool, remedy: (CredentialView) -> String) -> String {
    let list = views.list.map { object($0, remedy) }.joined(separator: ",\n  ")
    return "{\"gateway\":\"\(isRunning ? "running" : "not running")\",\"source\":\"\(isRunning ? "admin" : "store")\","
      + "\(CredentialReport.time("time", views.now)),\"credentials\":[\n  \(list)\n]}\n"
  }

  private static func object(_ view: CredentialView, _ remedy: (CredentialView) -> String) -> String {
    var members = ["\"name\":\(JSONReply.quoted(view.name))", "\"state\":\(JSONReply.quoted(view.state))"]
    if let isServing = view.isServing { members.append("\"serving\":\(isServing)") }
    members.append("\"ok\":\(!view.isTroubled)")
    for (name, value) in [("reason", view.reason), ("needs_login", view.needsLogin), ("code", view.code)] {
      if let value { members.append("\"\(name)\":\(JSONReply.quoted(value))") }
    }
    if view.isInNeedOfLogin { members.append("\"remedy\":\(JSONReply.quoted(remedy(view)))") }
    if let generation = view.generation { members.append("\"generation\":\(generation)") }
    for (name, value) in [
      ("expires", view.expires), ("next_attempt", view.nextAttempt), ("refresh_token_end", view.refreshTokenEnd),
      ("last_success", view.lastSuccess),
    ] {
      if let value { members.append(CredentialReport.time(name, value)) }
    }
    if let grants = view.grants { members.append("\"grants\":\(grants)") }
    if let failed = view.failedGrants { members.append("\"failed_grants\":\(failed)") }
    members.append("\"alarms\":[\(view.alarms.map(JSONReply.quoted).joined(separator: ","))]")
    return "{\(members.joined(separator: ","))}"
  }
}
