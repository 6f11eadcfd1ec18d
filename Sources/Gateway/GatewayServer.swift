// Starts the process's threads and waits for their end: what `gateway serve` calls.
internal import EventLoop
internal import HTTPWire
internal import Logging

/// The gateway as a process: listeners, data loops, control loop.
package enum GatewayServer {
  /// Runs until a signal ends it.
  /// - Parameters:
  ///   - source: where a reload reads it again.
  ///   - environment: for what a service manager says in it (sd_notify, socket activation).
  /// - Throws: what keeps it from starting, in words for the person who starts it.
  package static func run(
    _ configuration: GatewayConfiguration, source: ConfigurationSource, environment: [String: String]
  ) throws(StartFailure) {
    Process.ignoreBrokenPipes()
    Process.forbidDumps()
    let settings = LogSettings(level: configuration.log.level, format: configuration.log.format)
    let logger = Logger(label: "gateway") { LineLogHandler(label: $0, settings) }
    do {
      try serve(configuration, source, environment, logger, settings)
    } catch let failure as StartFailure {
      throw failure
    } catch {
      throw StartFailure("\(error)")
    }
  }

  private static func serve(
    _ configuration: GatewayConfiguration, _ source: ConfigurationSource, _ environment: [String: String],
    _ logger: Logger, _ logSettings: LogSettings
  ) throws {
    try SignalSource.block([
      SignalSource.terminate, SignalSource.interrupt, SignalSource.hangup, SignalSource.reopen,
    ])
    let descriptors = Process.raiseDescriptorLimit()
    let shared = try ProcessShared(configuration, logger, logSettings, environment, descriptors: descriptors)
    let adminSocket = shared.adminSocket
    // Before the credentials are forgotten, which only the manager keeps.
    var plans = shared.mailboxes.map { _ in DataPlanePlan(shared.inputs, tenure: PlanTenure(0, shared.control)) }
    let connections = ProcessLimits.connectionLimit(configuration, shared.inputs.places, descriptors)
    if connections < configuration.limits.connections {
      logger.warning(
        "fewer callers than limits.connections, for want of descriptors",
        metadata: ["descriptors": "\(descriptors)", "connections": "\(connections)"])
    }
    var threads: [LoopThread.Handle] = []
    let loop = try EventLoop()
    var startError: (any Error)?
    var started: (() -> Void)?
    let plane = try ControlPlane(
      loop, shared, routed: plans.first?.credentials ?? [], source: source, environment: environment
    ) { started?() }
    started = { [unowned plane] in
      started = nil
      ProcessMemory.releaseStartupCode()
      do {
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
    let admin = try AdminServer(
      loop, fd: adminSocket, plane: plane, address: configuration.admin, token: configuration.adminToken)
    plane.admin = admin
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
