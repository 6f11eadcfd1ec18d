// Tells a service manager (systemd) how the gateway is: ready, reloading, stopping, a line for people, and by the watchdog
// that it still turns. The control plane calls it; without NOTIFY_SOCKET nothing happens here.
internal import EventLoop
internal import Logging

/// Confined to the control loop.
final class ServiceReporter: TimerHandler {
  /// Between two tries of a message that the manager's queue did not take, and between two looks at what people are told.
  private static let retryPause: Int64 = 100_000_000
  private static let statusPause: Int64 = 5_000_000_000
  private static let messagesKept = 16

  private let loop: EventLoop
  private let socket: NotifySocket
  private let logger: Logger
  /// Messages that the manager's queue did not take, in order.
  private var waiting: [String] = []
  private var retryTimer: TimerWheel.Timer?
  private var statusTimer: TimerWheel.Timer?
  private var watchdog: LoopWatchdog?
  private var status = ""
  private var hasFailed = false
  private var isReady = false
  private var isInPlace = false
  /// Whether it was said that the process stops; nothing that sounds otherwise follows.
  private(set) var isStopping = false
  /// A line for people, asked for on the control loop when something may have changed.
  var describe: () -> String = { "" }

  /// nil when no service manager waits for messages.
  /// - Parameter environment: of the process: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID.
  init?(
    _ loop: EventLoop, environment: [String: String], logger: Logger, mailboxes: [Mailbox<WorkerMessage>]
  ) {
    guard let name = environment["NOTIFY_SOCKET"], !name.isEmpty else { return nil }
    guard let socket = NotifySocket(name) else {
      logger.warning("NOTIFY_SOCKET is not a Unix socket; nobody is notified", metadata: ["name": "\(name)"])
      return nil
    }
    self.loop = loop
    self.socket = socket
    self.logger = logger
    let interval = LoopWatchdog.interval(environment)
    watchdog = LoopWatchdog(loop, mailboxes, interval: interval) { [unowned self] in
      // A manager that has not heard the message before needs no further one.
      if isReady { if waiting.isEmpty { send("WATCHDOG=1") } } else { becomeReady() }
    }
  }

  /// The store may let the start wait that long.
  /// - Parameter limit: the time within which `ready` is to be called.
  func starting(within limit: Duration) { send("STATUS=Starting\n\(Self.allowance(limit))") }

  /// Called when the data loops were started: says so once each of them turns.
  /// - Parameter inPlace: of another process, whose last word is some time ago.
  func ready(inPlace: Bool = false) {
    isInPlace = inPlace
    watchdog?.start()
  }

  private func becomeReady() {
    isReady = true
    status = describe()
    if !isStopping { send("READY=1\n\(isInPlace ? "WATCHDOG=1\n" : "")STATUS=\(Self.line(status))") }
  }

  /// A new configuration is being read. `reloaded` must follow, whatever comes of it.
  func reloading() {
    if isStopping { return }
    send("RELOADING=1\nMONOTONIC_USEC=\(Process.monotonicMicroseconds())\nSTATUS=Reading the configuration again")
  }

  /// The new configuration is in force, or the old one still is.
  /// - Parameter failure: why the new one was refused, in one line; nil: it was not.
  func reloaded(failure: String? = nil) {
    if isStopping { return }
    status = describe()
    let line = failure.map { "Configuration refused, the old one is in force: \($0)" } ?? status
    send("READY=1\nSTATUS=\(Self.line(line))")
  }

  /// The drain begins, and may take that long.
  func stopping(within limit: Duration) {
    isStopping = true
    send("STOPPING=1\nSTATUS=Draining\n\(Self.allowance(limit))")
  }

  /// Another process has taken this one's place, and is the one to be looked after from now on. Nothing follows from here.
  func yield(to process: Int32) {
    if isStopping { return }
    isStopping = true
    watchdog?.close()
    // From here to the first word of the new process is a part of its watchdog's time.
    send("MAINPID=\(process)\nWATCHDOG=1\nSTATUS=Serving")
  }

  /// A new process was to take this one's place.
  /// - Parameter reason: why it did not, in one line.
  func replacementFailed(_ reason: String) {
    if !isReady || isStopping { return }
    send("STATUS=\(Self.line("Replacement failed, going on: \(reason)"))")
  }

  /// What `describe` says may have changed. Asked again a while later, however often this is called.
  func changed() {
    if !isReady || isStopping || statusTimer != nil { return }
    let timer = loop.timers.make(self)
    statusTimer = timer
    loop.timers.schedule(timer, at: loop.now + Self.statusPause)
  }

  /// A data loop's answer to the question whether it turns.
  func turned(ticket: UInt64) { watchdog?.turned(ticket: ticket) }

  /// The process ends.
  func close() {
    watchdog?.close()
    for case let timer? in [retryTimer, statusTimer] { loop.timers.release(timer) }
    retryTimer = nil
    statusTimer = nil
    flush()
  }

  // MARK: Messages

  /// More than the manager's own limit, by as much as the gateway may need.
  private static func allowance(_ limit: Duration) -> String {
    // What ends by the limit needs a moment more to be over.
    "EXTEND_TIMEOUT_USEC=\((limit.components.seconds + 10) * 1_000_000)"
  }

  /// A value ends with its line.
  static func line(_ text: String) -> String {
    String(text.map { $0.isNewline || $0 == "\0" ? " " : $0 }.prefix(512))
  }

  private func send(_ message: String) {
    waiting.append(message)
    if waiting.count > Self.messagesKept { waiting.removeFirst() }
    flush()
  }

  private func flush() {
    while let message = waiting.first {
      do throws(SystemError) {
        try socket.send(message)
        hasFailed = false
      } catch {
        if error.isTryAgain { return retryLater() }
        if !hasFailed {
          logger.warning("the service manager can't be notified", metadata: ["error": "\(error)"])
        }
        hasFailed = true
      }
      waiting.removeFirst()
    }
  }

  private func retryLater() {
    if retryTimer != nil { return }
    let timer = loop.timers.make(self)
    retryTimer = timer
    loop.timers.schedule(timer, at: loop.now + Self.retryPause)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    loop.timers.release(timer)
    if timer == retryTimer {
      retryTimer = nil
      return flush()
    }
    statusTimer = nil
    let line = describe()
    if line == status || isStopping { return }
    status = line
    send("STATUS=\(Self.line(line))")
  }
}
