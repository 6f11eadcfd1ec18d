// One process's way to the store: one operation after the other, statement by statement, with everything that can happen
// between two of them.

internal import TokenKit
internal import TokenService

/// Operations in the order in which they were asked for.
struct StoreQueue {
  enum Job {
    case load([StoreQuery], (Result<[StoreRecord], StoreError>) -> Void)
    case read(StoreQuery, (Result<StoreRecord, StoreError>) -> Void)
    case begin(StoreBegin, (Result<StoreBeginAnswer, StoreError>) -> Void)
    case save(StoreSave, (Result<StoreSaveAnswer, StoreError>) -> Void)
    case abandon(StoreAbandon, (Result<Void, StoreError>) -> Void)

    func fail(_ error: StoreError) {
      switch self {
      case .load(_, let completion): completion(.failure(error))
      case .read(_, let completion): completion(.failure(error))
      case .begin(_, let completion): completion(.failure(error))
      case .save(_, let completion): completion(.failure(error))
      case .abandon(_, let completion): completion(.failure(error))
      }
    }
  }

  enum Stage {
    /// The first statement has yet to be carried out.
    case fresh
    /// Locks are being taken again on a new connection.
    case relocking
    /// A statement of the session was carried out; its result is on the way.
    case working
    /// The operation was carried out; its answer is on the way.
    case answering
  }

  var jobs: [Job] = []
  var number: UInt64 = 0
  var stage = Stage.fresh
  var session = ReplicaSession()
  /// 0: none.
  var connection: UInt64 = 0
  var result: ReplicaResult?
  var answer: (() -> Void)?
}

extension Replica: CredentialStoreClient {
  var isShared: Bool { world.plan.isShared }

  func load(_ queries: [StoreQuery], completion: @escaping (Result<[StoreRecord], StoreError>) -> Void) {
    enqueue(.load(queries, completion))
  }
  func read(_ query: StoreQuery, completion: @escaping (Result<StoreRecord, StoreError>) -> Void) {
    enqueue(.read(query, completion))
  }
  func begin(_ begin: StoreBegin, completion: @escaping (Result<StoreBeginAnswer, StoreError>) -> Void) {
    enqueue(.begin(begin, completion))
  }
  func save(_ save: StoreSave, completion: @escaping (Result<StoreSaveAnswer, StoreError>) -> Void) {
    enqueue(.save(save, completion))
  }
  func abandon(_ abandon: StoreAbandon, completion: @escaping (Result<Void, StoreError>) -> Void) {
    enqueue(.abandon(abandon, completion))
  }

  private func enqueue(_ job: StoreQueue.Job) {
    guard isAlive else { return }
    if hasLetGo { world.violate(.oneGrantInFlight, "\(owner) uses the store that another process may have") }
    store.jobs.append(job)
    if store.jobs.count == 1 { beginJob() }
  }

  private func beginJob() {
    store.number += 1
    store.stage = .fresh
    continueLater()
  }

  private func continueLater(after delay: Int64? = nil) {
    world.add(.storeStep, at: world.now + (delay ?? world.storeLatency()), self, store.number)
  }

  /// The next statement, or the answer.
  func storeStep(_ number: UInt64) {
    guard number == store.number, let job = store.jobs.first else { return }
    if store.stage == .answering {
      finish()
    } else if isShared {
      replicaStep(job)
    } else {
      carryOut(job)
    }
  }

  private func answerLater(_ answer: @escaping () -> Void) {
    if world.mutation == .storeSilent, world.random.chance(20) { return }
    store.stage = .answering
    store.answer = answer
    continueLater()
  }

  private func finish() {
    let answer = store.answer
    store.answer = nil
    store.jobs.removeFirst()
    if !store.jobs.isEmpty { beginJob() }
    answer?()
  }

  private static let failure = StoreError(.io, "injected")
  private static let cutOff = StoreError(.unavailable, "injected")

  // MARK: The embedded store

