// One process at a time: an exclusive lock on a file beside the store, which the kernel gives up when the process dies.

internal import Glibc
internal import TokenKit

/// Holds the store for this process until it is released or the process ends.
///
/// It is a file of its own because closing any descriptor of the store's file would drop the locks that SQLite has on it.
final class StoreLock {
  private var fd: Int32

  /// Takes the lock. Blocks.
  /// - Parameter limit: how long to wait for the process that has it.
  /// - Throws: `locked` when it still has it then.
  init(store path: String, waitingAtMost limit: Duration) throws(StoreError) {
    let file = path + ".lock"
    fd = unsafe Glibc.open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    if fd < 0 { throw StoreFile.failure("open", file, errno) }
    let deadline = ContinuousClock.now + limit
    while flock(fd, LOCK_EX | LOCK_NB) != 0 {
      let number = errno
      guard number == EWOULDBLOCK || number == EINTR else { throw StoreFile.failure("flock", file, number) }
      guard ContinuousClock.now < deadline else {
        throw StoreError(.locked, "another gateway\(holder) uses the store \(path)")
      }
      // flock can't wait with a limit, and signals are not ours to take: look again twenty times a second.
      usleep(50_000)
    }
    note()
  }

  deinit { release() }

  /// Lets the next process have the store.
  func release() {
    if fd >= 0 { close(fd) }
    fd = -1
  }

  /// Leaves our process id for the error of a second one. Only a hint: nothing depends on it.
  private func note() {
    let text = Array("\(getpid())\n".utf8)
    guard fchmod(fd, 0o600) == 0, ftruncate(fd, 0) == 0 else { return }
    _ = unsafe pwrite(fd, text, text.count, 0)
  }

  private var holder: String {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = unsafe pread(fd, &bytes, bytes.count, 0)
    let digits = bytes.prefix(max(0, count)).prefix { (0x30...0x39).contains($0) }
    return digits.isEmpty ? "" : " (process \(String(decoding: digits, as: UTF8.self)))"
  }
}
