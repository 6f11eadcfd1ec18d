// Starts the process that is to take this one's place, which SIGUSR2 asks for, and sees how it ends if it comes to nothing.
package import EventLoop
internal import Logging

/// Confined to the control loop.
final class SuccessorStart {
  private let program: ProgramStart?
  private let logger: Logger
  private var process: Int32?

  init(_ program: ProgramStart?, logger: Logger) {
    self.program = program
    self.logger = logger
  }

  /// Whether one was started that has not ended.
  var isRunning: Bool { process != nil }

  /// - Returns: why it could not be started.
  func start() -> String? {
    guard let program else { return "this program does not start itself anew" }
    do throws(SystemError) {
      let started = try program.start()
      process = started
      logger.notice("a new process was started to take this one's place", metadata: ["process": "\(started)"])
      return nil
    } catch {
      return "the new process can't be started: \(error)"
    }
  }

  /// A process has ended: maybe that one, which thus serves no more.
  func lookAfter(_ failed: (String) -> Void) {
    guard let process, let how = ProgramStart.ended(process) else { return }
    self.process = nil
    failed("the new process did not come to serve: \(how)")
  }
}

extension ProgramStart {
  /// This program with its arguments, as a process that takes the place of the one that runs.
  package static func replacing(arguments: [String], environment: [String: String]) -> ProgramStart {
    var environment = environment
    // Meant for this process: the sockets come from it, and who looks after the new one is told of it.
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] { environment[name] = nil }
    let isThere = arguments.contains("--replace")
    return ProgramStart(arguments: arguments + (isThere ? [] : ["--replace"]), environment: environment)
  }
}
