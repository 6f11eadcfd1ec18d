// A small world for random schedules: processes that crash and start again on one store, a rotating server, lost replies,
// broken stores. It checks the promises after every step and keeps a trace that replays from its seed.

import GatewayTesting
import TokenKit

@testable import TokenService

/// One random life of one credential. Everything follows from the seed.
final class ManagerWorld {
  /// How likely things go wrong, in thousandths.
  struct Faults {
    var refused = 0
    var requestLost = 0
    var replyLost = 0
    var serverError = 0
    var garbled = 0
    var storeFailed = 0
    var storeAnswerLost = 0
    var crash = 0
  }

  /// A gateway process.
  final class Process {
    let name: String
    let store: MemoryStore
    let manager: CredentialManager
    let publisher: RecordingPublisher
    var isAlive = true
    var inFlight = 0
    /// Refresh tokens whose successor this process has in memory.
    var spent: Set<String> = []
    var asked = 0
    var answered = 0

    init(name: String, store: MemoryStore, manager: CredentialManager, publisher: RecordingPublisher) {
      self.publisher = publisher
      self.name = name
      self.store = store
      self.manager = manager
    }
  }

  /// Sends to the model server through the world's network.
  final class Network: GrantTransport {
    weak var world: ManagerWorld?
    weak var process: Process?

    func send(
      _ request: GrantRequest, options: GrantTransportOptions,
      completion: @escaping (Result<GrantResponse, GrantTransportFailure>) -> Void
    ) {
      guard let world, let process else { return }
      world.send(request.body.reveal(), from: process, completion)
    }
  }

  let seed: UInt64
  let clock = ManualClock()
  let shared: SharedStore
  var random: RandomSource
  var faults = Faults()
  var server: RotatingServerModel
  let lifetime: Int
  var processes: [Process] = []
  var starts = 0
  /// Refresh tokens whose successor has been in the store.
  var spent: Set<String> = []
  /// The server has rotated and no living process has the pair durable: without a grace window this is a loss.
  var isPairAtRisk = false
  var lossesSeen = 0
  var calls = 0
  var violations: [String] = []
  /// Rendered only when somebody wants to read it.
  private var steps: [(at: BootInstant, who: String, text: String, event: CredentialEvent?)] = []

  var trace: [String] {
    steps.map { step in
      let milliseconds = step.at.nanoseconds / 1_000_000
      return "\(milliseconds) \(step.who)\(step.event.map { " \($0)" } ?? step.text)"
    }
  }

  init(seed: UInt64) {
    self.seed = seed
    var random = RandomSource(seed: seed)
    let replicas = random.next() % 3 == 0 ? 2 : 1
    shared = SharedStore(StoreModel(isShared: replicas > 1))
    let grace: Duration = [.zero, .zero, .seconds(5), .seconds(30)][Int(random.next() % 4)]
    server = RotatingServerModel(
      seed: "seed", rotation: random.next() % 6 == 0 ? .none : .rotating(grace: grace))
    lifetime = [2, 3, 5, 20, 120][Int(random.next() % 5)]
    self.random = random
    chooseFaults()
    shared.onSave = { [weak self] row, old in self?.saved(row, over: old) }
    for index in 0..<replicas { start(index) }
  }

  private func chance(_ thousandths: Int) -> Bool { Int(random.next() % 1000) < thousandths }

  private func chooseFaults() {
    func some(_ most: UInt64) -> Int { random.next() % 2 == 0 ? 0 : Int(random.next() % most) }
    faults = Faults(
      refused: some(300), requestLost: some(150), replyLost: some(150), serverError: some(200), garbled: some(100),
      storeFailed: some(300), storeAnswerLost: some(200), crash: some(80))
  }

  func note(_ text: String) { steps.append((clock.now.boot, "", text, nil)) }

  func violate(_ text: String) {
    note("VIOLATION \(text)")
    violations.append(text)
  }

  // MARK: processes

