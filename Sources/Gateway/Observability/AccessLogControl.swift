// The access log as the control loop sees it: opens the file again, and tells of lines that were lost.
internal import EventLoop
internal import Logging

/// Confined to the control loop.
final class AccessLogControl: TimerHandler {
  /// Between two warnings.
  private static let pause: Int64 = 60_000_000_000

  private let loop: EventLoop
  private(set) var file: AccessLogFile?
  private let logger: Logger
  private var timer: TimerWheel.Timer?
  private var untold: UInt64 = 0
  private var reason: SystemError?
  /// Lines that all loops have lost.
  private(set) var dropped: UInt64 = 0

  init(_ loop: EventLoop, _ file: AccessLogFile?, _ logger: Logger) {
    self.loop = loop
    self.file = file
    self.logger = logger
  }

  /// A reload has brought another one, or none.
  func follow(_ file: AccessLogFile?) { self.file = file }

  /// SIGUSR1: somebody has moved the file away.
  func reopen() {
    guard let file, let path = file.path else { return logger.info("no access log file to open again") }
    do throws(SystemError) {
      try file.reopen()
      logger.info("access log opened again", metadata: ["path": "\(path)"])
    } catch {
      logger.error(
        "the access log can't be opened again, the old file stays in use",
        metadata: ["path": "\(path)", "error": "\(error)"])
    }
  }

  /// A loop has lost lines.
  func note(dropped lines: UInt64, _ reason: SystemError?) {
    dropped &+= lines
    untold &+= lines
    self.reason = reason ?? self.reason
    if timer != nil { return }
    tell()
    let timer = loop.timers.make(self)
    self.timer = timer
    loop.timers.schedule(timer, at: loop.now + Self.pause)
  }

  func timerFired(_ timer: TimerWheel.Timer) {
    if untold > 0 {
      tell()
      return loop.timers.schedule(timer, at: loop.now + Self.pause)
    }
    loop.timers.release(timer)
    self.timer = nil
  }

  private func tell() {
    logger.warning(
      "access log lines dropped",
      metadata: ["lines": "\(untold)", "reason": "\(reason?.description ?? "the reader does not keep up")"])
    untold = 0
    reason = nil
  }

  /// The process ends.
  func close() {
    if let timer { loop.timers.release(timer) }
    timer = nil
    if dropped > 0 { logger.notice("access log lines dropped in all", metadata: ["lines": "\(dropped)"]) }
  }
}
