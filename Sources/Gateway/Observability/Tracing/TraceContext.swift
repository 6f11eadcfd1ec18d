// W3C Trace Context (https://www.w3.org/TR/trace-context/): reads a caller's `traceparent`, and writes ours.
internal import HTTPWire

/// A trace's id; zero stands for none.
struct TraceID: Sendable, Equatable {
  var high: UInt64 = 0
  var low: UInt64 = 0

  var isNone: Bool { high | low == 0 }
}

/// What a `traceparent` says.
struct TraceContext: Sendable, Equatable {
  /// Bytes of a `traceparent` of version 00.
  static let length = 55
  static let sampled: UInt8 = 1
  /// The flags that version 00 knows, in level 1 (sampled) and level 2 (random); all others are to be sent as 0.
  private static let knownFlags: UInt8 = 3

  var trace: TraceID
  /// The span of whoever sent it.
  var parent: UInt64
  var flags: UInt8

  var isSampled: Bool { flags & Self.sampled != 0 }

  /// Section 3.2.2. Of a version that is not known, only what stands where version 00 has it counts (section 4).
  init?(_ text: Span<UInt8>) {
    guard text.count >= Self.length, Self.isDash(text, 2), Self.isDash(text, 35), Self.isDash(text, 52),
      let version = Self.hexadecimal(text, 0..<2), version != 0xff,
      let high = Self.hexadecimal(text, 3..<19), let low = Self.hexadecimal(text, 19..<35),
      let parent = Self.hexadecimal(text, 36..<52), let flags = Self.hexadecimal(text, 53..<55)
    else { return nil }
    let endsWell = version == 0 ? text.count == Self.length : text.count == Self.length || Self.isDash(text, 55)
    guard endsWell, high | low != 0, parent != 0 else { return nil }
    trace = TraceID(high: high, low: low)
    self.parent = parent
    self.flags = UInt8(truncatingIfNeeded: flags) & (version == 0 ? Self.knownFlags : Self.sampled)
  }

  /// The one of a request; nil also when there are several, of which nobody knows which one counts.
  init?(of head: borrowing RequestHead, _ bytes: Span<UInt8>) {
    if !head.names.contains(.traceparent) { return nil }
    var value: ByteRange?
    for index in head.fields.indices {
      guard case .traceparent = head.fields[index].known, !head.fields[index].isDropped else { continue }
      if value != nil { return nil }
      value = head.fields[index].value
    }
    guard let value else { return nil }
    self.init(bytes.extracting(value.range))
  }

  private static func isDash(_ text: Span<UInt8>, _ index: Int) -> Bool { text[index] == UInt8(ascii: "-") }

  /// Lower-case digits only.
  private static func hexadecimal(_ text: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    var value: UInt64 = 0
    for index in range {
      let byte = text[index]
      let digit = byte &- 0x30 < 10 ? byte &- 0x30 : byte &- 0x61 < 6 ? byte &- 0x57 : 0xff
      if digit == 0xff { return nil }
      value = value << 4 | UInt64(digit)
    }
    return value
  }
}

extension OutputSpan<UInt8> {
  /// Appends 16 lower-case hexadecimal digits.
  mutating func appendID(_ id: UInt64) {
    appendHalfID(id >> 32)
    appendHalfID(id & 0xffff_ffff)
  }

  /// Eight digits at once: each of the 32 bits' nibbles gets a byte of its own, the first one highest.
  private mutating func appendHalfID(_ half: UInt64) {
    var digits = (half << 16 | half) & 0x0000_ffff_0000_ffff
    digits = (digits << 8 | digits) & 0x00ff_00ff_00ff_00ff
    digits = (digits << 4 | digits) & 0x0f0f_0f0f_0f0f_0f0f
    let letters = ((digits &+ 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
    let text = digits &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    append(UInt8(truncatingIfNeeded: text >> 56))
    append(UInt8(truncatingIfNeeded: text >> 48))
    append(UInt8(truncatingIfNeeded: text >> 40))
    append(UInt8(truncatingIfNeeded: text >> 32))
    append(UInt8(truncatingIfNeeded: text >> 24))
    append(UInt8(truncatingIfNeeded: text >> 16))
    append(UInt8(truncatingIfNeeded: text >> 8))
    append(UInt8(truncatingIfNeeded: text))
  }

  /// Appends 32.
  mutating func appendID(_ id: TraceID) {
    appendID(id.high)
    appendID(id.low)
  }

  /// Appends the field line; 70 bytes.
  mutating func appendTraceparent(_ trace: TraceID, span: UInt64, flags: UInt8) {
    append("traceparent: 00-")
    appendID(trace)
    append(UInt8(ascii: "-"))
    appendID(span)
    append("-0")
    append(0x30 + (flags & 7))
    append("\r\n")
  }
}
