// Bytes on their way: a growable queue that connections borrow from their loop while they have something to keep,
// and the pool that they borrow from. Confined to one loop.

/// A queue of bytes: appended at the end, consumed at the start.
///
/// Safety: `base` is allocated with `capacity` bytes for as long as the object lives, and `start <= end <= capacity`
/// always holds; spans over it are only handed to closures.
@safe
package final class ByteBuffer {
  @usableFromInline var base: UnsafeMutablePointer<UInt8>
  package private(set) var capacity: Int
  @usableFromInline var start = 0
  @usableFromInline var end = 0

  package init(capacity: Int) {
    unsafe base = .allocate(capacity: capacity)
    self.capacity = capacity
  }

  deinit { unsafe base.deallocate() }

  /// Bytes that wait to be consumed.
  @inlinable package var count: Int { end - start }
  @inlinable package var isEmpty: Bool { start == end }

  /// The waiting bytes.
  @inlinable
  package func withSpan<Result, Failure: Error>(
    _ body: (Span<UInt8>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(unsafe Span(_unsafeStart: base + start, count: end - start))
  }

  /// Appends what `body` writes, which is at most `capacity` bytes.
  @inlinable
  package func append(capacity needed: Int, _ body: (inout OutputSpan<UInt8>) -> Void) {
    reserve(needed)
    let free = unsafe UnsafeMutableBufferPointer(start: base + end, count: needed)
    var output = unsafe OutputSpan(buffer: free, initializedCount: 0)
    body(&output)
    end += unsafe output.finalize(for: free)
  }

  package func append(_ bytes: Span<UInt8>) {
    let count = bytes.count
    if count == 0 { return }
    reserve(count)
    unsafe bytes.withUnsafeBufferPointer { source in
      if let first = source.baseAddress { unsafe (base + end).update(from: first, count: count) }
    }
    end += count
  }

  /// Drops bytes from the start.
  @inlinable
  package func consume(_ count: Int) {
    precondition(count >= 0 && count <= end - start)
    start += count
    if start == end {
      start = 0
      end = 0
    }
  }

  /// Drops bytes from the end, so that `count` are left.
  package func truncate(to count: Int) {
    precondition(count >= 0 && count <= end - start)
    end = start + count
  }

  package func removeAll() {
    start = 0
    end = 0
  }

  /// Makes room for `count` more bytes: moves what is there to the front, or grows.
  @usableFromInline
  func reserve(_ count: Int) {
    if capacity - end >= count { return }
    let used = end - start
    if capacity - used >= count, start >= used {
      unsafe base.update(from: base + start, count: used)
    } else {
      let grown = max(capacity * 2, used + count)
      let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: grown)
      unsafe moved.update(from: base + start, count: used)
      unsafe base.deallocate()
      unsafe base = moved
      capacity = grown
    }
    start = 0
    end = used
  }

  /// The waiting bytes for a system call of this module.
  func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    unsafe body(UnsafeRawBufferPointer(start: base + start, count: end - start))
  }
}

/// Buffers that wait to be used again. An idle connection holds none.
package final class BufferPool {
  private static let size = 16 * 1024
  private static let largestKept = 64 * 1024
  private static let mostKept = 256

  private var idle: [ByteBuffer] = []

  package init() { idle.reserveCapacity(Self.mostKept) }

  package func acquire() -> ByteBuffer { idle.popLast() ?? ByteBuffer(capacity: Self.size) }

  package func release(_ buffer: consuming ByteBuffer) {
    guard idle.count < Self.mostKept, buffer.capacity <= Self.largestKept else { return }
    buffer.removeAll()
    idle.append(buffer)
  }
}
