// Threads that carry a loop, and what the process sets up for all of them.
internal import CLinux
internal import Glibc

package enum LoopThread {
  private final class Start {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }

    func run() {
      _ = unsafe linux_name_thread(name)
      body()
    }
  }

  /// Runs `body` on a thread of its own, which makes its loop there. The name shows in `top -H`; 15 bytes of it.
  /// - Returns: a handle to wait for the thread's end with.
  package static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) -> Handle {
    var thread = pthread_t()
    let start = unsafe Unmanaged.passRetained(Start(String(name.prefix(15)), body))
    // Safety: the thread takes over the one retain that is passed to it.
    let result = unsafe pthread_create(
      &thread, nil,
      { argument in
        if let argument = unsafe argument { unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, unsafe start.toOpaque())
    if result != 0 {
      unsafe start.release()
      throw SystemError("pthread_create", errno: result)
    }
    return Handle(thread: thread)
  }

  package struct Handle: Sendable {
    fileprivate let thread: pthread_t

    /// Waits for the thread's end.
    package func join() { _ = pthread_join(thread, nil) }

    /// Nobody will wait for it; what it is made of goes with its end.
    package func detach() { _ = pthread_detach(thread) }
  }
}

package enum Process {
  /// Writing to a closed connection must be an error, not the end of the process.
  package static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

  /// No core dump, no ptrace by others: tokens stay in this process.
  package static func forbidDumps() { _ = linux_set_dumpable(0) }

  /// Raises the soft limit of open files to the hard one, and says what it is.
  package static func raiseDescriptorLimit() -> UInt64 {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
    limit.rlim_cur = limit.rlim_max
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return UInt64(limit.rlim_cur)
  }

  /// Makes room for so many descriptors at once. The kernel doubles a process's table of them when it is full, and if there
  /// are several threads the call that found it full waits until all processors are through with the old one: 7 to 15 ms
  /// were measured, in which a data loop would stand still. Where this fails the table grows later, as it always did.
  package static func reserveDescriptors(_ count: Int) {
    let any = unsafe open("/", O_RDONLY | O_CLOEXEC)
    if any < 0 { return }
    let last = fcntl(any, F_DUPFD_CLOEXEC, Int32(clamping: count - 1))
    if last >= 0 { close(last) }
    close(any)
  }

  /// Milliseconds since 1970.
  package static func wallClockMilliseconds() -> Int64 { linux_realtime_ms() }

  /// Nanoseconds since 1970.
  package static func wallClockNanoseconds() -> Int64 { linux_realtime_ns() }

  /// Nanoseconds of CLOCK_BOOTTIME.
  package static func bootClockNanoseconds() -> Int64 { linux_boottime_ns() }
}

/// Signals as events of a loop. The signals must be blocked before any thread starts.
package final class SignalSource: EventHandler {
  private let fd: Int32
  private let loop: EventLoop
  private let receive: (Int32) -> Void
  private var registration: EventLoop.Registration?

  package static let terminate = SIGTERM
  package static let interrupt = SIGINT
  package static let hangup = SIGHUP
  /// Files that others rotate are to be opened again.
  package static let reopen = SIGUSR1
  /// A new process is to take this one's place.
  package static let replace = SIGUSR2
  /// A process that this one has started is over.
  package static let childEnded = SIGCHLD

  /// In the first thread, before others start: they inherit the mask.
  package static func block(_ signals: [Int32]) throws(SystemError) {
    let result = unsafe linux_block_signals(signals, Int32(signals.count))
    if result != 0 { throw SystemError("pthread_sigmask", errno: result) }
  }

  package init(_ loop: EventLoop, _ signals: [Int32], receive: @escaping (Int32) -> Void) throws(SystemError) {
    self.loop = loop
    self.receive = receive
    fd = unsafe linux_signalfd(signals, Int32(signals.count))
    if fd < 0 { throw SystemError.last("signalfd") }
    do throws(SystemError) {
      registration = try loop.register(fd, .level, self)
    } catch {
      close(fd)
      throw error
    }
  }

  package func handle(_ events: ReadyEvents) {
    while true {
      let signal = linux_read_signal(fd)
      if signal <= 0 { return }
      receive(signal)
    }
  }
}

/// The process's standard error, without buffering.
package enum StandardError {
  /// The text and a line end.
  package static func write(line: String) {
    let bytes = Array((line + "\n").utf8)
    write(bytes.span)
  }

  /// One write; what a full pipe does not take is lost rather than waited for by a second try.
  package static func write(_ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBytes { _ = unsafe Glibc.write(2, $0.baseAddress, $0.count) }
  }
}
