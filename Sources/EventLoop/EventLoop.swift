// The loop: one epoll, its handlers, timers and run list. Everything that is registered with a loop lives on its thread.
internal import CLinux
internal import Glibc

/// Which events a descriptor reported.
package struct ReadyEvents: OptionSet, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let readable = ReadyEvents(rawValue: LINUX_EPOLLIN)
  package static let writable = ReadyEvents(rawValue: LINUX_EPOLLOUT)
  /// The peer ended its sending direction.
  package static let readHangup = ReadyEvents(rawValue: LINUX_EPOLLRDHUP)
  package static let hangup = ReadyEvents(rawValue: LINUX_EPOLLHUP)
  package static let error = ReadyEvents(rawValue: LINUX_EPOLLERR)
  /// After any of these a short read does not mean that nothing more will come.
  package static let ending: ReadyEvents = [.readHangup, .hangup, .error]
}

/// What is told when its descriptor is ready, on its loop.
package protocol EventHandler: AnyObject {
  func handle(_ events: ReadyEvents)
}

/// What has more to do than one turn allows: called once, in the next turn.
package protocol Runnable: AnyObject {
  func runAgain()
}

/// One epoll instance and what hangs on it. Made and used on one thread; another thread reaches it by a `Mailbox`.
@safe
package final class EventLoop {
  /// How a descriptor is watched.
  package enum Mode: Sendable {
    /// Both directions, edge triggered, registered once: streams.
    case stream
    /// Reading, level triggered.
    case level
    /// Reading, level triggered, one of the loops is woken: shared listening sockets.
    case exclusive
  }

  /// A registered descriptor. The sequence number tells a reused slot from the old one.
  package struct Registration: Sendable, Equatable {
    fileprivate var slot: UInt32
    fileprivate var sequence: UInt32
    /// What nothing was ever registered as.
    static var none: Registration { Registration(slot: 0, sequence: 0) }
    fileprivate var key: UInt64 { UInt64(sequence) << 32 | UInt64(slot) }
  }

  private struct Slot {
    var handler: (any EventHandler)?
    var sequence: UInt32 = 0
    var fd: Int32 = -1
    /// What came for it in this turn and was not handled yet.
    var pending: UInt32 = 0
  }

  /// Events of one turn. More would save next to nothing and make turns long: those that come in a burst, such as
  /// requests that waited for the same lease or need a new connection each, take 20 to 30 µs. With 16 a small request costs
  /// 5 % more.
  private static let eventCapacity = 32
  /// Bytes of the buffer that all streams of the loop read into, and what one of them may read in a turn.
  package static let scratchSize = 256 * 1024

  private let epoll: Int32
  private var slots: [Slot] = []
  private var freeSlots: [UInt32] = []
  private let events: UnsafeMutablePointer<linux_epoll_event>
  let scratch: UnsafeMutableRawBufferPointer
  private var runList: [any Runnable] = []
  private var running: [any Runnable] = []
  private var isStopping = false
  private var hasTurned = false

  /// Nanoseconds of CLOCK_BOOTTIME, taken once a turn.
  package private(set) var now: Int64 { didSet { timers.now = now } }
  package let timers: TimerWheel
  /// How long its turns have taken.
  package private(set) var timing: LoopTiming
  package let buffers = BufferPool()
  package let relays = RelayLimit()

  package init() throws(SystemError) {
    now = linux_boottime_ns()
    timers = TimerWheel(now: now)
    timing = LoopTiming(now: now)
    epoll = linux_epoll_create()
    unsafe events = .allocate(capacity: Self.eventCapacity)
    unsafe scratch = .allocate(byteCount: Self.scratchSize, alignment: 64)
    if epoll < 0 { throw SystemError.last("epoll_create1") }
  }

  deinit {
    if epoll >= 0 { close(epoll) }
    unsafe events.deallocate()
    unsafe scratch.deallocate()
  }

  /// Watches a descriptor. The handler is kept until `deregister`.
  package func register(
    _ fd: Int32, _ mode: Mode, _ handler: any EventHandler
  ) throws(SystemError) -> Registration {
    let mask: UInt32
    switch mode {
    case .stream: mask = LINUX_EPOLLIN | LINUX_EPOLLOUT | LINUX_EPOLLRDHUP | LINUX_EPOLLET
    case .level: mask = LINUX_EPOLLIN
    case .exclusive: mask = LINUX_EPOLLIN | LINUX_EPOLLEXCLUSIVE
    }
    return try register(fd, mask: mask, handler)
  }

  /// Watches a descriptor level triggered, for a library that says itself what it waits for.
  package func register(
    _ fd: Int32, reading: Bool, writing: Bool, _ handler: any EventHandler
  ) throws(SystemError) -> Registration {
    try register(fd, mask: Self.mask(reading, writing), handler)
  }

  /// Changes what a level-triggered registration waits for.
  package func modify(_ registration: Registration, reading: Bool, writing: Bool) throws(SystemError) {
    guard isCurrent(registration) else { return }
    let fd = slots[Int(registration.slot)].fd
    if linux_epoll_modify(epoll, fd, Self.mask(reading, writing), registration.key) != 0 {
      throw SystemError.last("epoll_ctl")
    }
  }

  private static func mask(_ reading: Bool, _ writing: Bool) -> UInt32 {
    (reading ? LINUX_EPOLLIN | LINUX_EPOLLRDHUP : 0) | (writing ? LINUX_EPOLLOUT : 0)
  }

  private func register(
    _ fd: Int32, mask: UInt32, _ handler: any EventHandler
  ) throws(SystemError) -> Registration {
    let slot: UInt32
    if let free = freeSlots.popLast() {
      slot = free
    } else {
      slot = UInt32(slots.count)
      slots.append(Slot())
    }
    slots[Int(slot)].sequence &+= 1
    let registration = Registration(slot: slot, sequence: slots[Int(slot)].sequence)
    if linux_epoll_add(epoll, fd, mask, registration.key) != 0 {
      freeSlots.append(slot)
      throw SystemError.last("epoll_ctl")
    }
    slots[Int(slot)].handler = handler
    slots[Int(slot)].fd = fd
    slots[Int(slot)].pending = 0
    return registration
  }

  private func isCurrent(_ registration: Registration) -> Bool {
    if registration == .none { return false }
    let slot = slots[Int(registration.slot)]
    return slot.sequence == registration.sequence && slot.handler != nil
  }

  /// Forgets a descriptor and lets its handler go; events of this turn that were for it are dropped.
  /// - Parameter isClosing: the caller closes the descriptor next, which removes it from epoll without a call.
  package func deregister(_ registration: Registration, isClosing: Bool = true) {
    guard isCurrent(registration) else { return }
    if !isClosing { _ = linux_epoll_remove(epoll, slots[Int(registration.slot)].fd) }
    slots[Int(registration.slot)].handler = nil
    slots[Int(registration.slot)].fd = -1
    freeSlots.append(registration.slot)
  }

  /// What came for a descriptor in this turn and is handled later in it.
  package func pendingEvents(_ registration: Registration) -> ReadyEvents {
    isCurrent(registration) ? ReadyEvents(rawValue: slots[Int(registration.slot)].pending) : []
  }

  /// Runs `runnable` in the next turn, after the events that are waiting.
  package func runLater(_ runnable: any Runnable) { runList.append(runnable) }

  /// Turns until `stop` is called from within.
  package func run() throws(SystemError) {
    while !isStopping { try turn(waitingAtMost: -1) }
    isStopping = false
  }

  /// Ends `run` after the current turn. On the loop's own thread only.
  package func stop() { isStopping = true }

  /// One turn: waits for events, at most `limit` milliseconds (-1: until one comes), and handles them.
  package func turn(waitingAtMost limit: Int32) throws(SystemError) {
    // Not `now`: the handlers of the turn before may have taken long.
    let before = linux_boottime_ns()
    if hasTurned { timing.note(before - now, at: before) }
    hasTurned = true
    var timeout = runList.isEmpty ? timers.timeoutMilliseconds(now: before) : 0
    if limit >= 0, timeout < 0 || timeout > limit { timeout = limit }
    // What is put there from now on waits for the turn after this one.
    swap(&runList, &running)
    let count = unsafe linux_epoll_wait(epoll, events, Int32(Self.eventCapacity), timeout)
    if count < 0, errno != EINTR { throw SystemError.last("epoll_wait") }
    now = linux_boottime_ns()
    handle(max(0, Int(count)))
    // After the events: what came in time counts as in time, also when this thread was held up.
    timers.advance(to: now)
    if !running.isEmpty {
      for runnable in running { runnable.runAgain() }
      running.removeAll(keepingCapacity: true)
    }
  }

  private func handle(_ count: Int) {
    // Whoever is about to use another descriptor can see what is known of it already.
    if count > 1 {
      for index in 0..<count {
        let event = unsafe events[index]
        slots[Int(truncatingIfNeeded: event.data & 0xffff_ffff)].pending = event.events
      }
    }
    for index in 0..<count {
      let event = unsafe events[index]
      let slot = Int(truncatingIfNeeded: event.data & 0xffff_ffff)
      guard slots[slot].sequence == UInt32(truncatingIfNeeded: event.data >> 32), let handler = slots[slot].handler
      else { continue }
      slots[slot].pending = 0
      handler.handle(ReadyEvents(rawValue: event.events))
    }
  }
}
