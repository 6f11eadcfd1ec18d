// Where log lines go: one line for each event on standard error, as JSON or as text for people.
internal import EventLoop
package import Logging

/// Writes each event with one call, so that lines of several threads never mix. Values are written as they are given:
/// whoever logs must not hand over secrets (`Secret` prints redacted).
package struct LineLogHandler: LogHandler {
  package var logLevel: Logger.Level {
    get { own ?? settings.level }
    set { own = newValue }
  }
  package var metadata: Logger.Metadata = [:]
  private let settings: LogSettings
  /// Of a logger that was given a level of its own.
  private var own: Logger.Level?
  private let label: String

  package init(label: String, _ settings: LogSettings) {
    self.label = label
    self.settings = settings
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    var fields = metadata
    if let own = event.metadata { fields.merge(own) { _, new in new } }
    let pairs = fields.sorted { $0.key < $1.key }
    let time = Timestamp.text(milliseconds: Process.wallClockMilliseconds())
    var line: String
    switch settings.format {
    case .json, .combined:
      line = "{\"time\":\"\(time)\",\"level\":\"\(event.level)\",\"message\":"
      line += ProblemResponse.quoted("\(event.message)")
      for (key, value) in pairs {
        line += ",\(ProblemResponse.quoted(key)):\(ProblemResponse.quoted("\(value)"))"
      }
      line += "}\n"
    case .text:
      line = "\(time) \(event.level) \(event.message)"
      for (key, value) in pairs { line += " \(key)=\(ProblemResponse.quoted("\(value)"))" }
      line += "\n"
    }
    StandardError.write(Array(line.utf8).span)
  }
}

/// RFC 3339 without a formatter.
enum Timestamp {
  /// `2025-06-25T11:44:15.618Z`
  static func text(milliseconds: Int64) -> String {
    let (date, time) = milliseconds.flooredDivision(by: 86_400_000)
    // Days to a civil date, by the usual shift of the year's start to March (Hinnant, "chrono-compatible algorithms").
    let shifted = date + 719_468
    let (era, dayOfEra) = shifted.flooredDivision(by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let clock = [time / 3_600_000, time / 60_000 % 60, time / 1000 % 60].map { padded($0, 2) }.joined(separator: ":")
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(clock).\(padded(time % 1000, 3))Z"
  }

  private static func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}

extension Int64 {
  fileprivate func flooredDivision(by divisor: Int64) -> (Int64, Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}
