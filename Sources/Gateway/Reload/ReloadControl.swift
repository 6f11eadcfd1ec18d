// Reloads, one at a time: reads the file beside the control loop, has the new configuration checked against what runs,
// then puts all of it in force at once, or nothing.
internal import EventLoop
internal import Logging
internal import TokenKit
internal import TokenService

/// Where the configuration comes from. `read` is called on a thread of its own.
package struct ConfigurationSource: Sendable {
  /// The file, for messages.
  package var file: String
  package var read: @Sendable () -> Result<LoadedConfiguration, InvalidConfiguration>

  package init(
    file: String, read: @escaping @Sendable () -> Result<LoadedConfiguration, InvalidConfiguration>
  ) {
    self.file = file
    self.read = read
  }
}

/// Confined to the control loop.
final class ReloadControl {
  typealias Completion = (ReloadRecord) -> Void
  private static let problemsInLog = 20
  private static let manyCredentials = 1000
  static let stopping = SettingsProblem(path: "", message: "the gateway is stopping")

  private struct Running {
    var cause: ReloadRecord.Cause
    var begun: Moment
    var completions: [Completion]
  }

  private unowned let plane: ControlPlane
  let source: ConfigurationSource
  private var running: Running?
  /// Each reload has a number, also one that is refused; that of the start is 0.
  private var lastGeneration = 0
  /// Those who asked while one was going on: the file may have changed since it was read, so one more follows for all of
  /// them.
  private var next: (cause: ReloadRecord.Cause, completions: [Completion])?
  /// Those who wait until none is going on.
  private var idle: [() -> Void] = []
  private(set) var counts: ReloadCounts
  /// nil: there was none yet.
  private(set) var last: ReloadRecord?

  init(_ plane: ControlPlane, _ source: ConfigurationSource) {
    self.plane = plane
    self.source = source
    counts = ReloadCounts(last: plane.now.wall)
  }

  /// Asks for a reload. `completion` is called once, on the control loop.
  func request(_ cause: ReloadRecord.Cause, _ completion: @escaping Completion = { _ in }) {
    if plane.isEnding {
      return completion(record(cause, plane.now, .refused, [Self.stopping]))
    }
    if running != nil || !plane.isServing {
      next = (next?.cause ?? cause, (next?.completions ?? []) + [completion])
      return
    }
    begin(cause, [completion])
  }

  /// Calls `action` once no reload is going on, before another one begins.
  func whenIdle(_ action: @escaping () -> Void) {
    if running == nil { action() } else { idle.append(action) }
  }

  /// The start is over, or a reload is: goes on with who has asked meanwhile.
  func goOn() {
    guard running == nil, let waiting = next else { return }
    next = nil
    if plane.isServing { return begin(waiting.cause, waiting.completions) }
    let refused = record(waiting.cause, plane.now, .refused, [Self.stopping])
    for completion in waiting.completions { completion(refused) }
  }

  private func begin(_ cause: ReloadRecord.Cause, _ completions: [Completion]) {
    plane.service?.reloading()
    running = Running(cause: cause, begun: plane.now, completions: completions)
    let (source, places, workers) = (source, plane.places, plane.workers)
    lastGeneration += 1
    let generation = lastGeneration
    let (forwarding, control) = (plane.forwarding, plane.control)
    guard let manager = plane.manager else { return finish(.refused, [Self.stopping]) }
    let checker = manager.checker
    let free = plane.ledger.free { manager.isOver(credential: $0) }
    do throws(SystemError) {
      let thread = try LoopThread.start(name: "reload") {
        control.send(
          .plansPrepared(
            source.read().flatMap {
              PreparedPlans.make(
                $0, places: places, free: free, forwarding: forwarding, workers: workers, checker: checker,
                generation: generation, control: control)
            }))
      }
      // Its message is its end. Reading can take as long as it likes, also when the gateway stops.
      thread.detach()
    } catch {
      finish(.refused, [SettingsProblem(path: "", message: "no thread for reading the file: \(error)")])
    }
  }

  /// The file was read.
  func prepared(_ result: Result<PreparedPlans, InvalidConfiguration>) {
    switch result {
    case .failure(let invalid): finish(.refused, invalid.problems)
    case .success(let plans):
      plane.take(plans) { [unowned self] result in
        switch result {
        case .success(let changes): finish(.taken, plans.loaded.warnings, changes)
        case .failure(let refusal): finish(.refused, refusal.problems + plans.loaded.warnings)
        }
      }
    }
  }

  private func record(
    _ cause: ReloadRecord.Cause, _ begun: Moment, _ result: ReloadRecord.Result, _ problems: [SettingsProblem],
    _ changes: ConfigurationChanges? = nil
  ) -> ReloadRecord {
    let now = plane.now
    return ReloadRecord(
      time: now.wall, cause: cause, took: now.boot - begun.boot, result: result,
      problems: ProblemReport.sorted(problems), file: source.file, changes: changes)
  }

  private func finish(
    _ result: ReloadRecord.Result, _ problems: [SettingsProblem], _ changes: ConfigurationChanges? = nil
  ) {
    guard let done = running else { return }
    running = nil
    let record = record(done.cause, done.begun, result, problems, changes)
    last = record
    counts.last = record.time
    counts.isLastGood = result == .taken
    switch result {
    case .taken: counts.taken += 1
    case .refused: counts.refused += 1
    }
    log(record)
    plane.service?.reloaded(
      failure: result == .taken ? nil : ProblemReport.lines(record.problems, file: source.file).first)
    for completion in done.completions { completion(record) }
    trim()
    let waiting = idle
    idle = []
    for action in waiting { action() }
    goOn()
  }

  /// Reading a large file takes memory that is free now, and that the C library would keep. It may take its time.
  private func trim() {
    guard let count = plane.manager?.configuredCount, count > Self.manyCredentials else { return }
    do throws(SystemError) {
      try LoopThread.start(name: "trim") { ProcessMemory.trim() }.detach()
    } catch {
      plane.logger.debug("no thread for giving memory back", metadata: ["error": "\(error)"])
    }
  }

  private func log(_ record: ReloadRecord) {
    var lines = ProblemReport.lines(record.problems, file: record.file)
    if lines.count > Self.problemsInLog {
      let more = lines.count - Self.problemsInLog
      lines.removeLast(more)
      lines.append("and \(more) more: gateway check says all of them")
    }
    var metadata: Logger.Metadata = [
      "cause": "\(record.cause.rawValue)", "took_ms": "\(record.took.nanoseconds / 1_000_000)",
      "file": "\(record.file)",
    ]
    if let changes = record.changes?.lines, !changes.isEmpty {
      metadata["changes"] = "\(changes.joined(separator: " | "))"
    }
    if !lines.isEmpty { metadata["problems"] = "\(lines.joined(separator: "; "))" }
    switch record.result {
    case .taken: plane.logger.notice("configuration reloaded", metadata: metadata)
    case .refused:
      plane.logger.error("configuration not reloaded, the old one stays in force", metadata: metadata)
    }
  }
}
