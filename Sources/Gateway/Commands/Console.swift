// What commands say while they run, and the line that a person pastes.
internal import EventLoop
internal import Glibc

enum Console {
  /// A line on standard output, at once: somebody reads it while the command waits.
  static func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = Array(rest)
      let count = unsafe piece.withUnsafeBytes { unsafe Glibc.write(1, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      // Nobody reads it any more.
      if count <= 0 { return }
      rest = rest.dropFirst(count)
    }
  }

  /// Why no line came.
  enum NoLine: Error {
    case timedOut
    case ended
  }

  /// Reads standard input by lines.
  struct Lines {
    /// A URL with a code in it.
    private static let longest = 256 * 1024
    private var buffer: [UInt8] = []
    private var hasEnded = false

    init() {}

    /// The next line, without its end. Blocks until it is there, or until `deadline` (nanoseconds of CLOCK_BOOTTIME).
    mutating func next(until deadline: Int64) throws(NoLine) -> String {
      while true {
        if let end = buffer.firstIndex(of: 0x0a) {
          defer { buffer.removeFirst(end + 1) }
          return String(decoding: buffer[..<end], as: UTF8.self)
        }
        if hasEnded || buffer.count > Self.longest {
          if buffer.isEmpty { throw .ended }
          defer { buffer = [] }
          return String(decoding: buffer, as: UTF8.self)
        }
        try read(until: deadline)
      }
    }

    private mutating func read(until deadline: Int64) throws(NoLine) {
      guard let isReady = try? DescriptorWait.wait(0, reading: true, writing: false, until: deadline) else {
        throw .ended
      }
      guard isReady else { throw .timedOut }
      var chunk = [UInt8](repeating: 0, count: 4096)
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(0, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR || errno == EAGAIN { return }
      if count <= 0 { hasEnded = true } else { buffer += chunk[..<count] }
    }
  }
}
