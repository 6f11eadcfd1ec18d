// Regular expressions of the schema for texts that several providers read, and for numbers within texts.

/// Patterns; each takes the whole text.
public enum SettingsPatterns {
  private static let hexadecimalHost = #"\[[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*\]"#
  private static let host = #"(?:[A-Za-z0-9._-]+|"# + hexadecimalHost + ")"
  private static let port = "(?::0*(?:" + DecimalRange.pattern(1...65535) + "))?"
  /// Visible ASCII without `#` and `\`.
  private static let rest = #"(?:[/?][!"$-\[\]-~]*)?"#
  private static let octet = "0*(?:" + DecimalRange.pattern(0...255) + ")"
  private static let loopback =
    #"(?:(?:[A-Za-z0-9._-]*\.)?"# + caseless("localhost") + #"|127(?:\."# + octet + #"){3}|\[::1\])"#

  /// `HTTPURL`.
  public static let url = "^" + caseless("http") + "[sS]?://" + host + port + rest + "$"
  /// `HTTPURL` without path and query.
  public static let origin = "^" + caseless("http") + "[sS]?://" + host + port + "/?$"
  /// The beginning of an https URL.
  public static let https = "^" + caseless("https") + "://"
  /// URLs that may be used without `allow_plaintext`: https, or http on this machine.
  public static let sealed =
    "^(?:" + caseless("https") + "://|" + caseless("http") + "://" + loopback + "(?::|/|\\?|$))"
  /// Text without control characters, not empty.
  public static let line = #"^[^\u0000-\u001f\u007f-\u009f]+$"#
  /// Printable ASCII without spaces at its ends: what a header field's value may be.
  public static let fieldText = "^[!-~](?:[ -~]*[!-~])?$"
  /// RFC 6749 A.4.
  public static let scope = #"^[!#-\[\]-~]+(?: [!#-\[\]-~]+)*$"#
  /// An RFC 9110 token.
  public static let token = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"

  /// A duration within bounds.
  public static func duration(_ bounds: ClosedRange<Duration>) -> String {
    let (low, high) = (bounds.lowerBound.nanoseconds / 1_000_000, bounds.upperBound.nanoseconds / 1_000_000)
    return amounts(
      Int(low)...Int(high), [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)])
  }

  /// A size within bounds.
  public static func size(_ bounds: ClosedRange<Int>) -> String {
    amounts(bounds, [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)])
  }

  /// A word in ASCII whose letters may have either case.
  public static func caseless(_ word: String) -> String {
    word.map { $0.isLetter ? "[\($0.lowercased())\($0.uppercased())]" : $0 == "-" ? "[_-]" : "\($0)" }.joined()
  }

  private static func amounts(_ bounds: ClosedRange<Int>, _ units: [(name: String, factor: Int)]) -> String {
    let parts = units.compactMap { unit -> String? in
      let low = bounds.lowerBound / unit.factor + (bounds.lowerBound % unit.factor == 0 ? 0 : 1)
      let high = bounds.upperBound / unit.factor
      return low <= high ? "(?:" + DecimalRange.pattern(low...high) + ")" + unit.name : nil
    }
    return "^0*(?:" + parts.joined(separator: "|") + ")$"
  }
}

/// Whole numbers between two bounds as a regular expression: the schema can't compare what stands within a text.
public enum DecimalRange {
  /// Without zeros at its beginning and without anchors. Bounds are not negative.
  public static func pattern(_ bounds: ClosedRange<Int>) -> String {
    let (low, high) = (Array("\(bounds.lowerBound)".utf8), Array("\(bounds.upperBound)".utf8))
    var parts: [String] = []
    for count in low.count...high.count {
      let least = count == low.count ? low : [0x31] + [UInt8](repeating: 0x30, count: count - 1)
      let most = count == high.count ? high : [UInt8](repeating: 0x39, count: count)
      parts += alternatives(least[...], most[...])
    }
    return parts.joined(separator: "|")
  }

  /// Numbers of one length between two of it.
  private static func alternatives(_ low: ArraySlice<UInt8>, _ high: ArraySlice<UInt8>) -> [String] {
    guard let first = low.first, let last = high.first else { return [""] }
    let (lowTail, highTail) = (low.dropFirst(), high.dropFirst())
    if first == last { return grouped(digit(first, first), alternatives(lowTail, highTail)) }
    var parts: [String] = []
    var (from, to) = (first, last)
    if lowTail.contains(where: { $0 != 0x30 }) {
      parts += grouped(digit(first, first), alternatives(lowTail, lowTail.map { _ in 0x39 }[...]))
      from += 1
    }
    let cutsEnd = highTail.contains { $0 != 0x39 }
    if cutsEnd { to -= 1 }
    if from <= to { parts.append(digit(from, to) + any(lowTail.count)) }
    if cutsEnd { parts += grouped(digit(last, last), alternatives(highTail.map { _ in 0x30 }[...], highTail)) }
    return parts
  }

  private static func grouped(_ head: String, _ tails: [String]) -> [String] { tails.map { head + $0 } }

  private static func digit(_ from: UInt8, _ to: UInt8) -> String {
    let (first, last) = (Character(Unicode.Scalar(from)), Character(Unicode.Scalar(to)))
    return from == to ? "\(first)" : "[\(first)-\(last)]"
  }

  private static func any(_ count: Int) -> String { count == 0 ? "" : count == 1 ? "[0-9]" : "[0-9]{\(count)}" }
}
