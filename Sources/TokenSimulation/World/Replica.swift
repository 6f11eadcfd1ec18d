// One gateway process in a simulated world: the real credential manager, and the ports by which the world gets at it.

internal import TokenKit
internal import TokenService

/// A process from its start to its end. It is not started a second time: what follows it is another one.
final class Replica {
  /// Its place in `Simulation.replicas`.
  let serial: Int
  /// Which of the replicas it is; a process that follows another one has its place.
  let place: Int
  unowned let world: Simulation
  let owner: String
  let startedAt: Int64
  private(set) var manager: CredentialManager?
  var isAlive = true
  /// After SIGTERM.
  var isDraining = false
  /// Another process is to have the store.
  var isLettingGo = false
  /// It has said that nothing is under way: from then on it asks nothing of the store, and makes no call.
  var hasLetGo = false
  /// Effects left until it is killed; -1: it isn't.
  var effectsLeft = -1
  var timers: [(id: UInt64, action: () -> Void)] = []
  var lastTimer: UInt64 = 0
  /// The operations on their way to the store.
  var store = StoreQueue()
  var loop: DataLoop
  /// What the data loops have yet to hear.
  var inbox: [DataLoop.Message] = []
  /// When it last was cut off from the store.
  var lastCutOff: Int64 = .min
  var credentials: [CredentialTrack]

  /// What the checkers know of one credential in this process.
  struct CredentialTrack {
    /// The newest refresh token that came to it in an answer.
    var received: TokenName?
    var receivedAt: Int64 = 0
    var inFlight = 0
    /// When its last mark became durable.
    var markedAt: Int64 = .min
    /// It has said that a login is needed, and nothing has happened since that would change it.
    var saysLoginNeeded = false
    var calls = CallHistory()
    var cause = GrantCause.missing
    /// Calls of this process whose answers never came, with the token that the last of them sent.
    var unanswered: TokenName?
    var holds: (() -> Void)?
  }

  init(serial: Int, place: Int, world: Simulation, credentials: Int) {
    self.serial = serial
    self.place = place
    self.world = world
    owner = "p\(serial)"
    startedAt = world.now
    loop = DataLoop(credentials: credentials)
    self.credentials = [CredentialTrack](repeating: CredentialTrack(), count: credentials)
  }

  /// Makes the manager and lets it read its rows.
  func start(definitions: [CredentialDefinition], randomSeed: UInt64, inheriting pairs: [StoredCredential]) {
    let manager: CredentialManager
    do {
      manager = try CredentialManager(
        definitions: definitions,
        ports: ManagerPorts(transport: self, store: self, timers: self, clock: self, publisher: self), owner: owner,
        randomSeed: randomSeed, fingerprinter: .forSimulations
      ) { [unowned self] name, event in noted(Database.index(name), event) }
    } catch {
      world.violate(.servesAgain, "a process can't start: \(error)")
      return
    }
    self.manager = manager
    manager.inherit(pairs)
    manager.start { [unowned self] result in
      // A store that can't be read is an error to stop at.
      if case .failure = result { world.kill(self, "its store can't be read") }
    }
  }

  /// Gives up what refers back to it.
  func dispose() {
    isAlive = false
    manager = nil
    timers = []
    store = StoreQueue()
    inbox = []
    for index in credentials.indices { credentials[index].holds = nil }
  }

  private func noted(_ credential: Int, _ event: CredentialEvent) {
    guard isAlive else { return }
    world.trace("\(owner) c\(credential) \(event)")
    switch event {
    case .grantSent(let cause, _): credentials[credential].cause = cause
    case .loginNeeded(let reason, let code): world.loginNeeded(self, credential, reason, code)
    case .pairAdopted, .loggedIn, .seedTaken, .grantSucceeded: credentials[credential].saysLoginNeeded = false
    default: break
    }
  }

  /// Something has left the process or become durable for it: a kill may come here.
  func effect(_ name: StaticString) {
    guard effectsLeft >= 0, isAlive else { return }
    effectsLeft -= 1
    if effectsLeft < 0 { world.kill(self, "killed after: \(name)") }
  }
}

extension Replica: ManagerClock {
  var now: Moment {
    Moment(
      boot: BootInstant(nanoseconds: world.now),
      wall: WallTime(milliseconds: world.wall(at: place)))
  }
}

extension Replica: ManagerTimers {
  func schedule(at deadline: BootInstant, _ action: @escaping () -> Void) -> ManagerTimer {
    lastTimer += 1
    let id = lastTimer
    guard isAlive else { return ManagerTimer(id: id) }
    if world.mutation == .timersLost, world.random.chance(30) { return ManagerTimer(id: id) }
    timers.append((id, action))
    world.add(.timer, at: max(deadline.nanoseconds, world.now), self, id)
    return ManagerTimer(id: id)
  }

  func cancel(_ timer: ManagerTimer) {
    if let index = timers.firstIndex(where: { $0.id == timer.id }) {
      timers.swapAt(index, timers.count - 1)
    } else {
      return
    }
    timers.removeLast()
  }

  func fire(_ id: UInt64) {
    guard let index = timers.firstIndex(where: { $0.id == id }) else { return }
    let action = timers[index].action
    timers.swapAt(index, timers.count - 1)
    timers.removeLast()
    action()
  }
}

extension Replica: LeasePublisher {
  func publish(_ lease: Lease, credential: Int) {
    guard isAlive else { return }
    var credential = credential
    if world.mutation == .leaseCrosses { credential = (credential + 1) % credentials.count }
    inbox.append(.publish(lease, credential))
    effect("lease published")
  }

  func withdraw(credential: Int) {
    guard isAlive else { return }
    inbox.append(.withdraw(credential))
  }

  func hold(credential: Int, acknowledged: @escaping () -> Void) {
    guard isAlive else { return }
    credentials[credential].holds = acknowledged
    // Sometimes later than the manager waits.
    let delay = world.random.below(80 * Span.millisecond)
    world.add(.holdKnown, at: world.now + delay, self, UInt64(credential))
  }

  func release(credential: Int) {}
}
