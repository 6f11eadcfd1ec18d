// How the operational log looks: read by every line, changed by a reload.
package import Logging
internal import Synchronization

/// One for the process.
package final class LogSettings: Sendable {
  private let current: Mutex<(level: Logger.Level, format: LogConfiguration.Format)>

  package init(level: Logger.Level, format: LogConfiguration.Format) { current = Mutex((level, format)) }

  /// From the next line on.
  func set(_ configuration: LogConfiguration) {
    current.withLock { $0 = (configuration.level, configuration.format) }
  }

  var level: Logger.Level { current.withLock { $0.level } }
  var format: LogConfiguration.Format { current.withLock { $0.format } }
}
