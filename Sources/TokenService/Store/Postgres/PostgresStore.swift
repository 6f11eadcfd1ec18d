// The store that replicas share: carries a `ReplicaSession`'s steps out on PostgreSQL, reconnects, and says what the other
// replicas have written.

internal import EventLoop
internal import TokenKit

/// Blocks; made, used and closed on the store's thread. Between operations it waits on the thread's loop for notices.
final class PostgresStore: BlockingStore {
  /// How often changes are looked for besides the notices.
  static let pollInterval: Duration = .seconds(5)
  /// A statement may commit later than one that began after it: changes are looked for this far back.
  private static let overlap: Int64 = 30_000_000
  /// How often an operation is begun again on a new connection.
  private static let mostAttempts = 3

  private let url: PostgresURL
  private let cipher: TokenCipher
  private var statements: PostgresStatements?
  private var session = ReplicaSession()
  private var outage: StoreOutage
  private var lastError = StoreError(.unavailable, "PostgreSQL: not connected")
  /// What the control loop was given of each credential that it has asked for.
  private var known: [String: UInt64] = [:]
  /// The server's time up to which changes have been read.
  private var readUpTo: Int64 = 0
  private var watch: Watch?

  /// Connects, and makes or migrates the tables.
  /// - Parameter limit: how long to wait for a server that doesn't take connections yet. A refusal for another reason is
  ///   an error at once.
  init(_ url: PostgresURL, cipher: TokenCipher, waitingAtMost limit: Duration) throws(StoreError) {
    self.url = url
    self.cipher = cipher
    outage = StoreOutage(randomSeed: .random(in: .min ... .max))
    let deadline = Self.now + limit
    var refusals = 0
    while true {
      do throws(PostgresFailure) {
        try connect()
        return
      } catch {
        guard error.isConnectionLost, Self.now < deadline else { throw error.error }
        // It may have come up between the refusal and the question: only a second refusal counts.
        refusals = PostgresConnection.mayComeBack(url) ? 0 : refusals + 1
        if refusals == 2 { throw error.error }
        DescriptorWait.pause(outage.retryAt - Self.now)
      }
    }
  }

  private static var now: BootInstant { BootInstant(nanoseconds: Process.bootClockNanoseconds()) }

  // MARK: Operations

  func load(_ queries: [StoreQuery]) throws(StoreError) -> [StoreRecord] {
    let records = try repeating { (statements) throws(PostgresFailure) in try statements.load(queries) }
    for (query, record) in zip(queries, records) { known[query.name] = record.row?.generation ?? 0 }
    tellOfNotifications()
    return records
  }

  func begin(_ begin: StoreBegin) throws(StoreError) -> StoreBeginAnswer {
    // A grant that sends no refresh token may go out without a mark: it isn't held up by an outage.
    let spends = begin.row.mark?.fingerprint != nil
    guard case .begun(let answer) = try perform(.begin(begin), waits: spends) else { throw Self.confused }
    switch answer {
    case .marked: known[begin.row.name] = begin.row.generation
    case .superseded(let row): known[row.name] = row.generation
    case .busy: break
    }
    tellOfNotifications()
    return answer
  }

  func save(_ save: StoreSave) throws(StoreError) -> StoreSaveAnswer {
    guard case .saved(let answer) = try perform(.save(save)) else { throw Self.confused }
    switch answer {
    case .saved: known[save.row.name] = save.row.generation
    case .conflict(let row): known[save.row.name] = row?.generation ?? 0
    }
    // This write's own notice has come with its answer, and is news no more.
    tellOfNotifications()
    return answer
  }

  func abandon(_ abandon: StoreAbandon) throws(StoreError) {
    // Nothing repeats it: a lock that went with the connection must not come back with the next one.
    session.gaveUp(abandon)
    _ = try perform(.abandon(abandon))
    tellOfNotifications()
  }

  func close() throws(StoreError) {
    // What locks there still are go with the connection.
    closeConnection()
    watch?.end()
    watch = nil
  }

  private static let confused = StoreError(.unavailable, "PostgreSQL: an operation had another one's answer")

  private func perform(_ request: ReplicaRequest, waits: Bool = true) throws(StoreError) -> ReplicaAnswer {
    try repeating(waits: waits) { (statements) throws(PostgresFailure) in try run(request, statements) }
  }

  /// Carries an operation out; on another connection if the one at hand proves to be gone. Operations may be repeated:
  /// what had happened already changes nothing.
  private func repeating<Value>(
    waits: Bool = true, _ operation: (PostgresStatements) throws(PostgresFailure) -> Value
  ) throws(StoreError) -> Value {
    for _ in 0..<Self.mostAttempts {
      let statements = try connected(waits: waits)
      do throws(PostgresFailure) {
        return try operation(statements)
      } catch {
        guard error.isConnectionLost else { throw error.error }
        lost(error.error)
      }
    }
    throw lastError
  }

  /// - Throws: what makes the connection useless. What a statement came to is in the answer.
  private func run(
    _ request: ReplicaRequest, _ statements: PostgresStatements
  ) throws(PostgresFailure) -> ReplicaAnswer {
    var step = session.start(request)
    while true {
      if case .answer(let outcome) = step {
        do throws(StoreError) {
          return try outcome.get()
        } catch {
          throw PostgresFailure(error: error, isConnectionLost: false)
        }
      }
      do throws(PostgresFailure) {
        if case .disconnect = step {
          end(StoreError(.unavailable, "PostgreSQL: a lock could not be given up"))
          step = session.next(.disconnected)
        } else if let result = try statements.carryOut(step) {
          step = session.next(result)
        }
      } catch {
        if error.isConnectionLost, !isUnlocking(step) { throw error }
        step = session.next(.failed(error.error))
      }
    }
  }

