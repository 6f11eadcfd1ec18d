// The store's thread, and its client on the control loop: jobs in order, answers by mailbox.

package import EventLoop
internal import Synchronization
package import TokenKit

/// Carries the control loop's store operations out on a thread of its own. Made and used on the control loop; every
/// completion is called there, once, later than the call that it belongs to.
package final class StoreWorker: CredentialStoreClient {
  package let isShared: Bool

  /// What the thread says: that a job's slot is filled, or why there will be no more of it.
  private enum Reply: Sendable {
    case opened
    case notice(StoreNotice)
    case done(UInt64)
    case ended(StoreError)
  }

  private enum Job: Sendable {
    case run(UInt64, @Sendable (any BlockingStore) -> Void)
    case close(Slot<Void>)
  }

  /// Where a job leaves its result for the control loop.
  private final class Slot<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, StoreError>?>(nil)
    func fill(_ value: Result<Value, StoreError>) { result.withLock { $0 = value } }
    func take() -> Result<Value, StoreError>? { result.withLock { $0 } }
  }

  private let loop: EventLoop
  private let jobs: Mailbox<Job>
  private let thread: LoopThread.Handle
  private var receiver: Mailbox<Reply>.Receiver?
  private var pending: [UInt64: (StoreError) -> Void] = [:]
  private var nextID: UInt64 = 0
  private var opened: ((Result<Void, StoreError>) -> Void)?
  private let notice: (StoreNotice) -> Void
  /// Set when no more jobs are taken.
  private var ended: StoreError?

  /// The embedded store, in one file.
  /// - Parameters:
  ///   - limit: how long to wait for another process that has the store.
  ///   - cipher: encrypts tokens.
  ///   - opened: told once whether the store could be opened. Operations may be asked for before; they fail if it
  ///     could not.
  package static func sqlite(
    _ loop: EventLoop, path: String, waitingAtMost limit: Duration, cipher: TokenCipher = .none,
    opened: @escaping (Result<Void, StoreError>) -> Void
  ) throws(SystemError) -> StoreWorker {
    try StoreWorker(loop, isShared: false, opened: opened, notice: { _ in }) { () throws(StoreError) in
      try SQLiteStore(path: path, waitingAtMost: limit, cipher: cipher)
    }
  }

  /// The store that replicas share.
  /// - Parameters:
  ///   - limit: how long to wait for a server that doesn't take connections yet.
  ///   - cipher: encrypts tokens.
  ///   - opened: as with `sqlite`.
  ///   - notice: told on the control loop what other replicas have written, and of outages.
  package static func postgres(
    _ loop: EventLoop, url: PostgresURL, waitingAtMost limit: Duration, cipher: TokenCipher = .none,
    opened: @escaping (Result<Void, StoreError>) -> Void, notice: @escaping (StoreNotice) -> Void
  ) throws(SystemError) -> StoreWorker {
    try StoreWorker(loop, isShared: true, opened: opened, notice: notice) { () throws(StoreError) in
      try PostgresStore(url, cipher: cipher, waitingAtMost: limit)
    }
  }

  /// Starts the thread, which opens its store by `open`.
  init(
    _ loop: EventLoop, isShared: Bool, opened: @escaping (Result<Void, StoreError>) -> Void,
    notice: @escaping (StoreNotice) -> Void,
    open: @escaping @Sendable () throws(StoreError) -> any BlockingStore
  ) throws(SystemError) {
    self.loop = loop
    self.isShared = isShared
    self.opened = opened
    self.notice = notice
    let jobs = try Mailbox<Job>()
    let replies = try Mailbox<Reply>()
    self.jobs = jobs
    thread = try LoopThread.start(name: "store") { Self.work(open, jobs, replies) }
    receiver = try replies.attach(to: loop) { [weak self] reply in self?.receive(reply) }
  }

  /// Operations that were asked for and have not ended.
  package var pendingCount: Int { pending.count }

  package func load(_ queries: [StoreQuery], completion: @escaping (Result<[StoreRecord], StoreError>) -> Void) {
    submit(completion) { store throws(StoreError) in try store.load(queries) }
  }

  package func read(_ query: StoreQuery, completion: @escaping (Result<StoreRecord, StoreError>) -> Void) {
    submit(completion) { store throws(StoreError) in
      guard let record = try store.load([query]).first else {
        throw StoreError(.unreadable, "the store gave no answer to a query")
      }
      return record
    }
  }

  package func begin(_ begin: StoreBegin, completion: @escaping (Result<StoreBeginAnswer, StoreError>) -> Void) {
    submit(completion) { store throws(StoreError) in try store.begin(begin) }
  }

  package func save(_ save: StoreSave, completion: @escaping (Result<StoreSaveAnswer, StoreError>) -> Void) {
    submit(completion) { store throws(StoreError) in try store.save(save) }
  }

  package func abandon(_ abandon: StoreAbandon, completion: @escaping (Result<Void, StoreError>) -> Void) {
    submit(completion) { store throws(StoreError) in try store.abandon(abandon) }
  }

  /// Closes the store after all jobs that were asked for, and lets the next process have it. Everything asked for from
  /// now on fails. `completion` is called when the thread has ended.
  package func close(completion: @escaping (Result<Void, StoreError>) -> Void) {
    let slot = Slot<Void>()
    guard expect(slot, completion) != nil else { return }
    jobs.send(.close(slot))
    ended = Self.closed
  }

  private static let closed = StoreError(.unavailable, "the store is closed")

  // MARK: The control loop's side

  private func submit<Value: Sendable>(
    _ completion: @escaping (Result<Value, StoreError>) -> Void,
    _ work: @escaping @Sendable (any BlockingStore) throws(StoreError) -> Value
  ) {
    let slot = Slot<Value>()
    guard let id = expect(slot, completion) else { return }
    jobs.send(.run(id) { store in slot.fill(Result { () throws(StoreError) in try work(store) }) })
  }

  /// Keeps the completion until the reply; nil when there will be none, and the completion has been seen to.
  private func expect<Value: Sendable>(
    _ slot: Slot<Value>, _ completion: @escaping (Result<Value, StoreError>) -> Void
  ) -> UInt64? {
    if let ended {
      loop.runLater(Later { completion(.failure(ended)) })
      return nil
    }
    nextID += 1
    pending[nextID] = { otherwise in completion(slot.take() ?? .failure(otherwise)) }
    return nextID
  }

  private func receive(_ reply: Reply) {
    switch reply {
    case .opened:
      opened?(.success(()))
      opened = nil
    case .notice(let said): notice(said)
    case .done(let id):
      pending.removeValue(forKey: id)?(Self.closed)
    case .ended(let error):
      ended = error
      receiver?.detach()
      receiver = nil
      thread.join()
      opened?(.failure(error))
      opened = nil
      for id in pending.keys.sorted() { pending.removeValue(forKey: id)?(error) }
    }
  }

  private final class Later: Runnable {
    private let action: () -> Void
    init(_ action: @escaping () -> Void) { self.action = action }
    func runAgain() { action() }
  }

  // MARK: The thread

  private static func work(
    _ open: () throws(StoreError) -> any BlockingStore, _ jobs: Mailbox<Job>, _ replies: Mailbox<Reply>
  ) {
    do throws(StoreError) {
      let store = try open()
      replies.send(.opened)
      try run(store, jobs, replies)
      replies.send(.ended(closed))
    } catch {
      replies.send(.ended(error))
    }
  }

  /// Takes jobs until the one that closes the store.
  private static func run(
    _ store: any BlockingStore, _ jobs: Mailbox<Job>, _ replies: Mailbox<Reply>
  ) throws(StoreError) {
    do throws(SystemError) {
      let loop = try EventLoop()
      try store.watch(on: loop) { replies.send(.notice($0)) }
      let receiver = try jobs.attach(to: loop) { job in
        switch job {
        case .run(let id, let work):
          work(store)
          replies.send(.done(id))
        case .close(let slot):
          slot.fill(Result { () throws(StoreError) in try store.close() })
          loop.stop()
        }
      }
      try loop.run()
      receiver.detach()
    } catch {
      try store.close()
      throw StoreError(.unavailable, "the store's thread: \(error)")
    }
  }
}
