// What the system counts of this process.
internal import Glibc

/// One reading. What can't be read is nil.
package struct ProcessStatistics: Sendable {
  /// Nanoseconds of processor time, of all threads, in user and kernel mode.
  package var cpu: UInt64?
  package var residentBytes: UInt64?
  package var virtualBytes: UInt64?
  package var openDescriptors: UInt64?
  package var maximumDescriptors: UInt64?
  /// Nanoseconds of CLOCK_BOOTTIME.
  package var started: Int64?

  /// Reads some files of /proc and, on kernels before 6.2, a directory with an entry for each descriptor.
  package static func read() -> ProcessStatistics {
    var now = ProcessStatistics()
    var time = timespec()
    if unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 {
      now.cpu = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
    let pages = words(of: "/proc/self/statm").compactMap { UInt64($0) }
    if pages.count >= 2 {
      let size = UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
      now.virtualBytes = pages[0] * size
      now.residentBytes = pages[1] * size
    }
    now.openDescriptors = countDescriptors()
    var limit = rlimit()
    if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      now.maximumDescriptors = UInt64(limit.rlim_cur)
    }
    // The name of the process, the second word, may hold spaces; it ends with the last parenthesis.
    let stat = text(of: "/proc/self/stat")
    if let end = stat.lastIndex(of: ")") {
      let rest = stat[stat.index(after: end)...].split(separator: " ")
      let ticks = Int64(sysconf(Int32(_SC_CLK_TCK)))
      if rest.count > 19, let start = Int64(rest[19]), ticks > 0 { now.started = start * (1_000_000_000 / ticks) }
    }
    return now
  }

  private static func countDescriptors() -> UInt64? {
    var entry = stat()
    if unsafe stat("/proc/self/fd", &entry) == 0, entry.st_size > 0 { return UInt64(entry.st_size) }
    guard let directory = unsafe opendir("/proc/self/fd") else { return nil }
    defer { unsafe closedir(directory) }
    var count: UInt64 = 0
    while unsafe readdir(directory) != nil { count += 1 }
    // Itself, its parent, and the descriptor that the directory is read by.
    return count > 3 ? count - 3 : 0
  }

  private static func words(of path: String) -> [Substring] { text(of: path).split(separator: " ") }

  private static func text(of path: String) -> String {
    let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
    if fd < 0 { return "" }
    defer { close(fd) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(fd, $0.baseAddress, $0.count) }
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
