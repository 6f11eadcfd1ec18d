// What a data loop goes by: at its start, and anew after every reload.
internal import EventLoop
internal import TokenKit

/// Made for one loop, which shares nothing of it with the others that a request would touch.
struct LoopSettings: Sendable {
  let plan: DataPlanePlan
  let forwarding: Forwarding
  /// With places for all credentials of the plan.
  let leases: SharedLeaseState
  let log: LogConfiguration
  /// nil when there is none.
  let accessLog: AccessLogFile?
  let listening: [ListeningSocket]
}

/// A listening socket of the process, which belongs to the control loop.
struct ListeningSocket: Sendable {
  /// Of the socket, never used again.
  let id: Int
  let fd: Int32
  let address: SocketAddress
  /// The listener that it belongs to now.
  var place: Int
}

/// What goes on while a configuration is made ready for the loops. Nothing of it is in force.
struct PreparedPlans: Sendable {
  let loaded: LoadedConfiguration
  let inputs: PlanInputs
  /// One for each data loop.
  let plans: [DataPlanePlan]
  let forwarding: [Forwarding]

  /// Blocking, for as long as files are read and thousands of routes are rendered.
  /// - Parameters:
  ///   - places: where things stand so far.
  ///   - known: of the process.
  static func make(
    _ loaded: LoadedConfiguration, places: PlanPlaces, forwarding known: Forwarding, workers: Int
  ) -> Result<PreparedPlans, InvalidConfiguration> {
    var loaded = loaded
    if !loaded.configuration.isWorkerCountWritten { loaded.configuration.workers = workers }
    let configuration = loaded.configuration
    do throws(PlanInputs.Failure) {
      let inputs = try PlanInputs(configuration, places: places)
      let forwarding = Forwarding(
        known, sendsVia: configuration.via, trustedProxies: configuration.trustedProxies)
      return .success(
        PreparedPlans(
          loaded: loaded, inputs: inputs, plans: (0..<workers).map { _ in DataPlanePlan(inputs) },
          forwarding: (0..<workers).map { _ in Forwarding(copying: forwarding) }))
    } catch {
      let path = "routes[\(error.route)].upstream.ca_file"
      return .failure(InvalidConfiguration(problems: [loaded.problem(path, "can't be used: \(error)")]))
    }
  }
}
