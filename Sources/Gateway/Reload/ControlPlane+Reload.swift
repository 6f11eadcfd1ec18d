// Puts a configuration in force that was read and made ready: checks what only shows against the running gateway, then
// changes everything in one turn.
internal import EventLoop
internal import Logging
internal import TokenKit
internal import TokenService

extension ControlPlane {
  /// - Parameter completion: called once: with what is different now that the new configuration is in force, or with what
  ///   speaks against it, and nothing has changed.
  func take(
    _ plans: PreparedPlans, _ completion: @escaping (Result<ConfigurationChanges, InvalidConfiguration>) -> Void
  ) {
    let loaded = plans.loaded
    func refuse(_ problems: SettingsProblem...) { completion(.failure(InvalidConfiguration(problems: problems))) }
    guard let manager, isServing else { return refuse(ReloadControl.stopping) }
    let fixed = ProcessSettings.changes(from: configuration, to: loaded)
    if !fixed.isEmpty { return completion(.failure(InvalidConfiguration(problems: fixed))) }
    // What could go wrong is opened first, what may take its time is read next.
    let sockets: ListenerSet.Prepared
    do throws(ListenerSet.Failure) {
      sockets = try listening.prepare(loaded.configuration, plans.inputs.places)
    } catch {
      return refuse(loaded.problem("listeners[\(error.index)].address", error.message))
    }
    let accessLogFile: AccessLogFile?
    do throws(SystemError) {
      let destination = loaded.configuration.log.access
      accessLogFile =
        destination == configuration.log.access ? accessLog.file : try AccessLogFile.open(destination)
    } catch {
      listening.cancel(sockets)
      return refuse(loaded.problem("log.access", "can't be written: \(error)"))
    }
    manager.prepare(plans.credentials) { [unowned self] result in
      switch result {
      case .success(let credentials) where isServing:
        apply(plans, sockets, accessLogFile, credentials) { completion(.success($0)) }
      case .success:
        listening.cancel(sockets)
        refuse(ReloadControl.stopping)
      case .failure(let failure):
        listening.cancel(sockets)
        refuse(PreparedPlans.problem(failure, loaded))
      }
    }
  }

  /// Everything is ready and nothing can fail. The loops hear of it before the credentials change, so that they have
  /// places for what those send.
  private func apply(
    _ plans: PreparedPlans, _ sockets: ListenerSet.Prepared, _ accessLogFile: AccessLogFile?,
    _ credentials: PreparedCredentials, _ completion: @escaping (ConfigurationChanges) -> Void
  ) {
    ledger.take(plans.inputs.places, generation: plans.generation)
    for place in plans.inputs.places.reused.credentials {
      metrics.credentials.forget(places.credentials[place])
      refreshes.forget(places.credentials[place])
    }
    let before = ConfigurationChanges.Side(configuration: configuration, places: places, authorities: authorities)
    let old = configuration
    let new = plans.loaded.configuration
    configuration = new
    places = plans.inputs.places
    authorities = plans.inputs.authorities
    let routed = plans.plans.first?.credentials ?? []
    leases = leases.with(
      credentials: places.credentials.count, routed: routed, anew: places.reused.credentials, parked: new.limits.parked)
    publisher.follow(routed: routed)
    limits.follow(new, places)
    logSettings.set(new.log)
    if new.log.access != old.log.access { accessLog.follow(accessLogFile) }
    metrics.follow(places, leases)
    tracing.follow(new.otlp, places)
    admin?.follow(new.adminToken)
    listening.take(sockets)
    for (index, mailbox) in mailboxes.enumerated() {
      mailbox.send(
        .reload(
          LoopSettings(
            plan: plans.plans[index], forwarding: plans.forwarding[index], leases: leases, log: new.log,
            accessLog: accessLogFile, tracing: new.otlp?.tracing, listening: sockets.all, relays: limits.relays(new))))
    }
    watchNames(plans.plans.first?.upstreams ?? [])
    let after = ConfigurationChanges.Side(configuration: new, places: places, authorities: authorities)
    manager?.reload(credentials, tokenCallsPerHost: new.limits.tokenCallsPerHost) {
      completion(ConfigurationChanges(from: before, to: after, credentials: $0))
    }
  }
}
