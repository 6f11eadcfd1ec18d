// Puts what callers sent into a line of the access log: whatever the bytes are, the line stays one line, and the value
// one value.
internal import HTTPWire

/// Writes one value, at most a given number of bytes of it as they stand in the line.
struct AccessLogText {
  enum Style {
    /// Inside a JSON string (RFC 8259 §7). Bytes that are no UTF-8 become `\\xHH`, as nginx writes them.
    case json
    /// Inside a quoted part of a combined line: `\xHH` for what is not printable ASCII, and for `"` and `\`.
    case plain
  }

  /// Stands for the rest of a value that is too long.
  private static let mark: StaticString = "..."
  /// What a value takes at most, beyond its limit.
  static let overhead = 3
  private static let nameLimit = 120

  private let style: Style
  private var left: Int
  private var isCut = false

  init(_ style: Style, limit: Int) {
    self.style = style
    left = limit
  }

  mutating func append(_ bytes: Span<UInt8>, into out: inout OutputSpan<UInt8>) {
    let count = bytes.count
    var start = 0
    var index = 0
    while index < count {
      index = Self.plainEnd(bytes, from: index)
      if index == count { break }
      let byte = bytes[index]
      if byte &- 0x20 < 0x5f, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
        index &+= 1
        continue
      }
      appendPlain(bytes.extracting(start..<index), into: &out)
      let length = escape(bytes, at: index, into: &out)
      if isCut { return }
      index += length
      start = index
    }
    appendPlain(bytes.extracting(start..<index), into: &out)
  }

  /// A name of the configuration, or an address, inside a JSON string: rendered once.
  static func name(_ name: String) -> String {
    let bytes = Array(name.utf8)
    let rendered = [UInt8](capacity: nameLimit + overhead) { out in
      var text = AccessLogText(.json, limit: nameLimit)
      text.append(bytes.span, into: &out)
    }
    return String(decoding: rendered, as: UTF8.self)
  }

  /// How far bytes go that stand for themselves, as long as eight are there at once.
  @inline(__always)
  private static func plainEnd(_ bytes: Span<UInt8>, from start: Int) -> Int {
    let count = bytes.count
    let ones: UInt64 = 0x0101_0101_0101_0101
    var index = start
    while index &+ 8 <= count {
      let word = bytes.word(at: index)
      // The high bit of each byte: set in bytes from 0x80 on, made by + 1 out of 0x7f and by - 0x20 out of controls; and
      // by - 1 out of what is 0 after the exclusive or with a quote or a backslash. Carries and borrows run upwards
      // only, so the lowest bit that is set belongs to a byte that is meant.
      let quotes = (word ^ (ones &* 0x22)) &- ones
      let backslashes = (word ^ (ones &* 0x5c)) &- ones
      let marks = (word | (word &+ ones) | (word &- (ones &* 0x20)) | quotes | backslashes) & (ones &* 0x80)
      if marks != 0 { return index &+ marks.trailingZeroBitCount &>> 3 }
      index &+= 8
    }
    return index
  }

  mutating func append(_ text: StaticString, into out: inout OutputSpan<UInt8>) { appendPlain(text.bytes, into: &out) }

  private mutating func appendPlain(_ bytes: Span<UInt8>, into out: inout OutputSpan<UInt8>) {
    if isCut { return }
    if bytes.count <= left {
      left -= bytes.count
      out.append(copying: bytes)
    } else {
      out.append(copying: bytes.extracting(0..<left))
      cut(&out)
    }
  }

  private mutating func cut(_ out: inout OutputSpan<UInt8>) {
    left = 0
    isCut = true
    out.append(Self.mark)
  }

  /// - Returns: how many bytes of the value are done.
  private mutating func escape(_ bytes: Span<UInt8>, at index: Int, into out: inout OutputSpan<UInt8>) -> Int {
    let byte = bytes[index]
    if style == .plain {
      if take(4, &out) { Self.appendHex("\\x", byte, into: &out) }
      return 1
    }
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      if take(2, &out) {
        out.append(UInt8(ascii: "\\"))
        out.append(byte)
      }
      return 1
    case 0..<0x80:
      if take(6, &out) { Self.appendHex("\\u00", byte, into: &out) }
      return 1
    default: break
    }
    let length = Self.sequenceLength(bytes, at: index)
    if length == 0 {
      if take(5, &out) { Self.appendHex("\\\\x", byte, into: &out) }
      return 1
    }
    // U+0080 to U+009F are controls to a terminal.
    if length == 2, byte == 0xc2, bytes[index + 1] < 0xa0 {
      if take(6, &out) { Self.appendHex("\\u00", bytes[index + 1], into: &out) }
    } else if take(length, &out) {
      out.append(copying: bytes.extracting(index..<index + length))
    }
    return length
  }

  private mutating func take(_ count: Int, _ out: inout OutputSpan<UInt8>) -> Bool {
    if isCut { return false }
    if count > left {
      cut(&out)
      return false
    }
    left -= count
    return true
  }

  private static func appendHex(_ start: StaticString, _ byte: UInt8, into out: inout OutputSpan<UInt8>) {
    out.append(start)
    appendDigit(byte >> 4, into: &out)
    appendDigit(byte & 15, into: &out)
  }

  private static func appendDigit(_ digit: UInt8, into out: inout OutputSpan<UInt8>) {
    out.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
  }

  /// Bytes of the UTF-8 sequence at `index`, which is not ASCII; 0 if there is no well-formed one (Unicode, table 3-7).
  private static func sequenceLength(_ bytes: Span<UInt8>, at index: Int) -> Int {
    let first = bytes[index]
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xbf
    switch first {
    case 0xc2...0xdf: length = 2
    case 0xe0: (length, second) = (3, 0xa0...0xbf)
    case 0xed: (length, second) = (3, 0x80...0x9f)
    case 0xe1...0xef: length = 3
    case 0xf0: (length, second) = (4, 0x90...0xbf)
    case 0xf1...0xf3: length = 4
    case 0xf4: (length, second) = (4, 0x80...0x8f)
    default: return 0
    }
    guard index + length <= bytes.count, second.contains(bytes[index + 1]) else { return 0 }
    for next in index + 2..<max(index + 2, index + length) where bytes[next] & 0xc0 != 0x80 { return 0 }
    return length
  }
}
