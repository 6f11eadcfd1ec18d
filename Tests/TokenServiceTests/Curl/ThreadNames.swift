// The names of this process's threads.
import FoundationEssentials
import Testing

enum ThreadNames {
  static func current() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap { task in
      // A thread may end while we look.
      guard let bytes = FileManager.default.contents(atPath: "/proc/self/task/\(task)/comm") else { return nil }
      return String(decoding: bytes.prefix { $0 != 0x0a }, as: UTF8.self)
    }
  }
}
