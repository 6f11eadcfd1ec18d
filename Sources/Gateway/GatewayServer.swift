// Starts the process's threads and waits for their end: what `gateway serve` calls.
package import EventLoop
internal import HTTPWire
internal import Logging

/// The gateway as a process: listeners, data loops, control loop.
package enum GatewayServer {
  /// Runs until a signal ends it.
  /// - Parameters:
  ///   - source: where a reload reads it again.
  ///   - environment: for what a service manager says in it (sd_notify, socket activation).
  ///   - replaces: takes the place of the gateway that runs, if one does.
  ///   - program: how to start another process that takes this one's place; nil: SIGUSR2 can't ask for one.
  /// - Throws: what keeps it from starting, in words for the person who starts it.
  package static func run(
    _ configuration: GatewayConfiguration, source: ConfigurationSource, environment: [String: String],
    replaces: Bool = false, program: ProgramStart? = nil
  ) throws(StartFailure) {
    Process.ignoreBrokenPipes()
    Process.forbidDumps()
    let settings = LogSettings(level: configuration.log.level, format: configuration.log.format)
    let logger = Logger(label: "gateway") { LineLogHandler(label: $0, settings) }
    do {
      try serve(configuration, source, environment, logger, settings, replaces: replaces, program)
    } catch let failure as StartFailure {
      throw failure
    } catch {
      throw StartFailure("\(error)")
    }
  }

  private static func serve(
    _ configuration: GatewayConfiguration, _ source: ConfigurationSource, _ environment: [String: String],
    _ logger: Logger, _ logSettings: LogSettings, replaces: Bool, _ program: ProgramStart?
  ) throws {
    try SignalSource.block(ControlPlane.signals)
    let descriptors = Process.raiseDescriptorLimit()
    // Otherwise not before the inherited descriptors were looked at: numbers that are free may be among those.
    let early = replaces ? try EventLoop() : nil
    let predecessor = try early.flatMap { try self.predecessor($0, configuration, logger) }
    // The kernel closes a dying process's sockets one after the other: what it was asked by may be gone before its ports.
    let mayBeEnding = replaces && predecessor?.isAlone ?? true
    let shared = try ProcessShared(
      configuration, logger, logSettings, environment, predecessor, patience: mayBeEnding ? .seconds(3) : .zero,
      descriptors: descriptors)
    let adminSocket = shared.adminSocket
    // Before the credentials are forgotten, which only the manager keeps.
    var plans = shared.mailboxes.map { _ in DataPlanePlan(shared.inputs, tenure: PlanTenure(0, shared.control)) }
    let connections = ProcessLimits.connectionLimit(configuration, shared.inputs.places, descriptors)
    Process.reserveDescriptors(
      ProcessLimits.descriptorsNeeded(configuration, shared.inputs.places, descriptors))
    if connections < configuration.limits.connections {
      logger.warning(
        "fewer callers than limits.connections, for want of descriptors",
        metadata: ["descriptors": "\(descriptors)", "connections": "\(connections)"])
    }
    var threads: [LoopThread.Handle] = []
    let loop = try early ?? EventLoop()
    var startError: (any Error)?
    var started: (() -> Void)?
    let plane = try ControlPlane(
      loop, shared, routed: plans.first?.credentials ?? [], source: source, environment: environment,
      predecessor: predecessor, program: program
    ) { started?() }
    var admin: AdminServer?
    let openAdmin = { [unowned plane] in
      let server = try AdminServer(
        loop, fd: adminSocket, plane: plane, address: configuration.admin, token: configuration.adminToken)
      plane.admin = server
      admin = server
    }
    started = { [unowned plane] in
      started = nil
      ProcessMemory.releaseStartupCode()
      do {
        // Until now the old process has answered there.
        if admin == nil { try openAdmin() }
        plane.watchNames(plans.first?.upstreams ?? [])
        for context in shared.contexts(plans) { threads.append(try start(context)) }
        // The loops have theirs.
        plans = []
        for socket in shared.listening.sockets {
          let address = (try? Socket.localAddress(socket.fd)) ?? socket.address
          let name = shared.inputs.places.listeners[socket.place]
          logger.notice("listening", metadata: ["listener": "\(name)", "address": "\(address)"])
        }
      } catch {
        startError = error
        loop.stop()
      }
    }
    try plane.start()
    if predecessor == nil { try openAdmin() }
    let adminAddress = (try? Socket.localAddress(adminSocket)) ?? configuration.admin
    logger.notice(
      "starting",
      metadata: [
        "version": "\(Version.text)", "admin": "\(adminAddress)", "workers": "\(configuration.workers)",
        "descriptors": "\(descriptors)",
      ])
    try loop.run()
    admin?.close()
    if let startError { throw startError }
    if let failure = plane.failure { throw StartFailure(failure) }
    for thread in threads { thread.join() }
    Socket.close(adminSocket)
    logger.notice("stopped")
  }

  /// The gateway that runs, with its sockets here; nil when none runs.
  private static func predecessor(
    _ loop: EventLoop, _ configuration: GatewayConfiguration, _ logger: Logger
  ) throws(StartFailure) -> HandoverClient? {
    guard
      let predecessor = try HandoverClient.connect(
        loop, to: configuration.handover, store: configuration.store.label)
    else {
      logger.notice("no gateway runs that could be replaced", metadata: ["handover": "\(configuration.handover)"])
      return nil
    }
    try predecessor.takeSockets()
    return predecessor
  }

  private static func start(_ context: WorkerContext) throws(SystemError) -> LoopThread.Handle {
    try LoopThread.start(name: "data-\(context.index)") {
      do {
        try Worker(context).run()
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
