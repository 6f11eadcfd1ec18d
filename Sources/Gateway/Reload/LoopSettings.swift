// What a data loop goes by: at its start, and anew after every reload.
internal import EventLoop
internal import Synchronization
internal import TokenKit
internal import TokenService

/// Made for one loop, which shares nothing of it with the others that a request would touch.
struct LoopSettings: Sendable {
  let plan: DataPlanePlan
  let forwarding: Forwarding
  /// With places for all credentials of the plan.
  let leases: SharedLeaseState
  let log: LogConfiguration
  /// nil when there is none.
  let accessLog: AccessLogFile?
  /// nil: requests are not traced.
  let tracing: TracingSettings?
  let listening: [ListeningSocket]
  /// Large bodies that are passed on without a look at a time.
  let relays: Int
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

/// What a data loop starts with, which it takes: nothing of it may outlive the first reload.
final class FirstSettings: Sendable {
  private let settings: Mutex<LoopSettings?>
  init(_ settings: LoopSettings) { self.settings = Mutex(settings) }

  func take() -> LoopSettings? {
    settings.withLock { settings in
      defer { settings = nil }
      return settings
    }
  }
}

/// What goes on while a configuration is made ready for the loops. Nothing of it is in force.
struct PreparedPlans: Sendable {
  let generation: Int
  let loaded: LoadedConfiguration
  let inputs: PlanInputs
  /// One for each data loop.
  let plans: [DataPlanePlan]
  let forwarding: [Forwarding]
  let credentials: CheckedCredentials

  /// Blocking, for as long as files are read and thousands of routes are rendered.
  /// - Parameters:
  ///   - places: where things stand so far.
  ///   - known: of the process.
  ///   - checker: the credential manager's.
  ///   - generation: its number.
  static func make(
    _ loaded: LoadedConfiguration, places: PlanPlaces, free: PlanPlaces.Chosen, forwarding known: Forwarding,
    workers: Int, checker: CredentialChecker, generation: Int, control: Mailbox<ControlMessage>
  ) -> Result<PreparedPlans, InvalidConfiguration> {
    var loaded = loaded
    if !loaded.configuration.isWorkerCountWritten { loaded.configuration.workers = workers }
    let configuration = loaded.configuration
    let inputs: PlanInputs
    do throws(PlanInputs.Failure) {
      inputs = try PlanInputs(configuration, places: places, free: free)
    } catch {
      let path = "routes[\(error.route)].upstream.ca_file"
      return .failure(InvalidConfiguration(problems: [loaded.problem(path, "can't be used: \(error)")]))
    }
    let credentials: CheckedCredentials
    do throws(PreparationFailure) {
      credentials = try checker.check(try definitions(configuration, inputs.places))
    } catch {
      return .failure(InvalidConfiguration(problems: [problem(error, loaded)]))
    }
    let forwarding = Forwarding(
      known, sendsVia: configuration.via, trustedProxies: configuration.trustedProxies)
    let plans = (0..<workers).map { _ in DataPlanePlan(inputs, tenure: PlanTenure(generation, control)) }
    // Those that were checked are all that is needed of them; there may be very many, which take their time to go.
    configuration.forgetCredentials()
    return .success(
      PreparedPlans(
        generation: generation, loaded: loaded, inputs: inputs, plans: plans,
        forwarding: (0..<workers).map { _ in Forwarding(copying: forwarding) }, credentials: credentials))
  }

  private static func definitions(
    _ configuration: GatewayConfiguration, _ places: PlanPlaces
  ) throws(PreparationFailure) -> [(place: Int, definition: CredentialDefinition)] {
    let list = configuration.credentials
    var definitions: [(place: Int, definition: CredentialDefinition)] = []
    definitions.reserveCapacity(list.count)
    for (credential, place) in zip(list, places.ofCredentials) {
      do throws(InjectionRules.Malformed) {
        let definition = try credential.definition(tokenTimeout: configuration.timeouts.token, among: list.count)
        definitions.append((place, definition))
      } catch {
        throw .definition(
          credential: credential.name, .injection(credential: credential.name, error))
      }
    }
    return definitions
  }

  /// What keeps credentials from being taken, at its place in the file.
  static func problem(_ failure: PreparationFailure, _ loaded: LoadedConfiguration) -> SettingsProblem {
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
}
