// Tells whether a file is still the one that was read: for files that an administrator may replace while we run.
internal import CLinux
internal import Glibc

/// What stays the same as long as nobody replaces or edits a file.
package struct FileIdentity: Sendable, Equatable {
  private var device: UInt
  private var inode: UInt
  private var size: Int
  private var seconds: Int
  private var nanoseconds: Int

  /// nil when there is no such file.
  package init?(path: String) {
    var info = stat()
    guard unsafe stat(path, &info) == 0 else { return nil }
    device = UInt(info.st_dev)
    inode = UInt(info.st_ino)
    size = Int(info.st_size)
    seconds = info.st_mtim.tv_sec
    nanoseconds = info.st_mtim.tv_nsec
  }
}
