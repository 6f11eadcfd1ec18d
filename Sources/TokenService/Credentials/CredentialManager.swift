// Owns one machine per credential and carries out what they ask for. Confined to the control loop; the data loops reach it
// through their mailboxes.

package import TokenKit

/// What a manager works with.
package struct ManagerPorts {
  /// Sends grants.
  package var transport: any GrantTransport
  /// Keeps pairs.
  package var store: any CredentialStoreClient
  /// The control loop's timers.
  package var timers: any ManagerTimers
  /// The clocks.
  package var clock: any ManagerClock
  /// The data loops.
  package var publisher: any LeasePublisher
  /// Told of every token call when it is over.
  package var callEnded: (GrantCallReport) -> Void

  /// All ports.
  package init(
    transport: any GrantTransport, store: any CredentialStoreClient, timers: any ManagerTimers,
    clock: any ManagerClock, publisher: any LeasePublisher, callEnded: @escaping (GrantCallReport) -> Void = { _ in }
  ) {
    self.transport = transport
    self.store = store
    self.timers = timers
    self.clock = clock
    self.publisher = publisher
    self.callEnded = callEnded
  }
}

/// Why a manager can't be made.
package enum CredentialManagerError: Error, Sendable, Equatable {
  /// Two credentials have one seed: the first exchange would spend it for both.
  case sharedSeed([String])
  /// A credential's header fields, with its provider's own, can't be sent.
  case injection(credential: String, InjectionRules.Malformed)
}

/// What became of a login's pair.
package enum LoginOutcome: Sendable, Equatable {
  /// The data loops have it; unless it is stored, its write goes on.
  case published(generation: UInt64, isStored: Bool)
  /// The gateway has stopped before.
  case stopped
}

