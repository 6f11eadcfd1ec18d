// Puts a configuration in force that was read and made ready: checks what only shows against the running gateway, then
// changes everything in one turn.
internal import EventLoop
internal import Logging
internal import TokenKit
internal import TokenService

extension ControlPlane {
  /// - Parameter completion: called once: with nothing when the new configuration is in force, else with what speaks
  ///   against it, and nothing has changed.
  func take(_ plans: PreparedPlans, _ completion: @escaping ([SettingsProblem]) -> Void) {
    let loaded = plans.loaded
    guard let manager, isServing else { return completion([Self.stopping]) }
    let changes = ProcessSettings.changes(from: configuration, to: loaded)
    if !changes.isEmpty { return completion(changes) }
    var definitions: [Int: CredentialDefinition] = [:]
    let list = loaded.configuration.credentials
    for (credential, place) in zip(list, plans.inputs.places.ofCredentials) {
      do throws(InjectionRules.Malformed) {
        definitions[place] = try credential.definition(
          tokenTimeout: loaded.configuration.timeouts.token, among: list.count)
      } catch {
        let path = SettingsPath.member(credential.name, of: "credentials")
        return completion([loaded.problem(path, "the header fields it gives can't be sent")])
      }
    }
    // What could go wrong is opened first, what may take its time is read next.
    let sockets: ListenerSet.Prepared
    do throws(ListenerSet.Failure) {
      sockets = try listening.prepare(loaded.configuration, plans.inputs.places)
    } catch {
      return completion([loaded.problem("listeners[\(error.index)].address", error.message)])
    }
    let accessLogFile: AccessLogFile?
    do throws(SystemError) {
      let destination = loaded.configuration.log.access
      accessLogFile =
        destination == configuration.log.access ? accessLog.file : try AccessLogFile.open(destination)
    } catch {
      listening.cancel(sockets)
      return completion([loaded.problem("log.access", "can't be written: \(error)")])
    }
    manager.prepare(definitions) { [unowned self] result in
      switch result {
      case .success(let credentials) where isServing:
        apply(plans, sockets, accessLogFile, credentials)
        completion([])
      case .success:
        listening.cancel(sockets)
        completion([Self.stopping])
      case .failure(let failure):
        listening.cancel(sockets)
        completion([Self.problem(failure, loaded)])
      }
    }
  }

  private static var stopping: SettingsProblem { SettingsProblem(path: "", message: "the gateway is stopping") }

  private static func problem(_ failure: PreparationFailure, _ loaded: LoadedConfiguration) -> SettingsProblem {
    func path(_ credential: String) -> String { SettingsPath.member(credential, of: "credentials") }
    switch failure {
    case .store(let error):
      return loaded.problem(
        "credentials", "new ones can't be read from the store: \(error.message); reload again later")
    case .seedInUse(let credential, let user):
      return loaded.problem(
        path(credential) + ".refresh_token",
        "is being exchanged for the credential \"\(user)\" at this moment; reload again when that is over")
    case .definition(let credential, .injection):
      return loaded.problem(path(credential), "the header fields it gives can't be sent")
    case .definition(let credential, .sharedSeed(let names)):
      return loaded.problem(
        path(credential) + ".refresh_token", "is also that of \(names.first ?? "another credential")")
    }
  }

  /// Everything is ready and nothing can fail. The loops hear of it before the credentials change, so that they have
  /// places for what those send.
  private func apply(
    _ plans: PreparedPlans, _ sockets: ListenerSet.Prepared, _ accessLogFile: AccessLogFile?,
    _ credentials: PreparedCredentials
  ) {
    let old = configuration
    let new = plans.loaded.configuration
    configuration = new
    places = plans.inputs.places
    let routed = plans.plans.first?.credentials ?? []
    leases = leases.with(credentials: places.credentials.count, routed: routed, parked: new.limits.parked)
    publisher.follow(routed: routed)
    limits.follow(new, places)
    logSettings.set(new.log)
    if new.log.access != old.log.access { accessLog.follow(accessLogFile) }
    metrics.follow(places, leases)
    admin?.follow(new.adminToken)
    listening.take(sockets)
    for (index, mailbox) in mailboxes.enumerated() {
      mailbox.send(
        .reload(
          LoopSettings(
            plan: plans.plans[index], forwarding: plans.forwarding[index], leases: leases, log: new.log,
            accessLog: accessLogFile, listening: sockets.all)))
    }
    manager?.reload(credentials, tokenCallsPerHost: new.limits.tokenCallsPerHost)
    // The manager has them.
    new.forgetCredentials()
    watchNames(plans.plans.first?.upstreams ?? [])
  }
}
