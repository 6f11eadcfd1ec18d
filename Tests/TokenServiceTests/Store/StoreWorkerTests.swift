// The store's thread as the control loop sees it: order, where answers arrive, failing to open, closing.
import Glibc
import Testing
import TokenKit

@testable import EventLoop
@testable import TokenService

@Suite("Store: worker")
struct StoreWorkerTests {
  private let directory: PrivateDirectory
  private let path: String
  private let loop: EventLoop

  init() throws {
    directory = try PrivateDirectory()
    path = directory.file("gateway.db")
    loop = try EventLoop()
  }

  /// Turns the loop until `condition` holds.
  private func turn(until condition: () -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while !condition() {
      try #require(ContinuousClock.now < deadline, "the condition did not come")
      try loop.turn(waitingAtMost: 100)
    }
  }

  private func close(_ worker: StoreWorker) throws {
    var closed: Result<Void, StoreError>?
    worker.close { closed = $0 }
    try turn { closed != nil }
    try #require(closed).get()
  }

  @Test("Jobs are carried out in order, and answered on the loop's thread after the call")
  func order() throws {
    var events: [String] = []
    var areOnLoop = true
    let here = pthread_self()
    func note(_ text: String) {
      events.append(text)
      areOnLoop = areOnLoop && pthread_self() == here
    }
    let worker = try StoreWorker.sqlite(loop, path: path, waitingAtMost: .zero) { result in
      note((try? result.get()) == nil ? "failed" : "opened")
    }
    #expect(!worker.isShared)
    let marked = try StoreFixture.row(generation: 0, mark: StoreFixture.mark(generation: 0))
    let pair = try StoreFixture.row(generation: 1)
    worker.read(StoreQuery(name: "vinid", seed: nil)) {
      note("read \((try? $0.get()) == StoreRecord(row: nil, seedIsKnown: false))")
    }
    worker.begin(StoreBegin(row: marked, expected: 0, fingerprints: [])) {
      note("begin \($0 == .success(.marked(prior: nil)))")
    }
    worker.read(StoreQuery(name: "vinid", seed: nil)) { note("marked \((try? $0.get().row) == marked)") }
    worker.save(StoreSave(row: pair, replacing: 0, fingerprints: [])) { note("save \($0 == .success(.saved))") }
    worker.abandon(StoreAbandon(name: "vinid", generation: 1, keepsMark: false)) {
      note("abandon \((try? $0.get()) != nil)")
    }
    worker.load([StoreQuery(name: "none", seed: nil), StoreQuery(name: "vinid", seed: nil)]) { result in
      note("load \((try? result.get().map(\.row)) == [nil, pair])")
    }
    #expect(events == [])
    try turn { events.count == 7 }
    #expect(events == ["opened", "read true", "begin true", "marked true", "save true", "abandon true", "load true"])
    #expect(areOnLoop)
    try close(worker)
  }

  @Test("A store that can't be opened fails everything that was asked of it, and what is asked later")
  func unopened() throws {
    let shared = try directory.make("shared", mode: 0o755)
    var opened: Result<Void, StoreError>?
    var answers: [Result<StoreRecord, StoreError>] = []
    let worker = try StoreWorker.sqlite(loop, path: "\(shared)/gateway.db", waitingAtMost: .zero) { opened = $0 }
    worker.read(StoreQuery(name: "vinid", seed: nil)) { answers.append($0) }
    try turn { opened != nil && answers.count == 1 }
    guard case .failure(let error) = opened else { return #expect(Bool(false), "it was opened") }
    #expect(error.message.contains("chmod 700"))
    worker.read(StoreQuery(name: "vinid", seed: nil)) { answers.append($0) }
    #expect(answers.count == 1)
    try turn { answers.count == 2 }
    #expect(answers == [.failure(error), .failure(error)])
    var closed: Result<Void, StoreError>?
    worker.close { closed = $0 }
    try turn { closed != nil }
  }

  @Test("Closing comes after everything that was asked for, and lets the next process in")
  func closing() throws {
    let worker = try StoreWorker.sqlite(loop, path: path, waitingAtMost: .zero) { _ in }
    var events: [String] = []
    for generation in 1...20 as ClosedRange<UInt64> {
      worker.save(
        StoreSave(row: try StoreFixture.row(generation: generation), replacing: generation - 1, fingerprints: [])
      ) { events.append("\($0 == .success(.saved))") }
    }
    worker.close { events.append("closed \((try? $0.get()) != nil)") }
    worker.read(StoreQuery(name: "vinid", seed: nil)) { result in
      if case .failure(let error) = result { events.append("late \(error.kind)") }
    }
    try turn { events.count == 22 }
    #expect(events.filter { $0 == "true" }.count == 20)
    #expect(events.last == "closed true")
    #expect(events.contains("late unavailable"))
    let next = try StoreFixture.open(path)
    #expect(try StoreFixture.stored(next)?.generation == 20)
  }

  @Test("An error of one job is that job's alone")
  func failingJob() throws {
    _ = try StoreFixture.seed(path)
    var isOpen = false
    let worker = try StoreWorker.sqlite(loop, path: path, waitingAtMost: .zero) { isOpen = (try? $0.get()) != nil }
    try turn { isOpen }
    var answers: [Result<StoreSaveAnswer, StoreError>] = []
    let failing = try ReplacedDescriptor(of: path + "-wal", by: "/dev/full", flags: O_RDWR)
    let second = StoreSave(row: try StoreFixture.row(generation: 2), replacing: 1, fingerprints: [])
    worker.save(second) { answers.append($0) }
    try turn { answers.count == 1 }
    failing.restore()
    worker.save(second) { answers.append($0) }
    try turn { answers.count == 2 }
    guard case .failure(let error) = answers[0] else { return #expect(Bool(false), "the full disk took it") }
    #expect(error.kind == .full)
    #expect(answers[1] == .success(.saved))
    try close(worker)
  }
}
