// Dates as .NET writes them: 2025-06-25T18:44:15.6186183+07:00, with or without fraction and offset.
import TokenKit

/// Reads `Expire_Date`.
enum ExpireDate {
  /// `YYYY-MM-DDThh:mm:ss`, then nothing or a point and 1 to 7 digits, then `Z`, `±hh:mm` or nothing, for which
  /// `assumedOffset` (seconds east of UTC) stands in. nil for anything else, and for days that do not exist. Cut to
  /// whole milliseconds.
  static func parse(_ text: some Sequence<UInt8>, assumedOffset: Int) -> WallTime? {
    var rest = Array(text)[...]
    guard let year = number(&rest, digits: 4), skip("-", &rest), let month = number(&rest, digits: 2), skip("-", &rest),
      let day = number(&rest, digits: 2), skip("T", &rest), let hour = number(&rest, digits: 2), skip(":", &rest),
      let minute = number(&rest, digits: 2), skip(":", &rest), let second = number(&rest, digits: 2),
      year >= 1, (1...12).contains(month), day >= 1, day <= daysInMonth(month, year), hour < 24, minute < 60,
      second < 60
    else { return nil }
    var milliseconds = 0
    if skip(".", &rest) {
      let digits = rest.prefix { isDigit($0) }
      guard (1...7).contains(digits.count) else { return nil }
      var thousandths = digits.prefix(3)
      for _ in 0..<3 { milliseconds = milliseconds * 10 + Int(thousandths.popFirst().map { $0 - 0x30 } ?? 0) }
      rest = rest.dropFirst(digits.count)
    }
    guard let east = rest.isEmpty ? assumedOffset : offset(rest) else { return nil }
    let seconds = (daysSince1970(year, month, day) * 24 + hour) * 3600 + minute * 60 + second - east
    return WallTime(milliseconds: Int64(seconds * 1000 + milliseconds))
  }

  /// `Z` or `±hh:mm` (up to 14 hours, which is as far as offsets go) in seconds east of UTC; nil for anything else.
  static func offset(_ text: some Sequence<UInt8>) -> Int? {
    var rest = Array(text)[...]
    if skip("Z", &rest) { return rest.isEmpty ? 0 : nil }
    let sign: Int
    if skip("+", &rest) {
      sign = 1
    } else if skip("-", &rest) {
      sign = -1
    } else {
      return nil
    }
    guard let hours = number(&rest, digits: 2), skip(":", &rest), let minutes = number(&rest, digits: 2), rest.isEmpty,
      minutes < 60, hours * 60 + minutes <= 14 * 60
    else { return nil }
    return sign * (hours * 60 + minutes) * 60
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private static func number(_ rest: inout ArraySlice<UInt8>, digits: Int) -> Int? {
    let head = rest.prefix(digits)
    guard head.count == digits, head.allSatisfy(isDigit) else { return nil }
    rest = rest.dropFirst(digits)
    return head.reduce(0) { $0 * 10 + Int($1 - 0x30) }
  }

  private static func skip(_ character: Unicode.Scalar, _ rest: inout ArraySlice<UInt8>) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest = rest.dropFirst()
    return true
  }

  private static func daysInMonth(_ month: Int, _ year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days of the proleptic Gregorian calendar. Years start in March here, so that the leap day is a year's last.
  private static func daysSince1970(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month > 2 ? year : year - 1
    let monthFromMarch = (month + 9) % 12
    let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
    return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
  }
}
