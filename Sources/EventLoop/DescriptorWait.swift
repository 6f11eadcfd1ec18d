// Waiting for one descriptor on a thread that may block: for libraries whose calls the store's thread carries out.
internal import Glibc

package enum DescriptorWait {
  /// Blocks until the descriptor is ready, has an error or was hung up, or until `deadline` (nanoseconds of
  /// CLOCK_BOOTTIME).
  /// - Returns: false when the deadline has come first.
  package static func wait(
    _ fd: Int32, reading: Bool, writing: Bool, until deadline: Int64
  ) throws(SystemError) -> Bool {
    let events = (reading ? Int16(POLLIN) : 0) | (writing ? Int16(POLLOUT) : 0)
    while true {
      let left = max(0, deadline - Process.bootClockNanoseconds())
      var entry = pollfd(fd: fd, events: events, revents: 0)
      // Rounded up: a wait that ends early would only turn once more.
      let count = unsafe poll(&entry, 1, Int32(clamping: (left + 999_999) / 1_000_000))
      if count > 0 { return true }
      if count < 0 {
        if errno == EINTR { continue }
        throw SystemError.last("poll")
      }
      if left == 0 { return false }
    }
  }

  /// Blocks for a while.
  package static func pause(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    // A signal ends it early: the caller looks at the clock anyway.
    _ = unsafe nanosleep(&time, nil)
  }
}
