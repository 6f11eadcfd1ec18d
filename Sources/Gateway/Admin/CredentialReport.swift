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
    let list = noticeable.map { object($0) }.joined(separator: ",")
    return AdminAnswer(
      status: isReady ? 200 : 503, body: "{\"ready\":\(isReady),\"credentials\":[\(list)]}\n")
  }

  static func list(_ plane: ControlPlane) -> AdminAnswer {
    let list = (plane.manager?.status ?? []).map { object($0) }.joined(separator: ",\n ")
    return AdminAnswer(status: 200, body: "{\(time("time", plane.now.wall)),\"credentials\":[\(list)]}\n")
  }

  /// A point in time as a member of an object.
  static func time(_ name: String, _ value: WallTime) -> String {
    "\"\(name)\":\"\(Timestamp.text(milliseconds: value.milliseconds))\""
  }

  /// Why a credential is in trouble, as members of an object.
  static func reason(_ failure: LeaseFailure) -> [String] {
    var members = ["\"reason\":\"\(failure.text)\""]
    if let detail = failure.needsLogin { members.append("\"needs_login\":\"\(detail.rawValue)\"") }
    if !failure.code.isEmpty { members.append("\"code\":\(ProblemResponse.quoted(failure.code))") }
    return members
  }

  /// One credential.
  /// - Parameter identity: stands for its settings.
  static func object(_ status: CredentialStatus, identity: String? = nil) -> String {
    var members = ["\"name\":\(ProblemResponse.quoted(status.name))", "\"state\":\"\(status.state.rawValue)\""]
    members.append("\"serving\":\(status.isServing)")
    if let failure = status.failure { members += reason(failure) }
    if let generation = status.generation { members.append("\"generation\":\(generation)") }
    for (name, value) in [
      ("expires", status.expires), ("next_attempt", status.nextAttempt),
      ("refresh_token_end", status.refreshTokenEnd), ("last_success", status.lastSuccess),
    ] {
      if let value { members.append(time(name, value)) }
    }
    members.append("\"grants\":\(status.grants)")
    members.append("\"failed_grants\":\(status.failedGrants)")
    let alarms = status.alarms.map { "\"\($0.rawValue)\"" }.joined(separator: ",")
    members.append("\"alarms\":[\(alarms)]")
    if let identity { members.append("\"identity\":\"\(identity)\"") }
    return "{\(members.joined(separator: ","))}"
  }
}
