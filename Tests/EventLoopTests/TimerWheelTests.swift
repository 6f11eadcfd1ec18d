// The timer wheel under a simulated clock, against a plain table of deadlines.
import Testing

@testable import EventLoop

private final class Firing: TimerHandler {
  var fired: [TimerWheel.Timer] = []
  var action: ((TimerWheel.Timer) -> Void)?

  func timerFired(_ timer: TimerWheel.Timer) {
    fired.append(timer)
    action?(timer)
  }
}

private let tick = TimerWheel.tickNanoseconds
private let millisecond: Int64 = 1_000_000
private let second: Int64 = 1_000_000_000
private let hour = 3600 * second

@Suite struct TimerWheelTests {
  @Test("A timer never fires early, and at most one tick late", arguments: 1...12)
  func againstTable(seed: UInt64) {
    var random = TestRandom(seed: seed)
    var now = Int64.random(in: 0...(1 << 50), using: &random)
    let wheel = TimerWheel(now: now)
    let firing = Firing()
    let timers = (0..<40).map { _ in wheel.make(firing) }
    var deadlines: [TimerWheel.Timer: Int64] = [:]
    let spans = [20 * millisecond, second, 40 * second, hour, 100 * hour]

    for _ in 0..<300 {
      for _ in 0..<Int.random(in: 0...6, using: &random) {
        let timer = timers.randomElement(using: &random) ?? timers[0]
        switch Int.random(in: 0...9, using: &random) {
        case 0: wheel.cancel(timer)
        case 1: wheel.disarm(timer)
        default:
          let span = spans.randomElement(using: &random) ?? second
          let deadline = now + Int64.random(in: -span / 10...span, using: &random)
          wheel.schedule(timer, at: deadline)
          deadlines[timer] = deadline
          #expect(wheel.isArmed(timer))
          continue
        }
        deadlines[timer] = nil
        #expect(!wheel.isArmed(timer))
      }
      let before = now
      let step = spans.randomElement(using: &random) ?? second
      now += Int64.random(in: 0...step / 8, using: &random)
      firing.fired.removeAll()
      wheel.advance(to: now)
      for timer in firing.fired {
        guard let deadline = deadlines.removeValue(forKey: timer) else {
          Issue.record("a timer fired that was not armed")
          continue
        }
        #expect(deadline <= now, "early by \(deadline - now)")
      }
      // What is left must not have been due for a whole tick that lies between the two moments.
      if now / tick > before / tick {
        for deadline in deadlines.values { #expect(deadline > now - tick, "late by \(now - deadline)") }
      }
    }
  }

  @Test("Sleeping for as long as the wheel says makes nothing late", arguments: 1...10)
  func sleepingAsTold(seed: UInt64) {
    var random = TestRandom(seed: seed)
    var now = Int64.random(in: 0...(1 << 50), using: &random)
    let wheel = TimerWheel(now: now)
    let firing = Firing()
    #expect(wheel.timeoutMilliseconds(now: now) == -1)
    for _ in 0..<200 {
      let deadline = now + Int64.random(in: 0...(Bool.random(using: &random) ? second : 50 * hour), using: &random)
      let timer = wheel.make(firing)
      wheel.schedule(timer, at: deadline)
      firing.fired.removeAll()
      var turns = 0
      while firing.fired.isEmpty {
        let timeout = wheel.timeoutMilliseconds(now: now)
        #expect(timeout >= 0)
        now += Int64(max(0, timeout)) * millisecond
        wheel.advance(to: now)
        turns += 1
        if turns > 500 {
          Issue.record("the wheel wakes for nothing")
          return
        }
      }
      #expect(now >= deadline)
      #expect(now - deadline < tick + 2 * millisecond, "late by \(now - deadline)")
      wheel.release(timer)
    }
  }

  @Test("A deadline that moves on costs no firing in between")
  func movingDeadline() {
    let wheel = TimerWheel(now: 0)
    let firing = Firing()
    let timer = wheel.make(firing)
    for step in 0..<2000 {
      let now = Int64(step) * 4 * millisecond
      wheel.schedule(timer, at: now + second)
      wheel.advance(to: now)
    }
    #expect(firing.fired.isEmpty)
    wheel.advance(to: 1999 * 4 * millisecond + second + tick)
    #expect(firing.fired.count == 1)
    #expect(!wheel.isArmed(timer))
  }

  @Test("A deadline may move closer")
  func closerDeadline() {
    let wheel = TimerWheel(now: 0)
    let firing = Firing()
    let timer = wheel.make(firing)
    wheel.schedule(timer, at: 50 * hour)
    wheel.schedule(timer, at: 100 * millisecond)
    wheel.advance(to: 100 * millisecond + tick)
    #expect(firing.fired.count == 1)
  }

  @Test("A handler may arm its own timer again, also for now, and fires once per tick at most")
  func rearmingItself() {
    let wheel = TimerWheel(now: 0)
    let firing = Firing()
    var now: Int64 = 0
    firing.action = { wheel.schedule($0, at: now) }
    wheel.schedule(wheel.make(firing), at: tick)
    for count in 1...100 {
      now = Int64(count) * tick
      wheel.advance(to: now)
      #expect(firing.fired.count == count)
    }
  }

  @Test("A handler may cancel and release timers that are due in the same tick")
  func cancellingNeighbours() {
    let wheel = TimerWheel(now: 0)
    let firing = Firing()
    let timers = (0..<10).map { _ in wheel.make(firing) }
    for timer in timers { wheel.schedule(timer, at: tick) }
    var reused: TimerWheel.Timer?
    firing.action = { fired in
      for timer in timers where timer != fired { wheel.cancel(timer) }
      guard reused == nil, let victim = timers.first(where: { $0 != fired }) else { return }
      wheel.release(victim)
      let again = wheel.make(firing)
      wheel.schedule(again, at: 10 * tick)
      reused = again
    }
    wheel.advance(to: 5 * tick)
    #expect(firing.fired.count == 1)
    firing.action = nil
    wheel.advance(to: 20 * tick)
    #expect(firing.fired.count == 2)
    #expect(firing.fired.last == reused)
  }

  @Test("Deadlines beyond the wheel's range, and at the end of time")
  func farDeadlines() {
    let wheel = TimerWheel(now: 0)
    let firing = Firing()
    let far = wheel.make(firing)
    let never = wheel.make(firing)
    wheel.schedule(far, at: 100 * hour)
    wheel.schedule(never, at: .max - 1)
    var now: Int64 = 0
    while now < 100 * hour - hour {
      now += hour
      wheel.advance(to: now)
    }
    #expect(firing.fired.isEmpty)
    wheel.advance(to: 100 * hour + tick)
    #expect(firing.fired == [far])
    #expect(wheel.isArmed(never))
  }

  @Test("A timer that was given back keeps no handler alive")
  func releasing() {
    let wheel = TimerWheel(now: 0)
    weak var handler: Firing?
    let timer: TimerWheel.Timer
    do {
      let firing = Firing()
      handler = firing
      timer = wheel.make(firing)
      wheel.schedule(timer, at: tick)
    }
    #expect(handler != nil)
    wheel.release(timer)
    #expect(handler == nil)
    wheel.advance(to: 10 * tick)
  }
}