  private func carryOut(_ job: StoreQueue.Job) {
    let rates = world.rates
    if world.random.chance(rates.storeFails) || world.isStoreBroken(place) {
      answerLater { job.fail(Self.failure) }
      return
    }
    let isAnswerLost = world.random.chance(rates.storeAnswerLost)
    let now = world.now
    switch job {
    case .load(let queries, let completion):
      let records = queries.map(world.database.record)
      answerLater { completion(.success(records)) }
    case .read(let query, let completion):
      let record = world.database.record(query)
      answerLater { completion(.success(record)) }
    case .begin(let begin, let completion):
      let before = world.database.rows[Database.index(begin.row.name)]
      let answer = world.database.begin(begin, at: now)
      answerLater { isAnswerLost ? job.fail(Self.failure) : completion(.success(answer)) }
      if case .marked = answer { world.wrote(self, begin.row, over: before) }
    case .save(let save, let completion):
      let before = world.database.rows[Database.index(save.row.name)]
      let answer = world.database.save(save, at: now)
      answerLater { isAnswerLost ? job.fail(Self.failure) : completion(.success(answer)) }
      if answer == .saved { world.wrote(self, save.row, over: before) }
    case .abandon(let abandon, let completion):
      world.database.abandon(abandon)
      answerLater { isAnswerLost ? job.fail(Self.failure) : completion(.success(())) }
      effect("grant abandoned")
    }
  }

  // MARK: The shared store

  private func replicaStep(_ job: StoreQueue.Job) {
    if !world.reachesDatabase(place) {
      lose(job)
      return
    }
    var step: ReplicaStep?
    if let result = store.result {
      store.result = nil
      step = store.session.next(result)
    } else if store.connection == 0 {
      store.connection = world.database.connect()
      store.stage = .relocking
      world.connected(self)
      step = store.session.start(.relock)
    }
    if store.stage == .relocking, case .answer? = step { store.stage = .fresh }
    if store.stage == .fresh {
      store.stage = .working
      switch job {
      case .load(let queries, let completion):
        if world.random.chance(world.rates.storeFails) { return answerLater { job.fail(Self.failure) } }
        let records = queries.map(world.database.record)
        return answerLater { completion(.success(records)) }
      case .read(let query, let completion):
        if world.random.chance(world.rates.storeFails) { return answerLater { job.fail(Self.failure) } }
        let record = world.database.record(query)
        return answerLater { completion(.success(record)) }
      case .begin(let begin, _): step = store.session.start(.begin(begin))
      case .save(let save, _): step = store.session.start(.save(save))
      case .abandon(let abandon, _): step = store.session.start(.abandon(abandon))
      }
    }
    guard let step else { return }
    if case .answer(let answer) = step {
      store.answer = { Self.complete(job, answer) }
      finish()
    } else {
      carryOut(step, for: job)
    }
  }

  private func carryOut(_ step: ReplicaStep, for job: StoreQueue.Job) {
    if world.random.chance(world.rates.storeFails), step != .disconnect {
      store.result = .failed(Self.failure)
      lastCutOff = world.now
      continueLater()
      return
    }
    var before: StoredCredential?
    if case .write(let write) = step { before = world.database.rows[Database.index(write.row.name)] }
    store.result = world.database.carryOut(step, connection: store.connection, at: world.now)
    if world.mutation == .storeSilent, world.random.chance(20) { return }
    let isAnswerLost = world.random.chance(world.rates.storeAnswerLost)
    if case .disconnect = step {
      store.connection = 0
      lastCutOff = world.now
    }
    continueLater()
    if case .write(let write) = step, store.result == .written(true) { world.wrote(self, write.row, over: before) }
    if case .finish = step { effect("grant abandoned") }
    if isAnswerLost, isAlive {
      // The connection breaks before the answer comes; the database notices at once.
      world.database.disconnect(store.connection)
      loseConnection()
    }
  }

  /// The connection is gone, as this side sees it.
  func loseConnection() {
    guard store.connection != 0 else { return }
    store.connection = 0
    lastCutOff = world.now
    store.session.disconnected()
    store.result = nil
    guard let job = store.jobs.first, store.stage != .answering else { return }
    lose(job)
  }

  /// The operation under way fails, after a while in which its end was waited for.
  private func lose(_ job: StoreQueue.Job) {
    store.connection = 0
    store.session.disconnected()
    if case .abandon(let abandon, _) = job { store.session.gaveUp(abandon) }
    lastCutOff = world.now
    store.result = nil
    store.stage = .answering
    store.answer = { job.fail(Self.cutOff) }
    store.number += 1
    continueLater(after: world.random.below(2 * Span.second))
  }

  private static func complete(_ job: StoreQueue.Job, _ answer: Result<ReplicaAnswer, StoreError>) {
    switch (job, answer) {
    case (.begin(_, let completion), .success(.begun(let answer))): completion(.success(answer))
    case (.save(_, let completion), .success(.saved(let answer))): completion(.success(answer))
    case (.abandon(_, let completion), .success(.abandoned)): completion(.success(()))
    case (_, .failure(let error)): job.fail(error)
    default: job.fail(StoreError(.unavailable, "another operation's answer"))
    }
  }
}
