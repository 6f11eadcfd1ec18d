// The time in the lines of the access log, rendered once a turn at most, and only the part that has changed.
internal import EventLoop

/// Confined to its loop.
struct AccessLogClock {
  private let format: LogConfiguration.AccessFormat
  private var turn = Int64.min
  private var millisecond = Int64.min
  private var second = Int64.min
  private var day = Int64.min
  /// The start of a JSON line up to the request id, or the middle of a combined one from the caller to the request.
  private(set) var bytes: [UInt8] = []
  /// Where the hour and the milliseconds stand.
  private let hourPlace: Int
  private let millisecondPlace: Int

  init(_ format: LogConfiguration.AccessFormat) {
    self.format = format
    hourPlace = format == .json ? 20 : 18
    millisecondPlace = 29
  }

  /// - Parameters:
  ///   - turn: the loop's time; one turn has one time.
  ///   - wallClock: milliseconds since 1970.
  mutating func advance(to turn: Int64, wallClock: () -> Int64 = Process.wallClockMilliseconds) {
    if turn == self.turn { return }
    self.turn = turn
    let now = wallClock()
    if now == millisecond { return }
    millisecond = now
    let seconds = now >= 0 ? now / 1000 : 0
    if seconds != second {
      second = seconds
      if seconds / 86_400 != day {
        day = seconds / 86_400
        bytes = Self.text(of: day, format)
      }
      let ofDay = Int(seconds % 86_400)
      write(ofDay / 3600, at: hourPlace)
      write(ofDay / 60 % 60, at: hourPlace + 3)
      write(ofDay % 60, at: hourPlace + 6)
    }
    if format == .json {
      let part = Int(max(0, now) % 1000)
      bytes[millisecondPlace] = 0x30 + UInt8(truncatingIfNeeded: part / 100)
      write(part % 100, at: millisecondPlace + 1)
    }
  }

  private mutating func write(_ number: Int, at place: Int) {
    bytes[place] = 0x30 + UInt8(truncatingIfNeeded: number / 10)
    bytes[place + 1] = 0x30 + UInt8(truncatingIfNeeded: number % 10)
  }

  private static func text(of day: Int64, _ format: LogConfiguration.AccessFormat) -> [UInt8] {
    let midnight = Timestamp.text(milliseconds: day * 86_400_000)
    switch format {
    case .json: return Array("{\"time\":\"\(midnight)\",\"request_id\":\"".utf8)
    case .combined:
      let parts = midnight.prefix(10).split(separator: "-")
      let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
      let month = months[max(0, min(11, (Int(parts[1]) ?? 1) - 1))]
      return Array(" - - [\(parts[2])/\(month)/\(parts[0]):00:00:00 +0000] \"".utf8)
    }
  }
}
