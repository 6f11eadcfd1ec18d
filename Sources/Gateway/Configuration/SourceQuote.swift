// Shows where in a configuration file something is wrong: the line, a mark below the column, and what the key is for.
internal import TokenKit

struct SourceQuote {
  /// More than these would only scroll the first ones away.
  private static let mostQuotes = 200
  /// Of larger files no line is shown: that would take longer than reading them.
  private static let largestFile = 8 << 20
  /// Lines that are longer are not shown, in bytes.
  private static let longestLine = 1 << 20
  /// Columns of a terminal that a line may fill.
  private static let width = 100

  private let bytes: [UInt8]
  private let settings: SettingsObject
  private let broken: Int?
  private let mask: SourceMask
  /// Offsets of the first bytes of lines.
  private let lines: [Int]

  /// What is shown for one character, or for a run of hidden ones.
  private struct Cell {
    var column: Int
    var text: String
    var width: Int
  }

  /// - Parameter position: where the text stops being JSON.
  init(_ bytes: [UInt8], settings: SettingsObject, brokenAt position: SettingsPosition? = nil) {
    let bytes = bytes.count > Self.largestFile ? [] : bytes
    self.bytes = bytes
    self.settings = settings
    var lines = [bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0]
    for index in bytes.indices where bytes[index] == 0x0a { lines.append(index + 1) }
    self.lines = lines
    let broken = position.map { Self.offset(of: $0, bytes, lines) }
    self.broken = broken
    mask = SourceMask(bytes, settings: settings, end: broken)
  }

  /// The problems with their excerpts.
  func added(to problems: [SettingsProblem]) -> [SettingsProblem] {
    problems.enumerated().map { index, problem in
      var problem = problem
      if index < Self.mostQuotes { problem.excerpt = excerpt(problem) }
      return problem
    }
  }

  private func excerpt(_ problem: SettingsProblem) -> [String] {
    let number = problem.position.map { "\($0.line)" } ?? ""
    let margin = String(repeating: " ", count: max(5, number.count + 1))
    var excerpt: [String] = []
    if let position = problem.position, let (line, mark) = quote(position) {
      excerpt.append(margin.dropFirst(number.count) + number + " | " + line)
      excerpt.append(margin + " | " + String(repeating: " ", count: mark) + "^")
    }
    if problem.severity == .error, let help = SettingsHelp.line(problem, settings) {
      excerpt.append(margin + " = " + ProblemReport.printable(help))
    }
    return excerpt
  }

  /// A line as it can be shown, and how many columns stand before the mark.
  private func quote(_ position: SettingsPosition) -> (line: String, mark: Int)? {
    guard position.line >= 1, position.line <= lines.count else { return nil }
    let start = lines[position.line - 1]
    var end = position.line < lines.count ? lines[position.line] - 1 : bytes.count
    if end > start, bytes[end - 1] == 0x0d { end -= 1 }
    guard start < end, end - start <= Self.longestLine else { return nil }
    let (cells, isCut) = cells(start..<end, near: position.column)
    // Behind the last character: where something is missing.
    let target = cells.lastIndex { $0.column <= position.column } ?? 0
    let isBehind = position.column > Self.columns(bytes[start..<end])
    let window = window(cells, around: target)
    var line = window.lowerBound > 0 || isCut.before ? "… " : ""
    var mark = line.isEmpty ? 0 : 2
    for index in window {
      if index < target || isBehind { mark += cells[index].width }
      line += cells[index].text
    }
    if window.upperBound < cells.count || isCut.behind { line += " …" }
    return (line, mark)
  }

  /// The cells around one that fit on a line; all of them when they do.
  private func window(_ cells: [Cell], around target: Int) -> Range<Int> {
    var (low, high) = (target, target + 1)
    var room = Self.width - (cells.isEmpty ? 0 : cells[target].width)
    while room > 0, low > 0 || high < cells.count {
      if low > 0 {
        low -= 1
        room -= cells[low].width
      }
      if high < cells.count, room > 0 {
        room -= cells[high].width
        high += 1
      }
    }
    return low..<min(high, cells.count)
  }

  /// The cells around a column, and whether there are others.
  private func cells(_ range: Range<Int>, near target: Int) -> (cells: [Cell], isCut: (before: Bool, behind: Bool)) {
    var cells: [Cell] = []
    // Some more than fit: what is hidden takes fewer columns than it has.
    let wanted = target - 4 * Self.width...target + 4 * Self.width
    var isCut = (before: false, behind: false)
    var column = 1
    var index = range.lowerBound
    var next = mask.hidden.firstIndex { $0.upperBound > index } ?? mask.hidden.count
    while index < range.upperBound {
      if column > wanted.upperBound {
        isCut.behind = true
        break
      }
      if next < mask.hidden.count, mask.hidden[next].lowerBound <= index {
        let end = min(mask.hidden[next].upperBound, range.upperBound)
        let isText = bytes[index] == UInt8(ascii: "\"")
        let columns = Self.columns(bytes[index..<end])
        if column + columns <= wanted.lowerBound {
          isCut.before = true
        } else {
          cells.append(Cell(column: column, text: isText ? "\"…\"" : "…", width: isText ? 3 : 1))
        }
        column += columns
        index = end
        next += 1
        continue
      }
      var length = 1
      while index + length < range.upperBound, bytes[index + length] & 0xc0 == 0x80 { length += 1 }
      if column < wanted.lowerBound {
        isCut.before = true
        column += 1
        index += length
        continue
      }
      let text = String(decoding: bytes[index..<index + length], as: UTF8.self)
      if let broken, index >= broken, !(bytes[index] <= 0x20 || "{}[],:\"".utf8.contains(bytes[index])) {
        if cells.last?.text != "…" { cells.append(Cell(column: column, text: "…", width: 1)) }
      } else {
        cells.append(Self.cell(text, column: column))
      }
      column += 1
      index += length
    }
    return (cells, isCut)
  }

  private static func cell(_ text: String, column: Int) -> Cell {
    if let byte = text.utf8.first, (0x20..<0x7f).contains(byte) { return Cell(column: column, text: text, width: 1) }
    if text == "\t" { return Cell(column: column, text: "    ", width: 4) }
    let shown = ProblemReport.printable(text)
    if shown != text { return Cell(column: column, text: shown, width: shown.unicodeScalars.count) }
    return Cell(column: column, text: text, width: text.unicodeScalars.reduce(0) { $0 + width(of: $1) })
  }

  /// Columns of a terminal: none for marks on the character before, two for East Asian wide characters and emoji.
  private static func width(of scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark: return 0
    default: break
    }
    switch scalar.value {
    case 0x1100...0x115f, 0x2e80...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60,
      0xffe0...0xffe6, 0x1f300...0x1faff, 0x20000...0x3ffff:
      return 2
    default: return 1
    }
  }

  /// Columns count scalars: every byte but the continuations of UTF-8.
  private static func columns(_ bytes: ArraySlice<UInt8>) -> Int { bytes.count { $0 & 0xc0 != 0x80 } }

  private static func offset(of position: SettingsPosition, _ bytes: [UInt8], _ lines: [Int]) -> Int {
    guard position.line >= 1, position.line <= lines.count else { return 0 }
    var index = lines[position.line - 1]
    var column = 0
    while index < bytes.count {
      if bytes[index] & 0xc0 != 0x80 { column += 1 }
      if column >= position.column { return index }
      index += 1
    }
    return index
  }
}
