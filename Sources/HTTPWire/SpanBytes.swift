// The one place of this module with unsafe code: literals as spans, eight bytes at once, and copying a span into an
// output span.

extension StaticString {
  /// The literal's UTF-8 bytes.
  @inlinable
  package var bytes: Span<UInt8> {
    @_lifetime(immortal)
    @inline(__always)
    get {
      // Holds: a literal lies in the binary's constant data and is never freed. `utf8Start` traps on a static string
      // that was made of a single `Unicode.Scalar`, the only kind without a pointer; string literals are never that.
      let span = unsafe Span(_unsafeStart: utf8Start, count: utf8CodeUnitCount)
      return unsafe _overrideLifetime(span, copying: ())
    }
  }
}

extension Span<UInt8> {
  /// The eight bytes from `index` on, the first one lowest. Traps when they are not all there.
  @inlinable
  @inline(__always)
  package func word(at index: Int) -> UInt64 {
    precondition(index >= 0 && index <= count - 8, "word out of bounds")
    // Holds: the bounds were checked, any bits are a UInt64, and the load needs no alignment.
    return UInt64(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
  }
}

extension OutputSpan<UInt8> {
  /// Appends all bytes of `source`. Traps when less than `source.count` bytes are free, as `append(_:)` does: callers
  /// reserve what `HeadWriter` says beforehand.
  @inlinable
  @inline(__always)
  @_lifetime(self: copy self)
  package mutating func append(copying source: Span<UInt8>) {
    precondition(source.count <= freeCapacity, "output span is full")
    unsafe withUnsafeMutableBufferPointer { buffer, initialized in
      unsafe source.withUnsafeBufferPointer { bytes in
        guard let to = buffer.baseAddress, let from = bytes.baseAddress else { return }
        // Holds: room was checked above, and an exclusively owned output span cannot overlap with a borrowed one.
        unsafe (to + initialized).initialize(from: from, count: bytes.count)
        initialized += bytes.count
      }
    }
  }

  /// Appends the bytes of a literal.
  @inlinable
  @inline(__always)
  @_lifetime(self: copy self)
  package mutating func append(_ text: StaticString) {
    append(copying: text.bytes)
  }

  /// Appends `value` in decimal; at most 20 bytes.
  @_lifetime(self: copy self)
  package mutating func appendDecimal(_ value: UInt64) {
    if value < 10 { return append(0x30 + UInt8(truncatingIfNeeded: value)) }
    if value < 1000 {
      // Octets of addresses and statuses: divided by constants, which is multiplied.
      let small = UInt32(truncatingIfNeeded: value)
      if small >= 100 { append(0x30 + UInt8(truncatingIfNeeded: small / 100)) }
      append(0x30 + UInt8(truncatingIfNeeded: small / 10 % 10))
      return append(0x30 + UInt8(truncatingIfNeeded: small % 10))
    }
    var divisor: UInt64 = 10
    while value / divisor >= 10 { divisor *= 10 }
    var rest = value
    while divisor > 0 {
      append(0x30 + UInt8(truncatingIfNeeded: rest / divisor))
      rest %= divisor
      divisor /= 10
    }
  }

  /// Appends `value` in lower-case hexadecimal without leading zeros; at most 16 bytes.
  @_lifetime(self: copy self)
  package mutating func appendHex(_ value: UInt64) {
    var shift = value == 0 ? 0 : (63 - value.leadingZeroBitCount) & ~3
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: (value >> UInt64(shift)) & 15)
      append(digit < 10 ? 0x30 + digit : 0x57 + digit)
      shift -= 4
    }
  }
}
