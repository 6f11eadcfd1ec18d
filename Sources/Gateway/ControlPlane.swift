// The control loop: credentials, names, the admin listener, signals and the end of the process. One per process, on the
// thread that started it.
internal import EventLoop
internal import Logging
internal import TokenKit
internal import TokenService

/// Confined to the control loop.
final class ControlPlane {
  /// `handingOver`: as `serving`, but the store is another process's, or about to be.
  enum Phase { case starting, serving, handingOver, draining, ended }

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
  var store: StoreWorker?
  private(set) var manager: CredentialManager?
  private var receiver: Mailbox<ControlMessage>.Receiver?
  /// By the upstream's place.
  private var watchers: [Int: NameWatcher] = [:]
  /// Of upstreams that the last reload took away: requests may still wait for the first answer.
  private var lastWatchers: [NameWatcher] = []
  static let signals = [
    SignalSource.terminate, SignalSource.interrupt, SignalSource.hangup, SignalSource.reopen, SignalSource.replace,
    SignalSource.childEnded,
  ]
  private var signals: SignalSource?
  var phase = Phase.starting
  private var drainedWorkers = 0
  private var listeningWorkers: Int
  var isStoreReleased = false
  private var drainTimer: ManagerTimer?
  private var drainDeadline = BootInstant(nanoseconds: .max)
  let accessLog: AccessLogControl
  let tracing: TracingControl
  private(set) var reloads: ReloadControl?
  weak var admin: AdminServer?
  let adminSocket: Int32
  /// Who asks to take this process's place; nil until it serves, and when that can't be asked.
  var handover: HandoverServer?
  let successor: SuccessorStart
  /// The process whose place this one takes, until it is over.
  var predecessor: HandoverClient?
  /// To the process that has taken this one's place.
  var relay: LeaseRelay?
  /// The store is wanted back, and not open yet.
  var isTakingBack = false
  var reopening: StoreWorker?
  /// Why the last replacement came to nothing.
  var lastReplacementFailure: (reason: String, at: BootInstant)?
  private var loopWatch: LoopWatchdog?
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
    environment: [String: String], predecessor: HandoverClient?, program: ProgramStart?, ready: @escaping () -> Void
  ) throws {
    self.predecessor = predecessor
    successor = SuccessorStart(program, logger: shared.logger)
    adminSocket = shared.adminSocket
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
    // A store that another process holds is waited for as long as a drain may take. With a predecessor it is that process
    // which the service manager listens to.
    if predecessor == nil { service?.starting(within: configuration.timeouts.drain) }
    receiver = try control.attach(to: loop) { [unowned self] in receive($0) }
    signals = try SignalSource(loop, Self.signals) { [unowned self] in
      switch $0 {
      case SignalSource.reopen: accessLog.reopen()
      case SignalSource.hangup: requestReload()
      case SignalSource.replace: requestReplacement()
      case SignalSource.childEnded: successor.lookAfter { [unowned self] in if relay == nil { replacementFailed($0) } }
      default:
        logger.notice("signal received, draining", metadata: ["signal": "\($0)"])
        drain()
      }
    }
    if let predecessor { predecessor.askForStore(self) } else { try startCredentials(inheriting: []) }
  }

  /// - Parameter pairs: of the process before this one, which the store may not have.
  func startCredentials(inheriting pairs: [StoredCredential]) throws {
    let store = try openStore { [unowned self] result in
      if case .failure(let error) = result { fail("the store can't be opened: \(error.message)") }
    }
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
    manager.inherit(pairs)
    manager.start { [unowned self] result in
      if phase != .starting { return }
      switch result {
      case .success:
        phase = .serving
        // When what the start has taken is free again.
        _ = timers.schedule(at: clock.now.boot + .seconds(1)) { ProcessMemory.trim() }
        ready()
        if predecessor != nil {
          watchLoops()
        } else {
          service?.ready()
          awaitSuccessor(nil)
        }
        reloads?.goOn()
      case .failure(let error): fail("the store can't be read: \(error.message)")
      }
    }
  }

  private func requestReplacement() {
    if isEnding { return logger.info("SIGUSR2 while the gateway is stopping does nothing") }
    if handover == nil || handover?.isUnderWay == true || successor.isRunning {
      let reason = handover == nil ? "this process can't be replaced" : "another replacement is under way"
      return logger.warning("SIGUSR2 does nothing", metadata: ["reason": "\(reason)"])
    }
    if let failure = successor.start() { replacementFailed(failure) }
  }

  private func requestReload() {
    // One that can't be made is none.
    if isEnding { return logger.info("SIGHUP while the gateway is stopping does nothing") }
    reloads?.request(.signal)
  }

  /// The old process is told to stop accepting when every data loop turns, and so accepts itself.
  private func watchLoops() {
    loopWatch = LoopWatchdog(loop, mailboxes, interval: nil, firstTicket: 1 << 63) { [unowned self] in
      predecessor?.started()
    }
    loopWatch?.start()
  }

  func openStore(
    _ opened: @escaping (Result<Void, StoreError>) -> Void
  ) throws(SystemError) -> StoreWorker {
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
      if listeningWorkers == 0 { closeListeners() }
    case .released(let socket): handOn(listening.released(socket))
    case .plansPrepared(let result): reloads?.prepared(result)
    case .planReleased(let generation): ledger.released(generation)
    case .failed(let reason): fail(reason)
    case .accessLogDropped(let lines, let reason): accessLog.note(dropped: lines, reason)
    case .counters(let part): metrics.receive(part)
    case .spans(let buffer, let worker): tracing.receive(buffer, from: worker)
    case .turned(let ticket):
      service?.turned(ticket: ticket)
      loopWatch?.turned(ticket: ticket)
    case .drained:
      drainedWorkers += 1
      endIfDone()
    }
  }

  private func closeListeners() {
    handOn(listening.closeAll())
    for mailbox in mailboxes { mailbox.send(.listenersClosed) }
  }

  private func handOn(_ arrivals: [Arrival]) {
    for arrival in arrivals where !mailboxes[0].send(.arrived(arrival)) { Socket.close(arrival.fd) }
  }

  private func answer(_ question: LeaseQuestion, _ credential: Int, _ worker: Int) {
    guard case .want(let want) = question else { return tell(question, credential) }
    let mailbox = mailboxes[worker]
    ask(want, credential) { mailbox.send(.answer($0, credential: credential)) }
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

  func fail(_ reason: String) {
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
    case .serving, .handingOver: phase = .draining
    }
    handover?.stop()
    service?.stopping(within: configuration.timeouts.drain)
    reloads?.goOn()
    finishConnections()
    manager?.shutdown { [unowned self] in releaseStore() }
  }

  /// Accepts nothing any more, and lets what is going on come to its end.
  func finishConnections() {
    for mailbox in mailboxes { mailbox.send(.drain) }
    drainDeadline = clock.now.boot + configuration.timeouts.drain
    drainTimer = timers.schedule(at: drainDeadline) { [unowned self] in
      logger.warning("the drain time is over; what is left is cut")
      manager?.giveUp()
      for mailbox in mailboxes { mailbox.send(.abort) }
      predecessor?.close()
      predecessor = nil
      endIfDone()
    }
  }

  private func releaseStore() {
    // Another process has it, or it is being closed for one.
    guard let store else { return endIfDone() }
    store.close { [unowned self] result in
      if case .failure(let error) = result {
        logger.error("the store was not closed in order", metadata: ["error": "\(error.message)"])
      }
      isStoreReleased = true
      endIfDone()
    }
  }

  /// Whoever still needs leases from here is waited for, as long as a drain may take.
  func endIfDone() {
    guard phase == .draining, isStoreReleased, drainedWorkers == mailboxes.count, predecessor == nil else { return }
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
    loopWatch?.close()
    handover?.close()
    loop.stop()
  }
}
