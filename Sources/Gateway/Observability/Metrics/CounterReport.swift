// How a data loop answers when it is asked for its counters: with copies, in parts when there are many, one a turn.
internal import EventLoop

/// A part of a loop's cells.
struct CounterPart: Sendable {
  var ticket: UInt64
  var worker: Int
  /// What the cells are.
  var layout: CounterLayout
  /// Its first cell's place.
  var start: Int
  var cells: [UInt64]
  /// In the last part.
  var end: LoopState?
}

/// A loop as it is, besides its counters.
struct LoopState: Sendable {
  /// Nanoseconds of CLOCK_BOOTTIME at which it answered.
  var time: Int64
  /// Nanoseconds from the question to the turn in which it was read.
  var lag: Int64
  var timing: LoopTiming
}

/// Confined to the data loop.
final class CounterReport: Runnable {
  /// Cells of a part: copying them takes some microseconds.
  private static let partSize = 8192

  private unowned let worker: Worker
  private var ticket: UInt64 = 0
  private var lag: Int64 = 0
  /// Cells that were sent; all of them when nobody has asked.
  private var sent = Int.max

  init(_ worker: Worker) { self.worker = worker }

  /// - Parameter asked: when, by CLOCK_BOOTTIME.
  func start(_ ticket: UInt64, asked: Int64) {
    self.ticket = ticket
    lag = max(0, Process.bootClockNanoseconds() - asked)
    // A report under way begins anew: whoever asked for it does not wait any more.
    let isUnderWay = sent < .max
    sent = 0
    if !isUnderWay { runAgain() }
  }

  /// The layout has changed: a report under way begins anew.
  func restart() { if sent < .max { sent = 0 } }

  func runAgain() {
    let range = sent..<min(sent + Self.partSize, worker.counters.cells.count)
    worker.readGauges(range)
    sent = range.upperBound
    let isLast = sent == worker.counters.cells.count
    let start = range.lowerBound
    if isLast { sent = .max }
    let now = Process.bootClockNanoseconds()
    worker.context.control.send(
      .counters(
        CounterPart(
          ticket: ticket, worker: worker.context.index, layout: worker.counters.layout, start: start,
          cells: Array(worker.counters.cells[range]),
          end: isLast ? LoopState(time: now, lag: lag, timing: worker.loop.timing) : nil)))
    if !isLast { worker.loop.runLater(self) }
  }
}

extension Worker {
  /// Brings cells up to date that tell what other objects hold and count.
  /// - Parameter range: of the cells that are about to be read.
  func readGauges(_ range: Range<Int>) {
    let layout = counters.layout
    counters.settle()
    counters.set(.accessLogDropped, to: droppedBefore &+ (accessLog?.dropped ?? 0))
    counters.set(.spansDropped, to: spansDroppedBefore &+ (tracer?.dropped ?? 0))
    var shed = shedBefore
    for (id, listener) in listeners { shed[socketPlaces[id] ?? 0, default: 0] &+= listener.shed }
    for (place, count) in shed { counters.set(.shedForDescriptors, to: count, listener: place) }
    for index in layout.upstreams(in: range) where index < pools.count { pools[index].count(as: index, in: &counters) }
  }
}
