// Starts the process's threads and waits for their end: what `gateway serve` calls.
internal import EventLoop
internal import HTTPWire
internal import Logging

/// The gateway as a process: listeners, data loops, control loop.
package enum GatewayServer {
  /// Runs until a signal ends it.
  /// - Parameter environment: for what a service manager says in it (sd_notify, socket activation).
  /// - Throws: what keeps it from starting, in words for the person who starts it.
  package static func run(
    _ configuration: GatewayConfiguration, environment: [String: String]
  ) throws(StartFailure) {
    Process.ignoreBrokenPipes()
    Process.forbidDumps()
    let log = configuration.log
    var logger = Logger(label: "gateway") { LineLogHandler(label: $0, level: log.level, format: log.format) }
    logger.logLevel = log.level
    do {
      try serve(configuration, environment, logger)
    } catch let failure as StartFailure {
      throw failure
    } catch {
      throw StartFailure("\(error)")
    }
  }

  private static func serve(
    _ configuration: GatewayConfiguration, _ environment: [String: String], _ logger: Logger
  ) throws {
    try SignalSource.block([
      SignalSource.terminate, SignalSource.interrupt, SignalSource.hangup, SignalSource.reopen,
    ])
    let descriptors = Process.raiseDescriptorLimit()
    let plan = try DataPlanePlan(configuration)
    let accessLog = try openAccessLog(configuration.log)
    let (listening, adminSocket) = try ListeningSockets.open(
      plan.listeners.map { ($0.name, $0.address) }, admin: configuration.admin, environment)

    let control = try Mailbox<ControlMessage>()
    let mailboxes = try (0..<configuration.workers).map { _ in try Mailbox<WorkerMessage>() }
    let connections = connectionLimit(configuration, plan, descriptors: descriptors)
    if connections < configuration.limits.connections {
      logger.warning(
        "fewer callers than limits.connections, for want of descriptors",
        metadata: ["descriptors": "\(descriptors)", "connections": "\(connections)"])
    }
    let leases = SharedLeaseState(
      credentials: configuration.credentials.count, routed: plan.credentials, parked: configuration.limits.parked)
    let contexts = try contexts(configuration, connections, leases, mailboxes, control, accessLog)
    var threads: [LoopThread.Handle] = []
    let loop = try EventLoop()
    var startError: (any Error)?
    let plane = try ControlPlane(
      loop, configuration, plan, logger: logger, mailboxes: mailboxes, control: control, leases: leases,
      accessLog: accessLog, environment: environment,
      stopListening: { [listening] in
        for fd in listening { Socket.close(fd) }
      }
    ) { [listening] in
      ProcessMemory.releaseStartupCode()
      do {
        for context in contexts { threads.append(try start(context, listening)) }
        for (listener, fd) in zip(plan.listeners, listening) {
          let address = (try? Socket.localAddress(fd)) ?? listener.address
          logger.notice("listening", metadata: ["listener": "\(listener.name)", "address": "\(address)"])
        }
      } catch {
        startError = error
        loop.stop()
      }
    }
    try plane.start()
    let admin = try AdminServer(
      loop, fd: adminSocket, plane: plane, address: configuration.admin, token: configuration.adminToken)
    let adminAddress = (try? Socket.localAddress(adminSocket)) ?? configuration.admin
    logger.notice(
      "starting",
      metadata: [
        "version": "\(Version.text)", "admin": "\(adminAddress)", "workers": "\(configuration.workers)",
        "descriptors": "\(descriptors)",
      ])
    try loop.run()
    admin.close()
    if let startError { throw startError }
    if let failure = plane.failure { throw StartFailure(failure) }
    for thread in threads { thread.join() }
    Socket.close(adminSocket)
    logger.notice("stopped")
  }

  /// Callers must not take the descriptors that their requests need upstream: those get a quarter at most, and what the
  /// process needs for itself is not counted in.
  private static func connectionLimit(
    _ configuration: GatewayConfiguration, _ plan: DataPlanePlan, descriptors: UInt64
  ) -> Int {
    // 0: the limit is not known.
    if descriptors == 0 { return configuration.limits.connections }
    let available = Int(clamping: descriptors)
    let upstream = plan.upstreamConnections.reduce(0, +)
    let own = 16 + 8 * configuration.workers
    return min(configuration.limits.connections, max(1, available - own - min(upstream, available / 4)))
  }

  private static func openAccessLog(_ configuration: LogConfiguration) throws(StartFailure) -> AccessLogFile? {
    do {
      return try AccessLogFile.open(configuration.access)
    } catch {
      let place =
        switch configuration.access {
        case .file(let path): path
        case .standardOutput: "standard output"
        case .off, .standardError: "standard error"
        }
      throw StartFailure("the access log can't be written to \(place): \(error)")
    }
  }

  private static func contexts(
    _ configuration: GatewayConfiguration, _ connections: Int, _ leases: SharedLeaseState,
    _ mailboxes: [Mailbox<WorkerMessage>],
    _ control: Mailbox<ControlMessage>, _ accessLog: AccessLogFile?
  ) throws(TLSError) -> [WorkerContext] {
    let forwarding = Forwarding(sendsVia: configuration.via, trustedProxies: configuration.trustedProxies)
    let memory = ReplayMemory(limit: configuration.limits.replayMemory)
    let loads = mailboxes.map { _ in WorkerLoad() }
    let places = ProcessLimit(connections)
    return try mailboxes.indices.map { index throws(TLSError) in
      WorkerContext(
        index: index, plan: try DataPlanePlan(configuration), credentials: leases.count, log: configuration.log,
        forwarding: forwarding,
        leases: leases,
        connections: places, replayMemory: memory, loads: loads,
        mailboxes: mailboxes, control: control, accessLog: accessLog)
    }
  }

  private static func start(
    _ context: WorkerContext, _ listening: [Int32]
  ) throws(SystemError) -> LoopThread.Handle {
    try LoopThread.start(name: "data-\(context.index)") {
      do {
        try Worker(context).run(listening: listening)
      } catch {
        context.control.send(.failed("data loop \(context.index) ended: \(error)"))
      }
    }
  }
}

/// Why the gateway does not start, in words for a person.
package struct StartFailure: Error, CustomStringConvertible {
  package var description: String
  init(_ description: String) { self.description = description }
}

/// The version of this build.
package enum Version {
  package static let text = "0.1.0"
}
