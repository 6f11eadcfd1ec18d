// One answer to a scrape, rendered in parts: as many as its reader takes, and none that takes long.

/// A metric and how its samples are written, row by row.
struct MetricFamily {
  var name: String
  var type: MetricType
  var help: String
  /// How many calls of `write` give all samples.
  var rows = 1
  /// Writes the samples of a row, if there are any.
  var write: (_ row: Int, inout MetricsText) -> Void
}

/// Confined to the control loop.
final class MetricsPage {
  /// Bytes of a part, about, and the rows that are looked at for it.
  private static let partSize = 16 * 1024
  private static let rowsPerPart = 1024

  private let families: [MetricFamily]
  private var family = 0
  private var row = 0
  private var text = MetricsText()

  init(_ families: [MetricFamily]) { self.families = families }

  /// Everything was rendered.
  var isComplete: Bool { family == families.count }

  /// The next part. It may be empty before the end: then there was much to look at and nothing to tell.
  func next() -> [UInt8] {
    text.removeAll()
    var left = Self.rowsPerPart
    while family < families.count, left > 0, text.bytes.count < Self.partSize {
      let current = families[family]
      if row == 0 { text.header(current.name, current.type, current.help) }
      if row < current.rows {
        current.write(row, &text)
        row += 1
        left -= 1
      }
      if row >= current.rows {
        family += 1
        row = 0
      }
    }
    return text.bytes
  }

  /// All of it at once.
  func all() -> [UInt8] {
    var bytes: [UInt8] = []
    while !isComplete { bytes += next() }
    return bytes
  }
}
