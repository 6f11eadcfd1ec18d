// One credential's life for the length of a command, when no gateway runs: the gateway's own manager and store, on a loop
// of the command's own.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// Takes the store while it lasts. Blocks.
final class CredentialSession {
  /// For another process that is just letting go of the store, and for a database to answer.
  private static let storeLimit: Duration = .seconds(3)

  private let command: CommandLoop
  private let manager: CredentialManager
  private let store: StoreWorker
  private let tokenTimeout: Duration
  private let drainTimeout: Duration
  private let notes: Notes

  /// What callbacks leave behind.
  private final class Notes {
    var storeFailure: StoreError?
    /// Of operations while it lasts.
    var lastStoreError: StoreError?
    var hasLostPair = false
    var isStarted = false
    var isStopped = false
    var isClosed = false
    var isStopping = false
  }

  /// Ctrl-C must not lose a pair that is on its way: what is in flight is finished and stored all the same.
  private var signals: SignalSource?

  /// Opens the store.
  /// - Throws: also when another process has it.
  init(
    _ configuration: GatewayConfiguration, _ credential: CredentialConfiguration
  ) throws(CommandFailure) {
    let command = try CommandLoop()
    let notes = Notes()
    self.command = command
    self.notes = notes
    tokenTimeout = configuration.timeouts.token
    drainTimeout = configuration.timeouts.drain
    do {
      // Before the store's thread starts, which inherits it.
      try SignalSource.block(Self.handledSignals)
      store = try Self.open(configuration.store, command.loop) { notes.storeFailure = $0 }
      manager = try CredentialManager(
        definitions: [try credential.definition(tokenTimeout: tokenTimeout)],
        ports: ManagerPorts(
          transport: command.transport, store: store, timers: command.timers, clock: command.clock,
          publisher: LoopPublisher([], routed: [])),
        owner: String(UInt64.random(in: .min ... .max), radix: 36), randomSeed: .random(in: .min ... .max)
      ) { _, event in
        switch event {
        case .storeFailed(_, let error): notes.lastStoreError = error
        case .pairLost: notes.hasLostPair = true
        default: break
        }
      }
      signals = try SignalSource(command.loop, Self.handledSignals) { [unowned self] _ in shutDown() }
    } catch {
      throw .unasked("\(error)")
    }
  }

  private static let handledSignals = [SignalSource.interrupt, SignalSource.terminate]

  private func shutDown() {
    if notes.isStopping { return }
    notes.isStopping = true
    let notes = notes
    manager.shutdown { notes.isStopped = true }
  }

  private static func open(
    _ configuration: StoreConfiguration, _ loop: EventLoop, failed: @escaping (StoreError) -> Void
  ) throws(SystemError) -> StoreWorker {
    let opened = { (result: Result<Void, StoreError>) in
      if case .failure(let error) = result { failed(error) }
    }
    switch configuration.place {
    case .sqlite(let path):
      return try StoreWorker.sqlite(
        loop, path: path, waitingAtMost: storeLimit, cipher: configuration.cipher, opened: opened)
    case .postgres(let url):
      return try StoreWorker.postgres(
        loop, url: url, waitingAtMost: storeLimit, cipher: configuration.cipher, opened: opened, notice: { _ in })
    }
  }

  /// Whether the store can be opened and the credential's row be read: opens it, and gives it back.
  static func check(_ configuration: GatewayConfiguration, _ credential: CredentialConfiguration) throws(CommandFailure)
  {
    let command = try CommandLoop()
    defer { command.close() }
    var failure: StoreError?
    var isClosed = false
    let store: StoreWorker
    do throws(SystemError) {
      store = try open(configuration.store, command.loop) { failure = $0 }
    } catch {
      throw .unasked("\(error)")
    }
    store.load([StoreQuery(name: credential.name, seed: nil)]) { result in
      if case .failure(let error) = result { failure = failure ?? error }
      // The reference keeps it alive until then.
      store.close { [store] _ in withExtendedLifetime(store) { isClosed = true } }
    }
    try command.run(within: storeLimit + .seconds(30)) { isClosed }
    if let failure { throw .unasked(failure.message) }
    if !isClosed { throw .unasked("the store does not answer") }
  }

  /// Reads the row; what is due by it begins at once.
  func start() throws(CommandFailure) {
    let notes = notes
    manager.start { result in
      switch result {
      case .success: notes.isStarted = true
      case .failure(let error): notes.storeFailure = notes.storeFailure ?? error
      }
    }
    try command.run(within: Self.storeLimit + .seconds(30)) { notes.isStarted || notes.storeFailure != nil }
    if let error = notes.storeFailure { throw .unasked(error.message) }
    if !notes.isStarted { throw .unasked("the store does not answer") }
  }

  /// One new lease, as a person's wish. nil: it took too long.
  func refresh() throws(CommandFailure) -> LeaseAnswer? {
    var answer: LeaseAnswer?
    manager.refresh(credential: 0) { answer = $0 }
    try command.run(within: tokenTimeout + .seconds(10)) { answer != nil }
    return answer
  }

  /// Takes a login's pair; only before `start`, so that no grant is made with what it replaces. nil: it took too long.
  func logIn(_ reply: GrantReply) throws(CommandFailure) -> LoginOutcome? {
    var outcome: LoginOutcome?
    guard manager.login(credential: 0, reply, completion: { outcome = $0 }) else {
      throw .refused("the token that the server gave can't stand in a header")
    }
    try start()
    try command.run(within: .seconds(10)) { outcome != nil }
    return outcome
  }

  var status: CredentialStatus { manager.status(credential: 0) }

  /// Waits for what is in flight and for the pair to be stored, and gives the store back.
  /// - Throws: if a pair could not be stored.
  func finish() throws(CommandFailure) {
    let notes = notes
    shutDown()
    try command.run(within: drainTimeout) { notes.isStopped }
    manager.giveUp()
    store.close { _ in notes.isClosed = true }
    try command.run(within: .seconds(10)) { notes.isClosed }
    command.close()
    if notes.hasLostPair {
      let reason = notes.lastStoreError.map { ": \($0.message)" } ?? ""
      throw .refused("the new tokens could not be stored, and are lost\(reason)")
    }
  }
}