  /// A lock that can't be given up is given up by the end of the connection: what was answered stands.
  private func isUnlocking(_ step: ReplicaStep) -> Bool { if case .unlock = step { true } else { false } }

  // MARK: The connection

  private func connect() throws(PostgresFailure) {
    do throws(PostgresFailure) {
      let new = try PostgresStatements(url, cipher: cipher)
      statements = new
      // First LISTEN, then read: nothing is written unseen in between.
      try new.listen()
      _ = try run(.relock, new)
      let (changes, newest) = try new.changes(after: 0)
      readUpTo = newest
      let away = outage.ended(at: Self.now)
      watch?.connected(to: new.connection.descriptor)
      if let away, watch != nil { watch?.notice(.recovered(after: away)) }
      // All of them: it may have missed what it was told before.
      tell(changes.filter { known[$0.name] != nil })
    } catch {
      closeConnection()
      session.disconnected()
      outage.failed(at: Self.now)
      lastError = error.error
      throw PostgresFailure(error: error.error, isConnectionLost: error.isConnectionLost)
    }
  }

  /// The connection, made anew if need be. Waits while the outage is young, if it may wait at all.
  private func connected(waits: Bool) throws(StoreError) -> PostgresStatements {
    while true {
      if let statements { return statements }
      let now = Self.now
      if now < outage.retryAt {
        guard waits, outage.isWaiting(at: now) else { throw lastError }
        DescriptorWait.pause(outage.retryAt - now)
      }
      do throws(PostgresFailure) { try connect() } catch {
        if !waits || !outage.isWaiting(at: Self.now) { throw error.error }
      }
    }
  }

  /// The connection is gone, and the operation under way with it.
  private func lost(_ error: StoreError) {
    end(error)
    session.disconnected()
  }

  private func end(_ error: StoreError) {
    guard statements != nil else { return }
    lastError = error
    closeConnection()
    outage.failed(at: Self.now)
    watch?.notice(.lost(error))
  }

  private func closeConnection() {
    watch?.disconnected()
    statements?.connection.close()
    statements = nil
  }

  // MARK: What others write

  func watch(on loop: EventLoop, _ notice: @escaping (StoreNotice) -> Void) throws(SystemError) {
    let watch = Watch(loop, self, notice)
    self.watch = watch
    if let statements { watch.connected(to: statements.connection.descriptor) }
    watch.schedule(after: Self.pollInterval)
  }

  /// The connection has something to say while nobody asks.
  fileprivate func receive() {
    guard let statements else { return }
    do throws(PostgresFailure) {
      try statements.connection.receive()
      tellOfNotifications()
    } catch {
      lost(error.error)
      watch?.schedule(after: max(outage.retryAt - Self.now, .zero))
    }
  }

  /// Looks for changes, or for the server.
  fileprivate func poll() {
    var pause = Self.pollInterval
    do throws(PostgresFailure) {
      if let statements {
        try readChanges(statements)
      } else if Self.now >= outage.retryAt {
        try connect()
      }
    } catch {
      if error.isConnectionLost { lost(error.error) }
    }
    if statements == nil { pause = min(pause, max(outage.retryAt - Self.now, .milliseconds(10))) }
    watch?.schedule(after: pause)
  }

  private func readChanges(_ statements: PostgresStatements) throws(PostgresFailure) {
    let (changes, newest) = try statements.changes(after: max(0, readUpTo - Self.overlap))
    readUpTo = newest
    tell(changes.filter { isNews($0) })
    tellOfNotifications()
  }

  private func tellOfNotifications() {
    guard let statements, watch != nil else { return }
    let notifications = statements.notifications()
    tell(notifications.compactMap { $0 }.filter { isNews($0) })
    if notifications.contains(where: { $0 == nil }) { watch?.schedule(after: .zero) }
  }

  /// Not what this process has written, or has been given already.
  private func isNews(_ change: StoreChange) -> Bool { known[change.name].map { $0 != change.generation } ?? false }

  private func tell(_ changes: [StoreChange]) {
    if !changes.isEmpty { watch?.notice(.changed(changes)) }
  }

  /// The store's place on its thread's loop: the connection's socket and a timer.
  private final class Watch: EventHandler, TimerHandler {
    private let loop: EventLoop
    private unowned let store: PostgresStore
    let notice: (StoreNotice) -> Void
    private var timer: TimerWheel.Timer?
    private var registration: EventLoop.Registration?

    init(_ loop: EventLoop, _ store: PostgresStore, _ notice: @escaping (StoreNotice) -> Void) {
      self.loop = loop
      self.store = store
      self.notice = notice
    }

    func connected(to descriptor: Int32) {
      // Without it there still is the poll.
      registration = try? loop.register(descriptor, .level, self)
    }

    func disconnected() {
      if let registration { loop.deregister(registration) }
      registration = nil
    }

    func schedule(after pause: Duration) {
      let timer = timer ?? loop.timers.make(self)
      self.timer = timer
      loop.timers.schedule(timer, at: (PostgresStore.now + pause).nanoseconds)
    }

    func end() {
      disconnected()
      if let timer { loop.timers.release(timer) }
      timer = nil
    }

    func handle(_ events: ReadyEvents) { store.receive() }
    func timerFired(_ timer: TimerWheel.Timer) { store.poll() }
  }
}
