// What the threads of the process share from its start on.
internal import EventLoop
internal import Logging
internal import TokenKit

/// Made before any loop.
struct ProcessShared {
  let inputs: PlanInputs
  let logger: Logger
  let logSettings: LogSettings
  let accessLog: AccessLogFile?
  let listening: ListenerSet
  let adminSocket: Int32
  let limits: ProcessLimits
  let leases: SharedLeaseState
  let forwarding: Forwarding
  let mailboxes: [Mailbox<WorkerMessage>]
  let control: Mailbox<ControlMessage>

  /// Opens what has to be open before the store is.
  init(
    _ configuration: GatewayConfiguration, _ logger: Logger, _ logSettings: LogSettings,
    _ environment: [String: String], _ predecessor: HandoverClient?, patience: Duration, descriptors: UInt64
  ) throws {
    inputs = try PlanInputs(configuration)
    self.logger = logger
    self.logSettings = logSettings
    accessLog = try Self.openAccessLog(configuration.log)
    let sockets = try ListeningSockets.open(
      configuration.listeners.map { ($0.name, $0.address) }, admin: configuration.admin, environment, predecessor,
      patience: patience)
    listening = ListenerSet(workers: configuration.workers, configuration, inputs.places, sockets.listeners)
    adminSocket = sockets.admin
    limits = ProcessLimits(configuration, inputs.places, descriptors: descriptors)
    let list = inputs.places.ofCredentials
    leases = SharedLeaseState(
      credentials: inputs.places.credentials.count,
      routed: Set(configuration.routes.compactMap(\.credential).map { list[$0] }), parked: configuration.limits.parked)
    forwarding = Forwarding(sendsVia: configuration.via, trustedProxies: configuration.trustedProxies)
    mailboxes = try (0..<configuration.workers).map { _ in try Mailbox<WorkerMessage>() }
    control = try Mailbox<ControlMessage>()
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

  /// What each data loop starts with.
  func contexts(_ plans: [DataPlanePlan]) -> [WorkerContext] {
    let loads = mailboxes.map { _ in WorkerLoad() }
    return mailboxes.indices.map { index in
      WorkerContext(
        index: index,
        settings: FirstSettings(
          LoopSettings(
            plan: plans[index], forwarding: Forwarding(copying: forwarding), leases: leases,
            log: inputs.configuration.log, accessLog: accessLog, tracing: inputs.configuration.otlp?.tracing,
            listening: listening.sockets, relays: limits.relays(inputs.configuration))),
        connections: limits.connections, replayMemory: limits.replayMemory, loads: loads, mailboxes: mailboxes,
        control: control)
    }
  }
}