  func start(_ index: Int) {
    starts += 1
    let name = "process-\(starts)"
    let store = MemoryStore(shared, owner: name, clock: clock)
    store.latency = { [weak self] in
      guard let self else { return .zero }
      return chance(20) ? .milliseconds(400) : .microseconds(Int64(random.next() % 8000))
    }
    store.fault = { [weak self] operation in
      guard let self, operation != .load else { return .none }
      if chance(faults.storeFailed) { return .failed }
      return chance(faults.storeAnswerLost) ? .answerLost : .none
    }
    let network = Network()
    network.world = self
    let publisher = RecordingPublisher()
    let definition = CredentialDefinition(
      name: "vinid", material: CredentialMaterial(provider: PlainProvider(), seed: Secret("seed")))
    guard
      let manager = try? CredentialManager(
        definitions: [definition],
        ports: ManagerPorts(
          transport: network, store: store, timers: clock, clock: clock, publisher: publisher),
        owner: name, randomSeed: random.next(), fingerprinter: .forTests,
        onEvent: { [weak self] in self?.logged(name, $1) })
    else {
      violate("no manager")
      return
    }
    let process = Process(name: name, store: store, manager: manager, publisher: publisher)
    network.process = process
    networks.append(network)
    if index < processes.count { processes[index] = process } else { processes.append(process) }
    note("\(name) starts")
    manager.start { [weak self] result in
      if case .failure = result { self?.violate("start failed") }
    }
  }

  private var networks: [Network] = []

  func crash(_ index: Int) {
    let process = processes[index]
    note("\(process.name) is killed")
    process.isAlive = false
    process.store.isAlive = false
    shared.model.disconnect(owner: process.name)
    start(index)
  }

  private func logged(_ name: String, _ event: CredentialEvent) {
    steps.append((clock.now.boot, name, "", event))
    guard case .loginNeeded(let reason, let code) = event else { return }
    lossesSeen += 1
    if !isPairAtRisk { violate("\(name) gave up a credential that was not lost: \(reason) \(code)") }
    let isQuiet = faults.storeFailed == 0 && faults.storeAnswerLost == 0
    if isQuiet, reason != .lostReply { violate("\(name) says \(reason) for a lost reply") }
  }

  // MARK: the token endpoint

  func send(
    _ token: String, from process: Process,
    _ completion: @escaping (Result<GrantResponse, GrantTransportFailure>) -> Void
  ) {
    guard process.isAlive else { return }
    calls += 1
    note("\(process.name) sends \(token)")
    if spent.contains(token) { violate("\(process.name) sends \(token), whose successor is in the store") }
    if process.spent.contains(token) { violate("\(process.name) sends \(token), whose successor it has") }
    process.inFlight += 1
    if process.inFlight > 1 { violate("\(process.name) has \(process.inFlight) grants in flight") }
    let storeIsReliable = faults.storeFailed == 0 && faults.storeAnswerLost == 0
    if storeIsReliable, processes.filter({ $0.isAlive && $0.inFlight > 0 }).count > 1 {
      violate("two replicas have grants in flight")
    }
    func finish(after delay: Duration, _ result: Result<GrantResponse, GrantTransportFailure>) {
      clock.schedule(after: delay) {
        guard process.isAlive else { return }
        process.inFlight -= 1
        completion(result)
      }
    }
    if chance(faults.refused) {
      finish(after: .milliseconds(1), .failure(GrantTransportFailure(code: "connect_refused", mayHaveBeenSent: false)))
      return
    }
    if chance(faults.requestLost) {
      finish(after: .seconds(5), .failure(GrantTransportFailure(code: "timeout", mayHaveBeenSent: true)))
      return
    }
    let there = Duration.microseconds(Int64(random.next() % 60_000))
    let back = Duration.microseconds(Int64(random.next() % 60_000))
    clock.schedule(after: there) { [weak self] in
      self?.process(token, from: process, back: back, finish: finish)
    }
  }

