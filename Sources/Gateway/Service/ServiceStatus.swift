// The line that a service manager shows for people: `systemctl status`.
internal import TokenKit
internal import TokenService

enum ServiceStatus {
  /// Looking at more credentials than this costs more than the line is worth.
  private static let credentialsLookedAt = 1000
  private static let namesShown = 3

  /// Says what is served, and which credentials somebody should look at. Without secrets.
  static func line(listeners: Int, _ manager: CredentialManager) -> String {
    let serving = "Serving: \(count(listeners, "listener")), \(count(manager.configuredCount, "credential"))"
    if manager.count > credentialsLookedAt { return serving }
    let noticeable = manager.status.filter { !$0.isHealthy || !$0.alarms.isEmpty }
    if noticeable.isEmpty { return serving }
    let names = noticeable.prefix(namesShown).map { "\($0.name) (\($0.state.rawValue))" }.joined(separator: ", ")
    let more = noticeable.count > namesShown ? " and \(noticeable.count - namesShown) more" : ""
    return "\(serving); look at \(names)\(more)"
  }

  private static func count(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }
}
