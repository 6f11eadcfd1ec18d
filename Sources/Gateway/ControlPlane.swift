// The control loop: credentials, names, the admin listener, signals and the end of the process. One per process, on the
// thread that started it.
internal import EventLoop
internal import Logging
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class ControlPlane {
  private enum Phase { case starting, serving, draining, ended }

  let loop: EventLoop
  let logger: Logger
  /// Without its credentials once the manager has them.
  private let configuration: GatewayConfiguration
  private let plan: DataPlanePlan
  private let mailboxes: [Mailbox<WorkerMessage>]
  private let control: Mailbox<ControlMessage>
  private let publisher: LoopPublisher
  private let timers: ControlTimers
  private let clock = SystemClock()
  private let resolver: Resolver
  private let transport: CurlTransport
  private var store: StoreWorker?
  private(set) var manager: CredentialManager?
  private var receiver: Mailbox<ControlMessage>.Receiver?
  private var watchers: [NameWatcher] = []
  private var signals: SignalSource?
  private var phase = Phase.starting
  private var drainedWorkers = 0
  private var listeningWorkers: Int
  /// Closed when the last data loop has stopped listening: later callers are refused instead of left waiting.
  private let stopListening: () -> Void
  private var isStoreReleased = false
  private var drainTimer: ManagerTimer?
  private let accessLog: AccessLogControl
  /// nil when no service manager asks how we are.
  let service: ServiceReporter?
  let metrics: MetricsControl
  /// Called once the data loops may start.
  private let ready: () -> Void
  /// Why the process ends with an error.
  private(set) var failure: String?

  init(
    _ loop: EventLoop, _ configuration: GatewayConfiguration, _ plan: DataPlanePlan, logger: Logger,
    mailboxes: [Mailbox<WorkerMessage>], control: Mailbox<ControlMessage>, leases: SharedLeaseState,
    accessLog: AccessLogFile?, environment: [String: String],
    stopListening: @escaping () -> Void, ready: @escaping () -> Void
  ) throws {
    self.loop = loop
    self.configuration = configuration
    self.plan = plan
    self.logger = logger
    self.mailboxes = mailboxes
    self.control = control
    self.ready = ready
    self.stopListening = stopListening
    self.accessLog = AccessLogControl(loop, accessLog, logger)
    metrics = MetricsControl(
      loop, plan, credentials: configuration.credentials.map(\.name), leases: leases, mailboxes: mailboxes)
    listeningWorkers = mailboxes.count
    publisher = LoopPublisher(mailboxes, routed: plan.credentials)
    service = ServiceReporter(loop, environment: environment, logger: logger, mailboxes: mailboxes)
    timers = ControlTimers(loop)
    let resolver = try Resolver(loop)
    self.resolver = resolver
    transport = CurlTransport(loop, userAgent: "gateway/\(Version.text)") { host, _, completion in
      resolver.resolve(host) { completion(NameAnswer.numeric($0)) }
    }
  }

  var isDraining: Bool { phase == .draining }

  // MARK: What the admin listener's handlers need

  var now: Moment { clock.now }
  var tokenTimeout: Duration { configuration.timeouts.token }

  /// Calls `action` on the control loop once that time is over, unless it is cancelled.
  func after(_ duration: Duration, _ action: @escaping () -> Void) -> PendingTimer {
    PendingTimer(timers, timers.schedule(at: clock.now.boot + duration, action))
  }

  /// Opens the store, reads the credentials, then lets the data loops start.
  func start() throws {
    service?.describe = { [unowned self] in serviceStatus }
    // A store that another process holds is waited for as long as a drain may take.
    service?.starting(within: configuration.timeouts.drain)
    receiver = try control.attach(to: loop) { [unowned self] in receive($0) }
    let handled = [SignalSource.terminate, SignalSource.interrupt, SignalSource.reopen]
    signals = try SignalSource(loop, handled) { [unowned self] in
      if $0 == SignalSource.reopen { return accessLog.reopen() }
      logger.notice("signal received, draining", metadata: ["signal": "\($0)"])
      drain()
    }
    let store = try openStore()
    self.store = store
    let manager = try CredentialManager(
      definitions: configuration.credentials.map {
        try $0.definition(tokenTimeout: configuration.timeouts.token, among: configuration.credentials.count)
      },
      ports: ManagerPorts(transport: transport, store: store, timers: timers, clock: clock, publisher: publisher),
      owner: String(UInt64.random(in: .min ... .max), radix: 36), randomSeed: .random(in: .min ... .max),
      tokenCallsPerHost: configuration.limits.tokenCallsPerHost
    ) { [logger, metrics, service] in
      metrics.credentials.note($1, of: $0)
      service?.changed()
      CredentialLog.write($1, of: $0, to: logger)
    }
    self.manager = manager
    configuration.forgetCredentials()
    manager.start { [unowned self] result in
      if phase != .starting { return }
      switch result {
      case .success:
        phase = .serving
        // When what the start has taken is free again.
        _ = timers.schedule(at: clock.now.boot + .seconds(1)) { ProcessMemory.trim() }
        watchNames()
        ready()
        service?.ready()
      case .failure(let error): fail("the store can't be read: \(error.message)")
      }
    }
  }

  private func openStore() throws -> StoreWorker {
    let opened: (Result<Void, StoreError>) -> Void = { [unowned self] result in
      if case .failure(let error) = result { fail("the store can't be opened: \(error.message)") }
    }
    let limit = configuration.timeouts.drain
    let cipher = configuration.store.cipher
    switch configuration.store.place {
    case .sqlite(let path):
      return try StoreWorker.sqlite(loop, path: path, waitingAtMost: limit, cipher: cipher, opened: opened)
    case .postgres(let url):
      let names = configuration.credentials.enumerated().map { ($1.name, $0) }
      let indices = Dictionary(names) { first, _ in first }
      return try StoreWorker.postgres(loop, url: url, waitingAtMost: limit, cipher: cipher, opened: opened) {
        [unowned self] in
        metrics.credentials.note($0)
        StoreLog.write($0, to: logger)
        guard case .changed(let changes) = $0, let manager else { return }
        for change in changes {
          guard let credential = indices[change.name] else { continue }
          manager.storeChanged(credential: credential, generation: change.generation)
        }
      }
    }
  }

  // MARK: Names

  private func watchNames() {
    for (index, target) in plan.targets.enumerated() where target.literalAddresses.isEmpty {
      let port = target.port
      watchers.append(
        resolver.watch(target.host) { [unowned self] result in
          let message = NameAnswer.upstream(result, port: port)
          if case .failure(let failure) = result {
            logger.warning(
              "upstream name not resolved", metadata: ["host": "\(target.host)", "reason": "\(failure.reason)"])
          }
          for mailbox in mailboxes { mailbox.send(.addresses(message, upstream: index)) }
        })
    }
  }

  // MARK: The data loops

  private func receive(_ message: ControlMessage) {
    switch message {
    case .lease(let question, let credential, let worker): answer(question, credential, worker)
    case .holding(let ticket): publisher.acknowledge(ticket)
    case .stoppedListening:
      listeningWorkers -= 1
      if listeningWorkers == 0 { stopListening() }
    case .failed(let reason): fail(reason)
    case .accessLogDropped(let lines, let reason): accessLog.note(dropped: lines, reason)
    case .counters(let part): metrics.receive(part)
    case .turned(let ticket): service?.turned(ticket: ticket)
    case .drained:
      drainedWorkers += 1
      endIfDone()
    }
  }

  private func answer(_ question: LeaseQuestion, _ credential: Int, _ worker: Int) {
    guard let manager else { return }
    switch question {
    case .want(let want):
      let mailbox = mailboxes[worker]
      manager.want(credential: credential, want) { mailbox.send(.answer($0, credential: credential)) }
    case .accepted(let generation): manager.accepted(credential: credential, generation: generation)
    case .replayRejected(let route): manager.replayRejected(credential: credential, route: route)
    case .routeRecovered(let route): manager.routeRecovered(credential: credential, route: route)
    }
  }

  /// The answer to a scrape, on this loop, within about a second.
  func metricsPage(_ completion: @escaping (MetricsPage) -> Void) {
    metrics.page(manager, store, at: clock, completion)
  }

  /// For `systemctl status`.
  private var serviceStatus: String {
    guard let manager else { return "Serving" }
    return ServiceStatus.line(listeners: configuration.listeners.count, manager)
  }

  // MARK: The end

  private func fail(_ reason: String) {
    if failure == nil {
      failure = reason
      logger.critical("can't go on", metadata: ["reason": "\(reason)"])
    }
    phase = .ended
    loop.stop()
  }

  /// No new grant, no new connection; what is going on is finished, and stored, before the process ends.
  func drain() {
    switch phase {
    case .draining, .ended: return
    case .starting:
      phase = .ended
      return loop.stop()
    case .serving: phase = .draining
    }
    service?.stopping(within: configuration.timeouts.drain)
    for mailbox in mailboxes { mailbox.send(.drain) }
    manager?.shutdown { [unowned self] in releaseStore() }
    let deadline = clock.now.boot + configuration.timeouts.drain
    drainTimer = timers.schedule(at: deadline) { [unowned self] in
      logger.warning("the drain time is over; what is left is cut")
      manager?.giveUp()
      for mailbox in mailboxes { mailbox.send(.abort) }
    }
  }

  private func releaseStore() {
    guard let store else { return }
    store.close { [unowned self] result in
      if case .failure(let error) = result {
        logger.error("the store was not closed in order", metadata: ["error": "\(error.message)"])
      }
      isStoreReleased = true
      endIfDone()
    }
  }

  private func endIfDone() {
    guard phase == .draining, isStoreReleased, drainedWorkers == mailboxes.count else { return }
    phase = .ended
    transport.close()
    for watcher in watchers { watcher.stop() }
    resolver.stop()
    accessLog.close()
    service?.close()
    loop.stop()
  }
}
