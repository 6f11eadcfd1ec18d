// The clocks and timers of the control loop, as the credential manager asks for them.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// Both clocks of this machine.
final class SystemClock: ManagerClock {
  var now: Moment {
    Moment(
      boot: BootInstant(nanoseconds: Process.bootClockNanoseconds()),
      wall: WallTime(milliseconds: Process.wallClockMilliseconds()))
  }
}

/// Timers on the loop's wheel. Confined to the control loop.
final class ControlTimers: ManagerTimers, TimerHandler {
  private struct Entry {
    var timer: TimerWheel.Timer
    var action: () -> Void
  }

  private let loop: EventLoop
  private var entries: [UInt64: Entry] = [:]
  private var ids: [TimerWheel.Timer: UInt64] = [:]
  private var lastID: UInt64 = 0

  init(_ loop: EventLoop) { self.loop = loop }

  func schedule(at deadline: BootInstant, _ action: @escaping () -> Void) -> ManagerTimer {
    lastID += 1
    let timer = loop.timers.make(self)
    entries[lastID] = Entry(timer: timer, action: action)
    ids[timer] = lastID
    loop.timers.schedule(timer, at: deadline.nanoseconds)
    return ManagerTimer(id: lastID)
  }

  func cancel(_ timer: ManagerTimer) { _ = take(timer.id) }

  func timerFired(_ timer: TimerWheel.Timer) {
    if let id = ids[timer], let action = take(id) { action() }
  }

  private func take(_ id: UInt64) -> (() -> Void)? {
    guard let entry = entries.removeValue(forKey: id) else { return nil }
    ids[entry.timer] = nil
    loop.timers.release(entry.timer)
    return entry.action
  }
}

/// A time limit that is called off when what it is for comes first.
struct PendingTimer {
  private let timers: ControlTimers
  private let timer: ManagerTimer

  init(_ timers: ControlTimers, _ timer: ManagerTimer) {
    self.timers = timers
    self.timer = timer
  }

  func cancel() { timers.cancel(timer) }
}