/// The credentials of one process. Credentials are numbered by their place in `definitions`.
package final class CredentialManager {
  /// One credential: its machine, and who waits for it.
  final class Entry {
    private let number: Int32
    var hasTurn = false
    var isHandling = false
    var isStopped = false
    /// A reload has taken it away.
    var isRemoved = false
    var machine: LeaseStateMachine
    private var provider: any TokenProvider
    private var reread: @Sendable () -> MaterialReread
    private var settings: CredentialDefinition.Shared
    /// Where its token calls go.
    var host: Host
    /// The turn that the machine has asked for, and where; whether it has come.
    @CompactNumber var turn: UInt64?
    var turnHost: Host?
    /// Who waits for a lease; none nearly always, and then without storage.
    var answers: [UInt64: (LeaseAnswer) -> Void] {
      get { waiting?.answers ?? [:] }
      set { setWaiting(newValue, logins) }
    }
    /// Who waits for a login's pair to be taken, and for one that was taken to be published.
    var logins: Logins {
      get { waiting?.logins ?? Logins() }
      set { setWaiting(answers, newValue) }
    }
    private var waiting: Waiting?
    var events: [LeaseEvent] = []

    struct Logins {
      var pending: [(LoginOutcome) -> Void] = []
      var taken: [(LoginOutcome) -> Void] = []
      var isEmpty: Bool { pending.isEmpty && taken.isEmpty }
    }

    private final class Waiting {
      var answers: [UInt64: (LeaseAnswer) -> Void]
      var logins: Logins

      init(_ answers: [UInt64: (LeaseAnswer) -> Void], _ logins: Logins) {
        self.answers = answers
        self.logins = logins
      }
    }

    init(index: Int, definition: CredentialDefinition, host: Host, machine: LeaseStateMachine) {
      number = Int32(index)
      provider = definition.material.provider
      reread = definition.reread
      settings = definition.shared
      self.host = host
      self.machine = machine
    }

    var index: Int { Int(number) }

    private func setWaiting(_ answers: [UInt64: (LeaseAnswer) -> Void], _ logins: Logins) {
      waiting = answers.isEmpty && logins.isEmpty ? nil : Waiting(answers, logins)
    }

    /// Name and seed are the machine's, which knows them anyway.
    var definition: CredentialDefinition {
      get {
        CredentialDefinition(
          name: machine.name, material: CredentialMaterial(provider: provider, seed: machine.seed), shared: settings,
          reread: reread)
      }
      set {
        provider = newValue.material.provider
        reread = newValue.reread
        settings = newValue.shared
      }
    }
  }

  var ports: ManagerPorts
  let owner: String
  let fingerprinter: Fingerprinter
  private let onEvent: (_ credential: String, CredentialEvent) -> Void
  var entries: [Entry] = []
  var hosts: Hosts
  var deadlines: DeadlineQueue
  /// For the first of the deadlines.
  var isWaking = false
  var timer: (name: ManagerTimer, at: BootInstant)?
  private var lastWant: UInt64 = 0
  private var stopped: (() -> Void)?
  /// Who waits for `pause`, and how many are still at something.
  var paused: (() -> Void)?
  var pausing = 0
  var isPaused = false
  private var stoppedCount = 0
  var random: RandomSource
  /// What later reloads have brought back of those that were removed and have not stopped yet.
  var successors: [Int: CredentialDefinition] = [:]
  var removedCount = 0

  /// A manager that does nothing until `start`.
  /// - Parameters:
  ///   - owner: names this process in the store's marks; random per process.
  ///   - randomSeed: all jitter comes from it.
  ///   - tokenCallsPerHost: how many token calls one host gets at the same time (`limits.token_calls_per_host`).
  ///   - onEvent: what the log is told; never holds a secret.
  package init(
    definitions: [CredentialDefinition], ports: ManagerPorts, owner: String, randomSeed: UInt64,
    tokenCallsPerHost: Int = 16, fingerprinter: Fingerprinter = .sha256,
    onEvent: @escaping (_ credential: String, CredentialEvent) -> Void
  ) throws(CredentialManagerError) {
    self.ports = ports
    self.owner = owner
    self.fingerprinter = fingerprinter
    self.onEvent = onEvent
    hosts = Hosts(parallel: tokenCallsPerHost)
    deadlines = DeadlineQueue(count: definitions.count)
    random = RandomSource(seed: randomSeed)
    var seeds: [Fingerprint: String] = [:]
    var sharing = CredentialDefinition.Sharing()
    var commons = Interner<CommonTerms>()
    var rules = Interner<InjectionRules>()
    entries.reserveCapacity(definitions.count)
    for (index, definition) in definitions.enumerated() {
      let definition = sharing.shared(definition)
      var terms = try Self.terms(
        of: definition, shared: ports.store.isShared, owner: owner, fingerprinter: fingerprinter)
      terms.share(&commons, &rules)
      if let seed = terms.seedFingerprint {
        if let other = seeds[seed] { throw .sharedSeed([other, definition.name]) }
        seeds[seed] = definition.name
      }
      let host = hosts.host(of: definition.material.provider.traits)
      host.add(definition.settings.maxPerMinute)
      entries.append(
        Entry(
          index: index, definition: definition, host: host,
          machine: LeaseStateMachine(terms: terms, randomSeed: random.next())))
    }
  }

  static func terms(
    of definition: CredentialDefinition, shared: Bool, owner: String, fingerprinter: Fingerprinter
  ) throws(CredentialManagerError) -> LeaseTerms {
    let provider = definition.material.provider
    let traits = provider.traits
    let rules: InjectionRules
    do {
      rules = try definition.settings.injection.adding(traits.requestFields)
    } catch {
      throw .injection(credential: definition.name, error)
    }
    return LeaseTerms(
      name: definition.name, providerID: type(of: provider).id, traits: traits, seed: definition.material.seed,
      policy: definition.settings.policy, rules: rules, storeIsShared: shared, owner: owner,
      fingerprinter: fingerprinter)
  }

  /// Reads all rows and begins to live. A store that can't be read is an error to stop at, never a reason to go on with
  /// the seeds. Wants may be asked before; they wait.
  package func start(completion: @escaping (Result<Void, StoreError>) -> Void) {
    ports.store.load(entries.map(\.machine.query)) { [weak self] result in
      guard let self else { return }
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(let records):
        guard records.count == entries.count else {
          completion(.failure(StoreError(.unreadable, "the store answered with another number of rows")))
          return
        }
        rememberCalls(records)
        for (entry, record) in zip(entries, records) { feed(.loaded(record), to: entry) }
        completion(.success(()))
      }
    }
  }

  /// A data loop needs a lease. `answer` is called exactly once, on the control loop, maybe before this returns.
  package func want(credential: Int, _ want: LeaseWant, answer: @escaping (LeaseAnswer) -> Void) {
    let entry = entries[credential]
    lastWant += 1
    entry.answers[lastWant] = answer
    feed(.want(id: lastWant, want), to: entry)
  }

  /// A data loop saw an upstream accept the lease of this generation for the first time.
  package func accepted(credential: Int, generation: UInt64) {
    feed(.accepted(generation: generation), to: entries[credential])
  }

  /// A replay with a new lease was rejected too, on this route.
  package func replayRejected(credential: Int, route: UInt32) {
    feed(.replayRejected(route: route), to: entries[credential])
  }

  /// A route of which `replayRejected` was told has seen another status.
  package func routeRecovered(credential: Int, route: UInt32) {
    feed(.routeRecovered(route: route), to: entries[credential])
  }

  /// Another process changed a row (shared stores).
  package func storeChanged(credential: Int, generation: UInt64) {
    if entries[credential].isRemoved { return }
    feed(.storeChanged(generation: generation), to: entries[credential])
  }

  /// A person wants a new lease now, whatever the state. Joins a grant in flight.
  package func refresh(credential: Int, completion: @escaping (LeaseAnswer) -> Void) {
    let above = entries[credential].machine.currentLease?.generation
    want(credential: credential, LeaseWant(above: above, cause: .admin), answer: completion)
  }

  /// A person has logged in: the pair replaces whatever there was, once no grant is in flight. Before `start` it replaces
  /// what will be read, and no grant is made with that.
  /// - Parameter completion: called at most once, on the control loop, when the data loops have the pair or the gateway has
  ///   stopped. A pair whose life was over by then is never published.
  /// - Returns: false if nothing was taken: the gateway has stopped, or the token can't stand in a header.
  package func login(
    credential: Int, _ reply: GrantReply, completion: @escaping (LoginOutcome) -> Void = { _ in }
  ) -> Bool {
    let entry = entries[credential]
    guard !entry.isStopped, !isPaused, HeaderText.isAccessToken(reply.token.accessToken.reveal()) else { return false }
    entry.logins.pending.append(completion)
    feed(.loggedIn(reply), to: entry)
    return true
  }

  /// A credential's definition has changed (reload). Its name must be the same. No grant is cancelled.
  package func update(credential: Int, _ definition: CredentialDefinition) throws(CredentialManagerError) {
    let entry = entries[credential]
    let terms = try newTerms(of: definition, for: entry)
    entry.host.remove(entry.definition.settings.maxPerMinute)
    entry.host = hosts.host(of: definition.material.provider.traits)
    entry.host.add(definition.settings.maxPerMinute)
    entry.definition = definition
    feed(.termsChanged(terms), to: entry)
  }

  /// Terms for a definition that replaces the one of `entry`.
  func newTerms(
    of definition: CredentialDefinition, for entry: Entry
  ) throws(CredentialManagerError) -> LeaseTerms {
    let terms = try Self.terms(
      of: definition, shared: ports.store.isShared, owner: owner, fingerprinter: fingerprinter)
    if let seed = terms.seedFingerprint,
      let other = entries.first(where: { $0 !== entry && !$0.isRemoved && $0.machine.query.seed == seed })
    {
      throw .sharedSeed([other.definition.name, definition.name])
    }
    return terms
  }

  /// The credential of this name.
  package func index(of name: String) -> Int? { entries.first { !$0.isRemoved && $0.machine.name == name }?.index }

  /// A credential as it is configured now.
  package func definition(credential: Int) -> CredentialDefinition { entries[credential].definition }

  /// How a credential is.
  package func status(credential: Int) -> CredentialStatus { entries[credential].machine.status(at: ports.clock.now) }

  /// How all credentials of the configuration are, in the order of their places.
  package var status: [CredentialStatus] {
    let now = ports.clock.now
    return entries.filter { !$0.isRemoved }.map { $0.machine.status(at: now) }
  }

  /// How many credentials the configuration has.
  package var configuredCount: Int { entries.count - removedCount }

  /// How many places there are.
  package var count: Int { entries.count }

  /// How the one there is; nil when a reload has taken it away.
  package func status(of credential: Int, at now: Moment) -> CredentialStatus? {
    entries[credential].isRemoved ? nil : entries[credential].machine.status(at: now)
  }

  /// Whether a reload has taken it away, and nothing of it is in flight or waited for: another one may have its place.
  package func isOver(credential: Int) -> Bool {
    let entry = entries[credential]
    return entry.isRemoved && entry.isStopped && successors[credential] == nil && entry.answers.isEmpty
      && entry.logins.isEmpty
  }

  /// Starts no grant any more; `completion` is called once those in flight have ended and their pairs are stored (a failed
  /// write is repeated). Leases go on to be answered from memory.
  package func shutdown(completion: @escaping () -> Void) {
    guard stopped == nil else { return }
    stopped = completion
    for entry in entries { feed(.shutdown, to: entry) }
    finishIfStopped()
  }

  /// The drain time is over: `shutdown` completes now. Says which pairs are not stored.
  package func giveUp() {
    for entry in entries where !entry.isStopped {
      if entry.machine.hasUnsavedPair {
        note(.pairLost(generation: entry.machine.newestGeneration), of: entry)
      }
      markStopped(entry)
    }
    finishIfStopped()
  }

  func markStopped(_ entry: Entry) {
    if entry.isStopped { return }
    entry.isStopped = true
    stoppedCount += 1
  }

  /// A stopped one has another in its place.
  func forgetStopped() { stoppedCount -= 1 }

  var isStopping: Bool { stopped != nil }

  func finishIfStopped() {
    guard let completion = stopped, stoppedCount == entries.count else { return }
    stopped = {}
    completion()
  }

  func note(_ event: CredentialEvent, of entry: Entry) { onEvent(entry.machine.name, event) }
}