  private func process(
    _ token: String, from process: Process, back: Duration,
    finish: @escaping (Duration, Result<GrantResponse, GrantTransportFailure>) -> Void
  ) {
    if chance(faults.serverError) {
      finish(back, .success(GrantResponse(status: chance(500) ? 503 : 429, body: [])))
      return
    }
    let answer = server.refresh(token, at: clock.now.boot)
    switch answer {
    case .invalidGrant:
      note("server says invalid_grant")
      finish(back, .success(GrantResponse(status: 400, body: [])))
    case .pair(let access, let refresh):
      note("server gives \(access) and \(refresh ?? "no refresh token")")
      if refresh != nil { isPairAtRisk = true }
      if chance(faults.replyLost) {
        finish(.seconds(5), .failure(GrantTransportFailure(code: "timeout", mayHaveBeenSent: true)))
      } else if chance(faults.garbled) {
        finish(back, .success(GrantResponse(status: 200, body: Array("<html>".utf8))))
      } else {
        clock.schedule(after: back) { if process.isAlive, refresh != nil { process.spent.insert(token) } }
        finish(
          back, .success(GrantResponse(status: 200, body: Array("\(access) \(refresh ?? "") \(lifetime)".utf8))))
      }
    }
  }

  private func saved(_ row: StoredCredential, over old: Secret?) {
    note("store has generation \(row.generation)")
    if let old, old != row.refreshToken { spent.insert(old.reveal()) }
    if row.refreshToken?.reveal() == server.current, !server.isRevoked { isPairAtRisk = false }
  }

  // MARK: callers

  func ask(_ process: Process) {
    guard process.isAlive else { return }
    let held = process.publisher.published.last?.lease
    process.asked += 1
    let cause: LeaseWant.Cause = chance(300) ? .rejected(route: UInt32(random.next() % 3)) : .missing
    let above = cause == .missing && chance(800) ? nil : held?.generation
    if chance(500), let held { process.manager.accepted(credential: 0, generation: held.generation) }
    if chance(10) { process.manager.replayRejected(credential: 0, route: UInt32(random.next() % 3)) }
    process.manager.want(credential: 0, LeaseWant(above: above, cause: chance(5) ? .admin : cause)) {
      [weak self, weak process] answer in
      guard let self, let process else { return }
      process.answered += 1
      if case .success(let lease) = answer {
        if lease.generation == above { violate("an answer is the lease that was not wanted") }
        if !lease.isUsable(at: clock.now.boot) { violate("an answer is a lease that is over") }
      }
    }
  }

  // MARK: the schedule

  /// Lives for a while with faults, then without; then everything must be well again.
  func run() {
    for _ in 0..<120 {
      clock.advance(by: .milliseconds(Int64(random.next() % 800)))
      let index = Int(random.next() % UInt64(processes.count))
      ask(processes[index])
      if chance(faults.crash) { crash(index) }
      tellOfChanges()
    }
    note("faults end")
    faults = Faults()
    // Somebody asks: then back-offs are short, and a crashed replica's mark is taken over after 5 s.
    for _ in 0..<15 {
      clock.advance(by: .seconds(4))
      for process in processes { ask(process) }
      tellOfChanges()
    }
    for process in processes {
      // A grant may be under way at this very moment.
      for _ in 0..<100 where !isWell(process) { clock.advance(by: .milliseconds(100)) }
      let status = process.manager.status[0]
      if status.state == .needsLogin {
        if !isPairAtRisk { violate("\(process.name) still needs a login") }
      } else if !status.isServing {
        violate("\(process.name) does not serve again: \(status.state)")
      }
      if process.asked != process.answered {
        violate("\(process.name) was asked \(process.asked) times and gave \(process.answered) answers")
      }
      if status.alarms.contains(.pairNotStored) { violate("\(process.name) has an unsaved pair") }
    }
  }

  private func isWell(_ process: Process) -> Bool {
    let status = process.manager.status[0]
    return process.asked == process.answered && (status.isServing || status.state == .needsLogin)
  }

  private func tellOfChanges() {
    guard shared.model.isShared, chance(300), let row = shared.model.rows["vinid"] else { return }
    for process in processes { process.manager.storeChanged(credential: 0, generation: row.generation) }
  }
}
