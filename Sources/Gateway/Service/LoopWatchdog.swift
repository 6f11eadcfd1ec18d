// Whether all loops turn: the control loop asks each data loop by its mailbox, and what they answer is that they do.
internal import EventLoop

/// Confined to the control loop, whose timer is the proof that it turns itself.
final class LoopWatchdog: TimerHandler {
  /// A service manager that asks for more than that asks in vain.
  private static let shortestInterval: Int64 = 10_000_000

  private let loop: EventLoop
  private let mailboxes: [Mailbox<WorkerMessage>]
  /// Nanoseconds between two questions; nil: only the first one is asked.
  private let interval: Int64?
  private let allTurn: () -> Void
  private var timer: TimerWheel.Timer?
  private var ticket: UInt64
  private var missing = 0

  /// - Parameters:
  ///   - firstTicket: of several that ask the same loops each has its own.
  ///   - allTurn: called when every data loop has answered a question.
  init(
    _ loop: EventLoop, _ mailboxes: [Mailbox<WorkerMessage>], interval: Int64?, firstTicket: UInt64 = 0,
    allTurn: @escaping () -> Void
  ) {
    ticket = firstTicket
    self.loop = loop
    self.mailboxes = mailboxes
    self.interval = interval
    self.allTurn = allTurn
  }

  /// Half of the time within which the service manager wants to hear of this process, in nanoseconds; nil when it does
  /// not, or wants to hear of another process.
  static func interval(_ environment: [String: String], process: Int32 = Process.id) -> Int64? {
    guard let limit = environment["WATCHDOG_USEC"].flatMap({ Int64($0) }), limit > 0, limit < .max / 1000 else {
      return nil
    }
    if let owner = environment["WATCHDOG_PID"], !owner.isEmpty, Int32(owner) != process { return nil }
    return max(limit * 1000 / 2, shortestInterval)
  }

  /// Asks for the first time.
  func start() {
    if timer != nil { return }
    timer = loop.timers.make(self)
    ask()
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    // Still waiting: a loop stands still, and nothing is said before it turns again.
    if missing == 0 { ask() } else { schedule() }
  }

  private func ask() {
    ticket += 1
    // A loop that has drained takes no messages any more; it is not missed.
    missing = mailboxes.count(where: { $0.send(.turn(ticket: ticket)) })
    schedule()
    if missing == 0 { allTurn() }
  }

  private func schedule() {
    if let timer, let interval { loop.timers.schedule(timer, at: loop.now + interval) }
  }

  /// A data loop's answer.
  func turned(ticket: UInt64) {
    guard ticket == self.ticket, missing > 0 else { return }
    missing -= 1
    if missing == 0 { allTurn() }
  }

  func close() {
    if let timer { loop.timers.release(timer) }
    timer = nil
  }
}
