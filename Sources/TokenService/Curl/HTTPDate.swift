// Dates in HTTP fields: the one form that servers may send today, read strictly and without a calendar library.

internal import TokenKit

/// `Sun, 06 Nov 1994 08:49:37 GMT` (IMF-fixdate, RFC 9110 §5.6.7). The obsolete forms are not read: no answer needs
/// them, and a date that is not understood is the same as none.
enum HTTPDate {
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
  private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]

  /// The moment that a field's value names; nil for anything that is not exactly of that form, or no real date.
  static func parse(_ text: String) -> WallTime? {
    let bytes = Array(text.utf8)
    guard bytes.count == 29 else { return nil }

    func part(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    func number(_ range: Range<Int>) -> Int? {
      var value = 0
      for byte in bytes[range] {
        guard (0x30...0x39).contains(byte) else { return nil }
        value = value * 10 + Int(byte - 0x30)
      }
      return value
    }

    guard part(3..<5) == ", ", part(7..<8) == " ", part(11..<12) == " ", part(16..<17) == " ",
      part(19..<20) == ":", part(22..<23) == ":", part(25..<29) == " GMT"
    else { return nil }
    guard let day = number(5..<7), let month = months.firstIndex(of: part(8..<11)), let year = number(12..<16),
      let hour = number(17..<19), let minute = number(20..<22), let second = number(23..<25)
    else { return nil }
    // 60 is a leap second.
    guard year >= 1970, day >= 1, day <= length(ofMonth: month + 1, year), hour < 24, minute < 60, second <= 60 else {
      return nil
    }
    let days = daysSinceEpoch(year, month + 1, day)
    guard weekdays[days % 7] == part(0..<3) else { return nil }
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return WallTime(milliseconds: Int64(seconds) * 1000)
  }

  private static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  private static func length(ofMonth month: Int, _ year: Int) -> Int {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days from 1970-01-01 in the Gregorian calendar, for years that start in March so that the leap day comes last.
  private static func daysSinceEpoch(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month > 2 ? year : year - 1
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }
}

/// `Retry-After` (RFC 9110 §10.2.3).
enum RetryAfter {
  /// How long to wait; nil when the value is neither whole seconds nor a date.
  /// - Parameter now: the server's clock, against which its date counts.
  static func parse(_ text: String, now: WallTime) -> Duration? {
    if let date = HTTPDate.parse(text) { return max(.zero, date - now) }
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    // A number that is too big for its type means "very long" as well.
    return .seconds(min(Int64(text) ?? .max, 365 * 86_400))
  }
}
