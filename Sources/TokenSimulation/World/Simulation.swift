// One simulated world: replicas, their store, token servers, callers, and all that goes wrong. Everything follows from the
// seed; no thread, no clock, no I/O.

internal import TokenKit
internal import TokenService

/// A whole life of one or two credentials.
final class Simulation {
  let seed: UInt64
  let mutation: Mutation?
  let plan: SimulationPlan
  let isTraced: Bool
  var random: RandomSource
  /// How likely things go wrong now: the plan's until faults end, then none.
  var rates: FaultRates
  private(set) var now: Int64 = 1000 * Span.second
  private var happenings = Happenings()
  var servers: [TokenServer]
  var database: Database
  /// All processes that ever were.
  var replicas: [Replica] = []
  /// The serial of the process at each place; -1: none.
  var places: [Int]
  /// How far each place's wall clock is off, in milliseconds.
  var wallOffsets: [Int64]
  var calls: [TokenCall] = []
  var losses: [LossTrack]
  var arrivalsLeft: Int
  var isClockStepped = false
  var hasFailedOver = false
  var incidents = Incidents()
  /// What processes that were replaced had only in memory, by place.
  var heirlooms: [Int: [StoredCredential]] = [:]
  var recovery: Recovery?
  var outcome = SimulationOutcome()
  private let definitions: [CredentialDefinition]
  private var isOver = false

  init(seed: UInt64, mutation: Mutation? = nil, isTraced: Bool = false) {
    self.seed = seed
    self.mutation = mutation
    self.isTraced = isTraced
    var random = RandomSource(seed: seed)
    let plan = SimulationPlan(&random)
    self.plan = plan
    rates = plan.rates
    servers = plan.servers.enumerated().map { TokenServer(credential: $0, rules: $1) }
    database = Database(credentials: plan.servers.count, mutation: mutation)
    places = [Int](repeating: -1, count: plan.replicas)
    wallOffsets = (0..<plan.replicas).map { _ in random.below(21 as Int64) - 10 }
    losses = [LossTrack](repeating: LossTrack(), count: plan.servers.count)
    arrivalsLeft = plan.arrivals
    definitions = plan.servers.enumerated().map { Self.definition($0, $1, mutation) }
    self.random = random
  }

  private static func definition(
    _ credential: Int, _ rules: TokenServerRules, _ mutation: Mutation?
  ) -> CredentialDefinition {
    var policy = RefreshPolicy()
    if mutation == .backoffMissing {
      policy.backoffBase = .milliseconds(1)
      policy.backoffFloor = .milliseconds(1)
      policy.backoffCapAtRest = .milliseconds(1)
      policy.backoffCapWhenAsked = .milliseconds(1)
      policy.firstRetryAfterUnanswered = .milliseconds(1)
    }
    let seed = TokenName(credential: credential, family: 0, number: 0)
    return CredentialDefinition(
      name: "c\(credential)",
      material: CredentialMaterial(
        provider: SimulatedProvider(rules: rules, credential: credential),
        seed: rules.usesRefreshToken ? Secret(seed.refreshText) : nil), policy: policy)
  }

  // MARK: Time

  /// The true wall clock, in milliseconds since 1970.
  var trueWall: Int64 { 1_750_000_000_000 + now / Span.millisecond }
  func wall(at place: Int) -> Int64 { trueWall + wallOffsets[place] }

  func add(_ kind: Happening.Kind, at time: Int64, _ replica: Replica? = nil, _ number: UInt64 = 0) {
    happenings.add(
      Happening(at: time, kind: kind, process: Int32(truncatingIfNeeded: replica?.serial ?? -1), number: number))
  }

  func storeLatency() -> Int64 {
    random.chance(15) ? 400 * Span.millisecond : random.below((plan.isShared ? 3 : 6) * Span.millisecond)
  }

  // MARK: The life

  /// Lives until all is well again, or something is wrong.
  func run() -> SimulationOutcome {
    trace("\(plan)")
    for place in places.indices {
      add(.start, at: now + (place == 0 ? 0 : random.below(3 * Span.second)), nil, UInt64(place))
    }
    add(.arrival, at: now + random.below(2 * Span.second))
    while !isOver, let next = happenings.next() {
      now = next.at
      outcome.steps += 1
      happen(next)
      if outcome.steps > 200_000 { violate(.servesAgain, "this life does not end") }
    }
    if !isOver { violate(.servesAgain, "nothing happens any more") }
    for replica in replicas { replica.dispose() }
    for index in calls.indices { calls[index].completion = nil }
    return outcome
  }

