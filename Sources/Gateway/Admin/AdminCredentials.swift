// What people do to credentials while the gateway runs: a refresh now, and the pair that a login has brought.
internal import HTTPWire
internal import TokenKit
internal import TokenService

/// Handlers; on the control loop.
struct AdminCredentials {
  private unowned let plane: ControlPlane

  init(_ plane: ControlPlane) { self.plane = plane }

  /// `GET /api/credentials/NAME`: one of the list, and what its settings come to, for those who bring tokens.
  func show(_ request: AdminRequest, _ responder: AdminResponder) {
    guard let (manager, index) = find(request, responder) else { return }
    let identity = manager.definition(credential: index).identityText
    responder.send(
      AdminAnswer(
        status: 200, body: CredentialReport.object(manager.status(credential: index), identity: identity) + "\n"))
  }

  /// `POST /api/credentials/NAME/refresh`: a new lease now, whatever the state. Whoever asks while a grant is in flight
  /// shares it. The answer comes when that is over, or with 202 when it takes too long.
  func refresh(_ request: AdminRequest, _ responder: AdminResponder) {
    guard let (manager, index) = find(request, responder) else { return }
    let name = request.parameters["name"] ?? ""
    let timer = answerPending(name, responder)
    manager.refresh(credential: index) { [unowned plane] result in
      timer.cancel()
      responder.send(Self.answer(name, result, manager.status(credential: index), plane))
    }
  }

  /// `PUT /api/credentials/NAME/tokens`: a pair that a person has logged in for, as `TokenHandover` has it.
  func takeTokens(_ request: AdminRequest, _ responder: AdminResponder) {
    guard let (manager, index) = find(request, responder) else { return }
    let name = request.parameters["name"] ?? ""
    let definition = manager.definition(credential: index)
    guard definition.material.provider.traits.usesRefreshToken else {
      return responder.send(.error(409, "\(name) needs no login: its grant sends no refresh token"))
    }
    let handover: TokenHandover
    do throws(TokenHandover.Malformed) {
      handover = try TokenHandover(json: request.body)
    } catch {
      return responder.send(.error(400, error.message))
    }
    if let identity = handover.identity, identity != definition.identityText {
      return responder.send(
        .error(409, "the running gateway has other settings for \(name) than the login: restart it, then log in again"))
    }
    let timer = answerPending(name, responder)
    let isTaken = manager.login(credential: index, handover.reply(at: plane.now)) { outcome in
      timer.cancel()
      responder.send(Self.answer(name, outcome, manager.status(credential: index)))
    }
    if isTaken { return }
    timer.cancel()
    responder.send(.error(503, "the gateway is stopping, or being replaced: try again"))
  }

  private func find(_ request: AdminRequest, _ responder: AdminResponder) -> (CredentialManager, index: Int)? {
    guard let manager = plane.manager else {
      responder.send(.error(503, "the gateway is starting"))
      return nil
    }
    guard let name = request.parameters["name"], let index = manager.index(of: name) else {
      responder.send(.error(404, "there is no such credential"))
      return nil
    }
    return (manager, index)
  }

  /// Callers are not left waiting for a token endpoint or a store that takes its time; what was asked for goes on.
  private func answerPending(_ name: String, _ responder: AdminResponder) -> PendingTimer {
    plane.after(plane.tokenTimeout + .seconds(10)) {
      let text = "{\"credential\":\(ProblemResponse.quoted(name)),\"outcome\":\"pending\"}\n"
      responder.send(AdminAnswer(status: 202, body: text))
    }
  }

  private static func answer(
    _ name: String, _ result: LeaseAnswer, _ status: CredentialStatus, _ plane: ControlPlane
  ) -> AdminAnswer {
    var members = ["\"credential\":\(ProblemResponse.quoted(name))"]
    let code: UInt16
    switch result {
    case .success(let lease):
      code = 200
      members.append("\"outcome\":\"refreshed\",\"generation\":\(lease.generation)")
      let now = plane.now
      members.append(CredentialReport.time("expires", now.wall(at: lease.expires)))
    case .failure(let failure):
      switch failure.reason {
      case .tokenEndpointUnreachable, .rateLimited, .needsLogin, .misconfigured, .refreshFloor, .routeBackoff:
        code = 502
      case .storeUnavailable, .shuttingDown: code = 503
      }
      members.append("\"outcome\":\"failed\"")
      members += CredentialReport.reason(failure)
      members.append("\"serving\":\(status.isServing)")
      if let generation = status.generation { members.append("\"generation\":\(generation)") }
      if let expires = status.expires { members.append(CredentialReport.time("expires", expires)) }
      if let until = failure.until {
        members.append(CredentialReport.time("next_attempt", plane.now.wall(at: until)))
      }
    }
    return AdminAnswer(status: code, body: "{\(members.joined(separator: ","))}\n")
  }

  private static func answer(_ name: String, _ outcome: LoginOutcome, _ status: CredentialStatus) -> AdminAnswer {
    guard case .published(let generation, let isStored) = outcome else { return .error(503, "the gateway is stopping") }
    var members = [
      "\"credential\":\(ProblemResponse.quoted(name))", "\"outcome\":\"taken\"", "\"generation\":\(generation)",
      "\"stored\":\(isStored)",
    ]
    if let expires = status.expires { members.append(CredentialReport.time("expires", expires)) }
    return AdminAnswer(status: 200, body: "{\(members.joined(separator: ","))}\n")
  }
}
