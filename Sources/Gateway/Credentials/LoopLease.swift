// A lease as one data loop holds it.
internal import TokenKit

/// A loop's own copy: every request takes a reference and copies the bytes, and loops must not contend for either.
final class LoopLease {
  /// Compared for equality only.
  let generation: UInt64
  /// Nanoseconds of CLOCK_BOOTTIME.
  let usableUntil: Int64
  /// Complete field lines. A secret: never printed.
  let rendered: [UInt8]

  init(_ lease: Lease) {
    generation = lease.generation
    usableUntil = lease.usableUntil.nanoseconds
    // An array assigned would share its storage with the other loops.
    rendered = lease.rendered.map { $0 }
  }

  /// New settings render the same token differently, under the same generation.
  func isCopy(of lease: Lease) -> Bool {
    generation == lease.generation && usableUntil == lease.usableUntil.nanoseconds && rendered == lease.rendered
  }
}
