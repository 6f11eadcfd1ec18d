// Durations and sizes as gateway.json writes them, and the nearest known name for a mistyped one.

/// Text to durations and sizes.
public enum SettingsUnits {
  /// `"500ms"`, `"10s"`, `"5m"`, `"720h"`, `"30d"`; nil for anything else. Whole numbers only, at most 100 years.
  public static func duration(_ text: String) -> Duration? {
    guard let (amount, unit) = split(text) else { return nil }
    let milliseconds: Int
    switch unit {
    case "ms": milliseconds = 1
    case "s": milliseconds = 1000
    case "m": milliseconds = 60_000
    case "h": milliseconds = 3_600_000
    case "d": milliseconds = 86_400_000
    default: return nil
    }
    let (product, overflow) = amount.multipliedReportingOverflow(by: milliseconds)
    guard !overflow, product <= 100 * 366 * 86_400_000 else { return nil }
    return .milliseconds(product)
  }

  /// `"512B"`, `"64KiB"`, `"10MiB"`, `"1GiB"`; nil for anything else.
  public static func size(_ text: String) -> Int? {
    guard let (amount, unit) = split(text) else { return nil }
    let factor: Int
    switch unit {
    case "B": factor = 1
    case "KiB": factor = 1024
    case "MiB": factor = 1024 * 1024
    case "GiB": factor = 1024 * 1024 * 1024
    default: return nil
    }
    let (product, overflow) = amount.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
  }

  /// A duration in the largest unit that it is whole in; parts of a millisecond are dropped.
  public static func text(_ duration: Duration) -> String {
    let milliseconds = duration.nanoseconds / 1_000_000
    for (factor, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] as [(Int64, String)]
    where milliseconds != 0 && milliseconds % factor == 0 {
      return "\(milliseconds / factor)\(unit)"
    }
    return "\(milliseconds)ms"
  }

  /// A size in the largest unit that it is whole in.
  public static func text(bytes: Int) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] where bytes != 0 && bytes & ((1 << shift) - 1) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes)B"
  }

  private static func split(_ text: String) -> (Int, Substring)? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let amount = Int(digits) else { return nil }
    return (amount, text.dropFirst(digits.count))
  }
}

/// The nearest known name for a mistyped one.
public enum EditDistance {
  /// The candidate with the fewest edits, if few enough to be a slip (a third of its length, at least 1).
  public static func nearest(to text: String, among candidates: [String]) -> String? {
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let distance = between(Array(text.utf8.prefix(64)), Array(candidate.utf8.prefix(64)))
      if distance <= max(1, candidate.utf8.count / 3), distance < best?.distance ?? .max {
        best = (candidate, distance)
      }
    }
    return best?.name
  }

  /// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
  static func between(_ a: [UInt8], _ b: [UInt8]) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var rows = [[Int]](repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
    for i in 0...a.count { rows[i][0] = i }
    for j in 0...b.count { rows[0][j] = j }
    for i in 1...a.count {
      for j in 1...b.count {
        let cost = a[i - 1] == b[j - 1] ? 0 : 1
        rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
          rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
        }
      }
    }
    return rows[a.count][b.count]
  }
}
