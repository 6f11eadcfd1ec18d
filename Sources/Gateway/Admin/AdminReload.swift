// `/api/reload`: reads the configuration file again, and says what became of the last time.
internal import TokenKit

/// Handlers; on the control loop.
struct AdminReload {
  private static let patience = Duration.seconds(60)
  private unowned let plane: ControlPlane

  init(_ plane: ControlPlane) { self.plane = plane }

  /// 200 when the new configuration is in force, 422 when the old one stays, each with all problems.
  func reload(_ request: AdminRequest, _ responder: AdminResponder) {
    guard let reloads = plane.reloads else { return responder.send(.error(503, "the gateway is starting")) }
    let timer = plane.after(Self.patience) {
      responder.send(AdminAnswer(status: 202, body: "{\"result\":\"pending\"}\n"))
    }
    reloads.request(.admin) { record in
      timer.cancel()
      responder.send(AdminAnswer(status: record.result == .taken ? 200 : 422, body: record.json + "\n"))
    }
  }

  /// That it is alive; and reloads, for who has asked for one by a signal.
  func health(_ request: AdminRequest) -> AdminAnswer {
    let counts = plane.reloads?.counts
    let reloads = "{\"success\":\(counts?.taken ?? 0),\"refused\":\(counts?.refused ?? 0)}"
    return AdminAnswer(status: 200, body: "{\"status\":\"ok\",\"reloads\":\(reloads)}\n")
  }

  /// The file that is read, and what became of the last reload: `null` when there was none.
  func last(_ request: AdminRequest) -> AdminAnswer {
    let file = SystemFile.absolute(plane.reloads?.source.file ?? "")
    let last = plane.reloads?.last?.json ?? "null"
    return AdminAnswer(status: 200, body: "{\"file\":\(ProblemResponse.quoted(file)),\"last\":\(last)}\n")
  }
}
