// Dates as servers write them: IMF-fixdate for `Date`, ISO 8601 with an offset for MISA's `Expire_Date`.
package import TokenKit

/// A moment taken apart in the proleptic Gregorian calendar.
package struct CivilTime: Sendable, Equatable {
  package var year: Int
  package var month: Int
  package var day: Int
  package var hour: Int
  package var minute: Int
  package var second: Int
  package var millisecond: Int
  /// 0 is Sunday.
  package var weekday: Int

  /// - Parameter offsetMinutes: east of UTC.
  package init(_ time: WallTime, offsetMinutes: Int = 0) {
    let shifted = time.milliseconds + Int64(offsetMinutes) * 60_000
    let day = Int((Double(shifted) / 86_400_000).rounded(.down))
    let rest = Int(shifted - Int64(day) * 86_400_000)
    (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60)
    (second, millisecond) = (rest / 1000 % 60, rest % 1000)
    weekday = ((day + 4) % 7 + 7) % 7
    // Howard Hinnant's days-to-civil: eras of 400 years that begin on 1 March.
    let shiftedDay = day + 719_468
    let era = (shiftedDay >= 0 ? shiftedDay : shiftedDay - 146_096) / 146_097
    let dayOfEra = shiftedDay - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    self.day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// `Sun, 06 Nov 1994 08:49:37 GMT`; only for a time without offset.
  package var httpDate: String {
    let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let clock = "\(Self.pad(hour, 2)):\(Self.pad(minute, 2)):\(Self.pad(second, 2))"
    return "\(weekdays[weekday]), \(Self.pad(day, 2)) \(months[month - 1]) \(Self.pad(year, 4)) \(clock) GMT"
  }

  /// `2025-06-25T18:44:15.6180000+07:00`: seven digits, as .NET writes them.
  package static func dotNet(_ time: WallTime, offsetMinutes: Int) -> String {
    let civil = CivilTime(time, offsetMinutes: offsetMinutes)
    let date = "\(pad(civil.year, 4))-\(pad(civil.month, 2))-\(pad(civil.day, 2))"
    let clock = "\(pad(civil.hour, 2)):\(pad(civil.minute, 2)):\(pad(civil.second, 2))"
    let sign = offsetMinutes < 0 ? "-" : "+"
    let offset = "\(pad(abs(offsetMinutes) / 60, 2)):\(pad(abs(offsetMinutes) % 60, 2))"
    return "\(date)T\(clock).\(pad(civil.millisecond, 3))0000\(sign)\(offset)"
  }

  private static func pad(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
