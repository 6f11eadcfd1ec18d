// Text that others have written, made fit for a terminal and a log.

enum Printable {
  /// Without control characters, line ends, and what changes the direction of text or can't be seen; at most `limit`
  /// characters.
  static func text(_ text: String, limit: Int = 200) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .lineSeparator, .paragraphSeparator: result.append(" ")
      case .format, .surrogate, .privateUse, .unassigned: break
      default: result.append(scalar)
      }
    }
    let clean = String(result)
    return clean.count > limit ? clean.prefix(limit) + "…" : clean
  }
}