  func end() { isOver = true }

  func violate(_ invariant: Invariant, _ text: String) {
    trace("VIOLATION of \(invariant.rawValue): \(text)")
    if outcome.violation == nil { outcome.violation = Violation(invariant: invariant, text: text) }
    isOver = true
  }

  func trace(_ text: @autoclosure () -> String) {
    guard isTraced else { return }
    let time = now - 1000 * Span.second
    let millis = time / Span.millisecond
    let rest = String((time % Span.millisecond) / Span.microsecond + 1000).dropFirst()
    outcome.trace.append("\(millis).\(rest) ms  \(text())")
  }

  private func happen(_ next: Happening) {
    guard next.process >= 0 else {
      switch next.kind {
      case .arrival: arrival()
      case .start: startProcess(Int(next.number))
      case .callArrives: callArrived(Int(next.number))
      case .connectionReaped: database.disconnect(next.number)
      case .faultEnds: incidentEnds(next.number)
      case .probe: probe()
      default: break
      }
      return
    }
    let replica = replicas[Int(next.process)]
    let number = next.number
    switch next.kind {
    case .callArrives: callArrived(Int(number))
    case .connectionReaped: reap(number, of: replica)
    default:
      guard replica.isAlive else { return }
      switch next.kind {
      case .timer: replica.fire(number)
      case .storeStep: replica.storeStep(number)
      case .callEnds: callEnded(Int(number), replica)
      case .upstream: replica.upstreamAnswered(Int(number))
      case .notice: notice(replica, Int(number))
      case .poll: poll(replica)
      case .holdKnown:
        let known = replica.credentials[Int(number)].holds
        replica.credentials[Int(number)].holds = nil
        known?()
      case .letGoOver: letGoEnds(replica, wasAway: number == 1)
      case .drainOver: if replica.isDraining { replica.manager?.giveUp() }
      default: break
      }
    }
    if replica.isAlive, !replica.inbox.isEmpty { replica.readInbox() }
  }

  // MARK: Processes

  func startProcess(_ place: Int) {
    guard places[place] < 0 else { return }
    let replica = Replica(serial: replicas.count, place: place, world: self, credentials: servers.count)
    replicas.append(replica)
    places[place] = replica.serial
    if random.chance(rates.crash * 8) { replica.effectsLeft = random.below(24) }
    trace("\(replica.owner) starts at place \(place)")
    let pairs = heirlooms.removeValue(forKey: place) ?? []
    replica.start(definitions: definitions, randomSeed: random.next(), inheriting: pairs)
  }

  func kill(_ replica: Replica, _ why: String) {
    guard replica.isAlive else { return }
    trace("\(replica.owner) ends: \(why)")
    let connection = replica.store.connection
    replica.dispose()
    judgeEnd(of: replica)
    places[replica.place] = -1
    if connection != 0 {
      // A process that dies takes its connections along; a machine that dies doesn't say so.
      if random.chance(700) {
        database.disconnect(connection)
      } else {
        add(.connectionReaped, at: now + random.below(3 * Span.second), nil, connection)
      }
    }
    let isSoon = recovery != nil || random.chance(500)
    let pause = isSoon ? random.below(Span.second) : random.below(8 * Span.second)
    add(.start, at: now + pause, nil, UInt64(replica.place))
  }

  /// The process at a place that callers reach.
  func replica(at place: Int) -> Replica? {
    guard places[place] >= 0 else { return nil }
    let replica = replicas[places[place]]
    return replica.isAlive && !replica.isDraining ? replica : nil
  }

  // MARK: Callers

  private func arrival() {
    if arrivalsLeft == 0 {
      faultsEnd()
      return
    }
    arrivalsLeft -= 1
    if random.chance(rates.incident) { incident() }
    if let replica = replica(at: random.below(places.count)) {
      var request = DataLoop.Request(credential: random.below(servers.count), route: UInt32(random.below(3)))
      if random.chance(plan.badRouteShare * 10) { request.route = 9 }
      trace("\(replica.owner) c\(request.credential) request on route \(request.route)")
      replica.arrive(request)
      if replica.isAlive { replica.readInbox() }
    }
    let pause = random.chance(300) ? random.below(50 * Span.millisecond) : random.below(plan.longestPause)
    add(.arrival, at: now + pause)
  }
}
