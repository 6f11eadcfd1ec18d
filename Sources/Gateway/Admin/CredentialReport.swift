// The credentials' state as JSON. Nothing of it is a secret: `CredentialStatus` holds none.
internal import TokenKit
internal import TokenService

enum CredentialReport {
  /// 200 when every credential can serve, else 503. Either way it names those that somebody should look at: a lease
  /// serves to its end, also when its successor needs a login.
  static func readiness(_ plane: ControlPlane) -> AdminAnswer {
    if plane.isDraining { return AdminAnswer(status: 503, body: "{\"ready\":false,\"reason\":\"draining\"}\n") }
    guard let manager = plane.manager else {
      return AdminAnswer(status: 503, body: "{\"ready\":false,\"reason\":\"starting\"}\n")
    }
    let all = manager.status
    let isReady = all.allSatisfy(\.isHealthy)
    let noticeable = all.filter { !$0.isHealthy || !$0.alarms.isEmpty || $0.failure != nil }
    let list = noticeable.map(object).joined(separator: ",")
    return AdminAnswer(
      status: isReady ? 200 : 503, body: "{\"ready\":\(isReady),\"credentials\":[\(list)]}\n")
  }

  static func list(_ plane: ControlPlane) -> AdminAnswer {
    let list = (plane.manager?.status ?? []).map(object).joined(separator: ",\n ")
    return AdminAnswer(status: 200, body: "{\"credentials\":[\(list)]}\n")
  }

  private static func object(_ status: CredentialStatus) -> String {
    var members = ["\"name\":\(ProblemResponse.quoted(status.name))", "\"state\":\"\(status.state.rawValue)\""]
    members.append("\"serving\":\(status.isServing)")
    if let failure = status.failure {
      members.append("\"reason\":\"\(failure.text)\"")
      if !failure.code.isEmpty { members.append("\"code\":\(ProblemResponse.quoted(failure.code))") }
    }
    if let generation = status.generation { members.append("\"generation\":\(generation)") }
    func time(_ name: String, _ value: WallTime?) {
      if let value { members.append("\"\(name)\":\"\(Timestamp.text(milliseconds: value.milliseconds))\"") }
    }
    time("expires", status.expires)
    time("next_attempt", status.nextAttempt)
    time("refresh_token_end", status.refreshTokenEnd)
    time("last_success", status.lastSuccess)
    members.append("\"grants\":\(status.grants)")
    members.append("\"failed_grants\":\(status.failedGrants)")
    let alarms = status.alarms.map { "\"\($0.rawValue)\"" }.joined(separator: ",")
    members.append("\"alarms\":[\(alarms)]")
    return "{\(members.joined(separator: ","))}"
  }
}
