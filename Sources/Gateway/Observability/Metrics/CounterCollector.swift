// Asks the data loops for their counters and merges the answers: for metrics and for the status page.
internal import EventLoop

/// Confined to the control loop.
final class CounterCollector: TimerHandler {
  /// How long a loop is waited for.
  private static let patience: Int64 = 1_000_000_000

  private struct Loop {
    /// The question that it has not answered.
    var asked: UInt64?
    /// What came of its answer so far.
    var coming: [UInt64] = []
    /// Its last whole answer.
    var cells: [UInt64] = []
    var state: LoopState?
  }

  private let loop: EventLoop
  private var layout: CounterLayout
  /// Asks a loop; false when it has ended.
  private let ask: (_ worker: Int, _ ticket: UInt64) -> Bool
  private var loops: [Loop]
  private var lastTicket: UInt64 = 0
  private var waiting: [(CounterSnapshot) -> Void] = []
  private var timer: TimerWheel.Timer?

  init(
    _ loop: EventLoop, _ layout: CounterLayout, workers: Int,
    ask: @escaping (_ worker: Int, _ ticket: UInt64) -> Bool
  ) {
    self.loop = loop
    self.layout = layout
    self.ask = ask
    loops = [Loop](repeating: Loop(), count: workers)
  }

  /// There are more rows from now on. Loops that do not know yet answer with less.
  /// - Parameter places: rows that belong to others now.
  func follow(_ layout: CounterLayout, anew places: PlanPlaces.Chosen = PlanPlaces.Chosen()) {
    let ranges = layout.ranges(of: places)
    for index in loops.indices {
      loops[index].cells = self.layout.moved(loops[index].cells, to: layout)
      guard loops[index].cells.count == layout.count else { continue }
      for range in ranges { for cell in range { loops[index].cells[cell] = 0 } }
    }
    self.layout = layout
  }

  /// `completion` is called once, on the control loop, maybe before this returns: when all loops have answered, at the
  /// latest after a second. Those who ask while an answer is on its way share it.
  func collect(_ completion: @escaping (CounterSnapshot) -> Void) {
    waiting.append(completion)
    if waiting.count > 1 { return }
    for index in loops.indices where loops[index].asked == nil {
      lastTicket += 1
      loops[index].asked = lastTicket
      loops[index].coming.removeAll()
      if !ask(index, lastTicket) { loops[index].asked = nil }
    }
    if isComplete { return finish() }
    let timer = loop.timers.make(self)
    self.timer = timer
    loop.timers.schedule(timer, at: loop.now + Self.patience)
  }

  private var isComplete: Bool { loops.allSatisfy { $0.asked == nil } }

  /// A part of an answer, also of one that nobody waits for any more.
  func receive(_ part: CounterPart) {
    guard loops[part.worker].asked == part.ticket else { return }
    if part.layout.version != layout.version {
      // It did not know yet that rows are others'. By the time of the next question it does.
      lastTicket += 1
      loops[part.worker].asked = lastTicket
      loops[part.worker].coming.removeAll()
      if !ask(part.worker, lastTicket) { loops[part.worker].asked = nil }
      if isComplete { finish() }
      return
    }
    // A reload under way: it begins anew.
    if part.start == 0 { loops[part.worker].coming.removeAll() }
    guard part.start == loops[part.worker].coming.count else { return }
    loops[part.worker].coming += part.cells
    guard let end = part.end else { return }
    loops[part.worker].cells = part.layout.moved(loops[part.worker].coming, to: layout)
    loops[part.worker].coming = []
    loops[part.worker].state = end
    loops[part.worker].asked = nil
    if isComplete { finish() }
  }

  func timerFired(_ timer: TimerWheel.Timer) { finish() }

  private func finish() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    if waiting.isEmpty { return }
    var snapshot = CounterSnapshot(layout)
    snapshot.time = Process.bootClockNanoseconds()
    for loop in loops {
      snapshot.add(loop.cells)
      snapshot.loops.append(loop.state)
      if loop.asked != nil { snapshot.lateLoops += 1 }
    }
    let completions = waiting
    waiting = []
    for completion in completions { completion(snapshot) }
  }
}
