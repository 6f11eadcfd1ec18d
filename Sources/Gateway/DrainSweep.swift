// A timer of the drain: looks for connections that have become idle, now and again.
internal import EventLoop

/// Repeats a sweep over idle connections while a loop drains.
final class DrainSweep: TimerHandler {
  private static let pause: Int64 = 500_000_000

  private let loop: EventLoop
  private let sweep: () -> Bool
  private var timer: TimerWheel.Timer?

  init(_ loop: EventLoop, _ sweep: @escaping () -> Bool) {
    self.loop = loop
    self.sweep = sweep
    let timer = loop.timers.make(self)
    self.timer = timer
    loop.timers.schedule(timer, at: loop.now + Self.pause)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    if sweep() { loop.timers.schedule(timer, at: loop.now + Self.pause) }
  }

  func cancel() {
    if let timer { loop.timers.release(timer) }
    timer = nil
  }
}
