// Judges request paths: what a server behind us could take them for, so that we do not check one path and forward
// another. The query is never looked at.

/// The normal form is for choosing and checking a route; what is forwarded are the raw bytes, so that
/// `group%2Fproject` stays what it is. The caller refuses a path whose normal form selects another route than its raw
/// bytes, and asks again for what is left after `strip_prefix` (a path may begin with two slashes only then).
package enum PathRules {
  /// Whether the path is its own normal form, seen in one pass: no `%`, `\`, `;`, no empty segment, none that begins
  /// with a dot. False only means that `normalForm` has to look.
  package static func isPlain(_ path: Span<UInt8>) -> Bool {
    guard !path.isEmpty, path[0] == Byte.slash else { return false }
    var previous: UInt8 = 0
    for index in 0..<path.count {
      let byte = path[index]
      switch byte {
      case Byte.percent, Byte.backslash, Byte.semicolon: return false
      case Byte.slash, Byte.dot: if previous == Byte.slash { return false }
      default: if byte <= 0x20 || byte >= Byte.delete { return false }
      }
      previous = byte
    }
    return true
  }

  /// Appends the normal form of `path` to `out`: percent-decoded twice, `\` as `/`, `;…` of each segment dropped,
  /// `//` merged, `.` segments resolved. Never longer than `path`; `out` needs that much room. `*` stays `*`.
  ///
  /// A percent sign without two hexadecimal digits stands for itself, as most servers read it, and is decoded with
  /// what the second round makes of it (`%%32%65`). Of these only `%u` is refused, which IIS decodes.
  /// - Throws: `ambiguousPath` (400) for control bytes (also encoded), overlong UTF-8 (a dot or slash to sloppy
  ///   decoders), `%u`, a `..` segment in any spelling, and what begins with `//` in any spelling.
  package static func normalForm(of path: Span<UInt8>, into out: inout OutputSpan<UInt8>) throws(WireError) {
    guard !path.isEmpty else { throw WireError(.ambiguousPath) }
    if path.count == 1, path[0] == Byte.asterisk {
      out.append(Byte.asterisk)
      return
    }
    var segments = SegmentWriter(start: out.count)
    var decoder = TwiceDecoder()
    var isFirst = true
    while let byte = try decoder.next(path) {
      let isSlash = byte == Byte.slash || byte == Byte.backslash
      if isFirst {
        guard isSlash else { throw WireError(.ambiguousPath) }
        out.append(Byte.slash)
        isFirst = false
      } else if isSlash {
        try segments.end(&out, atSlash: true)
      } else {
        segments.add(byte, to: &out)
      }
    }
    try segments.end(&out, atSlash: false)
  }

  /// Whether `normalForm` would throw nothing, without keeping its result; `scratch` is any output span with as much
  /// free room as the path is long.
  package static func check(_ path: Span<UInt8>, scratch out: inout OutputSpan<UInt8>) throws(WireError) {
    let count = out.count
    try normalForm(of: path, into: &out)
    out.removeLast(out.count - count)
  }
}
