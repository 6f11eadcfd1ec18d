// How the control loop asks the data loops for their counters, when they answer and when they don't.
import EventLoop
import GatewayTesting
import Testing

@testable import Gateway

@Suite struct CounterCollectorTests {
  private final class Rig {
    let loop: EventLoop
    let layout = CounterLayout(routes: 1, credentials: 0, listeners: 1, upstreams: 0)
    var asked: [(worker: Int, ticket: UInt64)] = []
    var ended: Set<Int> = []
    var snapshots: [CounterSnapshot] = []
    private(set) var collector: CounterCollector?

    init(workers: Int) throws {
      loop = try EventLoop()
      collector = CounterCollector(loop, layout, workers: workers) { [unowned self] worker, ticket in
        if ended.contains(worker) { return false }
        asked.append((worker, ticket))
        return true
      }
    }

    func collect() { collector?.collect { [unowned self] in snapshots.append($0) } }

    /// An answer in two parts, with `begun` requests.
    func answer(_ question: (worker: Int, ticket: UInt64), begun: UInt64, partly: Bool = false) {
      var cells = [UInt64](repeating: 0, count: layout.count)
      cells[0] = begun
      let state = LoopState(time: 0, lag: 5, timing: loop.timing)
      let half = cells.count / 2
      collector?.receive(
        CounterPart(
          ticket: question.ticket, worker: question.worker, layout: layout, start: 0, cells: Array(cells[..<half])))
      if partly { return }
      collector?.receive(
        CounterPart(
          ticket: question.ticket, worker: question.worker, layout: layout, start: half, cells: Array(cells[half...]),
          end: state))
    }

    /// Turns until there are so many snapshots.
    func turn(until count: Int) throws {
      let deadline = ContinuousClock.now + .seconds(20)
      while snapshots.count < count, ContinuousClock.now < deadline { try loop.turn(waitingAtMost: 100) }
    }
  }

  @Test func oneAnswerWhenAllHaveAnswered() throws {
    let rig = try Rig(workers: 2)
    rig.collect()
    rig.collect()
    #expect(rig.asked.map(\.worker) == [0, 1], "those who ask meanwhile share the answer")
    rig.answer(rig.asked[1], begun: 3)
    #expect(rig.snapshots.isEmpty)
    rig.answer(rig.asked[0], begun: 4, partly: true)
    #expect(rig.snapshots.isEmpty)
    rig.collector?.receive(CounterPart(ticket: 999, worker: 0, layout: rig.layout, start: 0, cells: [7], end: nil))
    let half = rig.layout.count / 2
    rig.collector?.receive(
      CounterPart(
        ticket: rig.asked[0].ticket, worker: 0, layout: rig.layout, start: half,
        cells: [UInt64](repeating: 0, count: rig.layout.count - half),
        end: LoopState(time: 0, lag: 0, timing: rig.loop.timing)))
    #expect(rig.snapshots.map { $0[.begun] } == [7, 7] && rig.snapshots.allSatisfy { $0.lateLoops == 0 })
    rig.collect()
    #expect(rig.asked.count == 4)
  }

  /// Counters never go back: a loop that is late counts as it did before.
  @Test func aLateLoopCountsAsBefore() throws {
    let rig = try Rig(workers: 2)
    rig.collect()
    rig.answer(rig.asked[0], begun: 10)
    rig.answer(rig.asked[1], begun: 20)
    rig.collect()
    rig.answer(rig.asked[2], begun: 11)
    #expect(rig.snapshots.count == 1)
    try rig.turn(until: 2)
    #expect(rig.snapshots.map { $0[.begun] } == [30, 31] && rig.snapshots.map(\.lateLoops) == [0, 1])
    // It isn't asked a second time; its old answer does.
    rig.collect()
    #expect(rig.asked.count == 5 && rig.asked[4].worker == 0)
    rig.answer(rig.asked[4], begun: 12)
    rig.answer(rig.asked[3], begun: 25)
    #expect(rig.snapshots.count == 3 && rig.snapshots.last?[.begun] == 37 && rig.snapshots.last?.lateLoops == 0)
  }

  @Test func aLoopThatHasEndedIsNotWaitedFor() throws {
    let rig = try Rig(workers: 1)
    rig.collect()
    rig.answer(rig.asked[0], begun: 8)
    rig.ended = [0]
    rig.collect()
    #expect(rig.snapshots.map { $0[.begun] } == [8, 8])
  }
}
