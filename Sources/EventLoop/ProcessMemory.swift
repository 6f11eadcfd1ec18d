// Gives back the pages that only the start of the process needed.
internal import CLinux
internal import Glibc

package enum ProcessMemory {
  /// Takes the code that was mapped so far out of the process's resident set; what runs again is mapped again from the
  /// page cache, 64 KiB at a time, without reading the disk.
  ///
  /// Reading arguments and configuration walks through nearly all of a statically linked binary and of the libraries,
  /// of which serving uses a part. Only executable mappings: they are never written to, whereas those that are
  /// read-only may hold relocated data. Best effort: without /proc nothing happens.
  package static func releaseStartupCode() {
    for mapping in mappings() {
      guard let start = unsafe UnsafeMutableRawPointer(bitPattern: mapping.lowerBound) else { continue }
      unsafe madvise(start, mapping.count, MADV_DONTNEED)
    }
  }

  /// Gives the memory that is free again back to the system, such as what reading a large configuration took.
  package static func trim() { _ = malloc_trim(0) }

  /// The executable mappings of files, of which no page was changed.
  private static func mappings() -> [Range<UInt>] {
    // A page that was changed (a debugger's breakpoint) is the process's own, which smaps tells and maps does not.
    guard let file = unsafe fopen("/proc/self/smaps", "re") else { return [] }
    defer { unsafe fclose(file) }
    var found: [Range<UInt>] = []
    var candidate: Range<UInt>?
    var line = [CChar](repeating: 0, count: 4096 + 128)
    while unsafe fgets(&line, Int32(line.count), file) != nil {
      // Some thousand lines, of which a few matter: only those become strings.
      let isMapping = unsafe strstr(line, " r-xp ") != nil
      if !isMapping, unsafe candidate == nil || strncmp(line, "Anonymous:", 10) != 0 { continue }
      let text = String(decoding: line.prefix { $0 != 0 && $0 != 0x0a }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let words = text.split(separator: " ", omittingEmptySubsequences: true)
      if isMapping {
        guard words.count == 6, words[5].hasPrefix("/") else { continue }
        let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        candidate = ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : nil
      } else if let mapping = candidate {
        if words.count == 3, words[1] == "0" { found.append(mapping) }
        candidate = nil
      }
    }
    return found
  }
}
