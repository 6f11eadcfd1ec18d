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
  let logSettings: LogSettings
  /// The one in force, without its credentials once the manager has them.
  var configuration: GatewayConfiguration
  var places: PlanPlaces
  var ledger: PlaceLedger
  /// Of upstream servers that speak TLS, by place.
  var authorities: [Int: TLSClientContext]
  let limits: ProcessLimits
  /// The process's, of which each loop has a copy.
  let forwarding: Forwarding
  let listening: ListenerSet
  var leases: SharedLeaseState
  let mailboxes: [Mailbox<WorkerMessage>]
  let control: Mailbox<ControlMessage>
  let publisher: LoopPublisher
  private let timers: ControlTimers
  private let clock = SystemClock()
  private let resolver: Resolver
  private let transport: CurlTransport
  private var store: StoreWorker?
  private(set) var manager: CredentialManager?
  private var receiver: Mailbox<ControlMessage>.Receiver?
  /// By the upstream's place.
  private var watchers: [Int: NameWatcher] = [:]
  /// Of upstreams that the last reload took away: requests may still wait for the first answer.
  private var lastWatchers: [NameWatcher] = []
  private var signals: SignalSource?
  private var phase = Phase.starting
  private var drainedWorkers = 0
  private var listeningWorkers: Int
  private var isStoreReleased = false
  private var drainTimer: ManagerTimer?
  private var drainDeadline = BootInstant(nanoseconds: .max)
  let accessLog: AccessLogControl
  let tracing: TracingControl
  private(set) var reloads: ReloadControl?
  weak var admin: AdminServer?
  /// nil when no service manager asks how we are.
  let service: ServiceReporter?
  let metrics: MetricsControl
  let refreshes = RefreshHistory()
  /// Called once the data loops may start.
  private let ready: () -> Void
  /// Why the process ends with an error.
  private(set) var failure: String?

  init(
    _ loop: EventLoop, _ shared: ProcessShared, routed: Set<Int>, source: ConfigurationSource,
    environment: [String: String], ready: @escaping () -> Void
  ) throws {
    self.loop = loop
    configuration = shared.inputs.configuration
    places = shared.inputs.places
    ledger = PlaceLedger(places, workers: shared.mailboxes.count)
    authorities = shared.inputs.authorities
    limits = shared.limits
    forwarding = shared.forwarding
    listening = shared.listening
    leases = shared.leases
    logger = shared.logger
    logSettings = shared.logSettings
    mailboxes = shared.mailboxes
    control = shared.control
    self.ready = ready
    accessLog = AccessLogControl(loop, shared.accessLog, shared.logger)
    metrics = MetricsControl(loop, places, leases: leases, mailboxes: mailboxes)
    listeningWorkers = mailboxes.count
    publisher = LoopPublisher(mailboxes, routed: routed)
    service = ServiceReporter(loop, environment: environment, logger: logger, mailboxes: mailboxes)
    timers = ControlTimers(loop)
    let resolver = try Resolver(loop)
    self.resolver = resolver
    transport = CurlTransport(loop, userAgent: "gateway/\(Version.text)") { host, _, completion in
      resolver.resolve(host) { completion(NameAnswer.numeric($0)) }
    }
    let mailboxes = mailboxes
    tracing = TracingControl(
      loop, configuration.otlp, places, instance: forwarding.proxyName, logger: logger,
      lookUp: { host, _, completion in resolver.resolve(host) { completion(NameAnswer.numeric($0)) } },
      giveBack: { mailboxes[$1].send(.spansRead($0)) })
    reloads = ReloadControl(self, source)
  }

  var isDraining: Bool { phase == .draining }
  var isServing: Bool { phase == .serving }
  var isEnding: Bool { phase == .draining || phase == .ended }
  var workers: Int { mailboxes.count }

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
    let handled = [
      SignalSource.terminate, SignalSource.interrupt, SignalSource.hangup, SignalSource.reopen,
    ]
    signals = try SignalSource(loop, handled) { [unowned self] in
      if $0 == SignalSource.reopen { return accessLog.reopen() }
      if $0 == SignalSource.hangup { return requestReload() }
      logger.notice("signal received, draining", metadata: ["signal": "\($0)"])
      drain()
    }
    let store = try openStore()
    self.store = store
    let manager = try CredentialManager(
      definitions: configuration.credentials.map {
        try $0.definition(tokenTimeout: configuration.timeouts.token, among: configuration.credentials.count)
      },
      ports: ManagerPorts(
        transport: transport, store: store, timers: timers, clock: clock, publisher: publisher,
        callEnded: { [tracing] in tracing.callEnded($0) }),
      owner: String(UInt64.random(in: .min ... .max), radix: 36), randomSeed: .random(in: .min ... .max),
      tokenCallsPerHost: configuration.limits.tokenCallsPerHost
    ) { [logger, metrics, refreshes, clock, service] in
      metrics.credentials.note($1, of: $0)
      refreshes.note($1, of: $0, at: clock.now.wall)
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
        ready()
        service?.ready()
        reloads?.goOn()
      case .failure(let error): fail("the store can't be read: \(error.message)")
      }
    }
  }

  private func requestReload() {
    // One that can't be made is none.
    if isEnding { return logger.info("SIGHUP while the gateway is stopping does nothing") }
    reloads?.request(.signal)
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
      return try StoreWorker.postgres(loop, url: url, waitingAtMost: limit, cipher: cipher, opened: opened) {
        [unowned self] in
        metrics.credentials.note($0)
        StoreLog.write($0, to: logger)
        guard case .changed(let changes) = $0, let manager else { return }
        for change in changes {
          guard let credential = places.place(ofCredential: change.name) else { continue }
          manager.storeChanged(credential: credential, generation: change.generation)
        }
      }
    }
  }

  // MARK: Names

  /// Keeps the addresses of these upstreams fresh, and of no others.
  func watchNames(_ upstreams: [DataPlanePlan.Upstream]) {
    for watcher in lastWatchers { watcher.stop() }
    let used = Set(upstreams.map(\.place))
    lastWatchers = watchers.filter { !used.contains($0.key) }.map(\.value)
    watchers = watchers.filter { used.contains($0.key) }
    for upstream in upstreams where upstream.target.literalAddresses.isEmpty && watchers[upstream.place] == nil {
      let (host, port, place) = (upstream.target.host, upstream.target.port, upstream.place)
      watchers[place] = resolver.watch(host) { [unowned self] result in
        let message = NameAnswer.upstream(result, port: port)
        if case .failure(let failure) = result {
          logger.warning("upstream name not resolved", metadata: ["host": "\(host)", "reason": "\(failure.reason)"])
        }
        for mailbox in mailboxes { mailbox.send(.addresses(message, upstream: place)) }
      }
    }
  }

  // MARK: The data loops

  private func receive(_ message: ControlMessage) {
    switch message {
    case .lease(let question, let credential, let worker): answer(question, credential, worker)
    case .holding(let ticket): publisher.acknowledge(ticket)
    case .stoppedListening:
      listeningWorkers -= 1
      // Later callers are refused instead of left waiting.
      if listeningWorkers == 0 { listening.closeAll() }
    case .released(let socket): listening.released(socket)
    case .plansPrepared(let result): reloads?.prepared(result)
    case .planReleased(let generation): ledger.released(generation)
    case .failed(let reason): fail(reason)
    case .accessLogDropped(let lines, let reason): accessLog.note(dropped: lines, reason)
    case .counters(let part): metrics.receive(part)
    case .spans(let buffer, let worker): tracing.receive(buffer, from: worker)
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

  /// What scrapes and the status page tell, on this loop, within about a second.
  func metricsReport(_ completion: @escaping (MetricsReport) -> Void) {
    let counts = reloads?.counts ?? ReloadCounts(last: now.wall)
    metrics.report(manager, store, reloads: counts, spans: tracing.counts, at: clock, completion)
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
    reloads?.goOn()
    for mailbox in mailboxes { mailbox.send(.drain) }
    manager?.shutdown { [unowned self] in releaseStore() }
    drainDeadline = clock.now.boot + configuration.timeouts.drain
    drainTimer = timers.schedule(at: drainDeadline) { [unowned self] in
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
    // What was cut when the time was over is worth a moment more.
    let left = max(drainDeadline - clock.now.boot, .seconds(1))
    tracing.finish(within: left) { [self] in close() }
  }

  private func close() {
    transport.close()
    for watcher in Array(watchers.values) + lastWatchers { watcher.stop() }
    resolver.stop()
    accessLog.close()
    service?.close()
    loop.stop()
  }
}
