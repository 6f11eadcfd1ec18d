// Where the access log goes: opening it, opening it again after a rotation, and writes that do not wait.
internal import EventLoop
internal import Glibc
internal import HTTPWire
internal import Synchronization

/// One descriptor for all loops, which write to it without a lock: a file takes each write whole, at its end; all else
/// gets pieces that it takes whole or not at all.
final class AccessLogFile: Sendable {
  static let lineEnd = UInt8(ascii: "\n")
  private static let mode: mode_t = 0o640

  /// What a write came to.
  enum Outcome {
    /// At least one.
    case bytes(Int)
    /// Nothing for now.
    case full
    case failed(SystemError)
  }

  private enum Kind: UInt8 { case regular, other, socket }

  /// nil for an output of the process.
  let path: String?
  private let fd: Int32
  private let kind: Atomic<UInt8>

  /// nil when the configuration wants none.
  static func open(_ destination: LogConfiguration.AccessDestination) throws(SystemError) -> AccessLogFile? {
    switch destination {
    case .off: nil
    case .standardOutput: try AccessLogFile(output: STDOUT_FILENO)
    case .standardError: try AccessLogFile(output: STDERR_FILENO)
    case .file(let path): try AccessLogFile(path: path)
    }
  }

  private init(path: String) throws(SystemError) {
    self.path = path
    fd = try Self.open(path)
    kind = Atomic(Self.kind(of: fd).rawValue)
  }

  private init(output: Int32) throws(SystemError) {
    path = nil
    let own = fcntl(output, F_DUPFD_CLOEXEC, 3)
    if own < 0 { throw SystemError("fcntl", errno: errno) }
    let kind = Self.kind(of: own)
    self.kind = Atomic(kind.rawValue)
    guard kind == .other else {
      fd = own
      return
    }
    // Opened anew, so that it is only for us that it does not wait; what has the output from elsewhere does not notice.
    let flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
    let anew = unsafe Glibc.open("/proc/self/fd/\(own)", flags)
    if anew >= 0 {
      close(own)
      fd = anew
      return
    }
    // A pipe of another user's can't be opened.
    _ = fcntl(own, F_SETFL, fcntl(own, F_GETFL) | O_NONBLOCK)
    fd = own
  }

  deinit { close(fd) }

  private static func open(_ path: String) throws(SystemError) -> Int32 {
    // Without O_NONBLOCK the open of a FIFO would wait for its reader.
    let flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
    let fd = unsafe Glibc.open(path, flags, mode)
    if fd < 0 { throw SystemError("open", errno: errno) }
    return fd
  }

  private static func kind(of fd: Int32) -> Kind {
    var info = stat()
    guard unsafe fstat(fd, &info) == 0 else { return .other }
    switch info.st_mode & S_IFMT {
    case S_IFREG: return .regular
    case S_IFSOCK: return .socket
    default: return .other
    }
  }

  /// Why the path could not be opened for writing, as far as that shows without making a file; nil if nothing speaks
  /// against it.
  static func problem(path: String) -> String? {
    do throws(SystemFile.Failure) {
      if try SystemFile.status(path).isDirectory { return "\(path) is a directory" }
      return isWritable(path, W_OK) ? nil : "\(path) can't be written: \(lastError())"
    } catch {
      if !error.isMissing { return "\(path) \(error.message)" }
    }
    let directory = SystemFile.directory(of: path)
    do throws(SystemFile.Failure) {
      if try !SystemFile.status(directory).isDirectory { return "\(directory) is not a directory" }
      return isWritable(directory, W_OK | X_OK) ? nil : "no file can be made in \(directory): \(lastError())"
    } catch {
      return "directory \(directory) \(error.message)"
    }
  }

  private static func isWritable(_ path: String, _ how: Int32) -> Bool {
    unsafe faccessat(AT_FDCWD, path, how, AT_EACCESS) == 0
  }

  private static func lastError() -> String {
    let number = errno
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: text)
  }

  /// Opens the path again, after somebody has moved the file away. From then on every loop's next write goes to the new
  /// file; one that is going on ends in the old one. On an error the old file stays in use. Blocking: control loop only.
  func reopen() throws(SystemError) {
    guard let path else { return }
    let new = try Self.open(path)
    defer { close(new) }
    // A write to a regular file may be larger than a pipe takes whole: the careful kind first, the other one last.
    let (before, after) = (kind.load(ordering: .relaxed), Self.kind(of: new).rawValue)
    if after != before { kind.store(Kind.other.rawValue, ordering: .sequentiallyConsistent) }
    // The number stays the same, so that nobody needs to be told.
    if dup2(new, fd) < 0 { throw SystemError("dup2", errno: errno) }
    _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
    kind.store(after, ordering: .sequentiallyConsistent)
  }

  /// One call. From any loop.
  /// - Parameter bytes: lines, or the rest of one and lines.
  func write(_ bytes: Span<UInt8>) -> Outcome {
    let kind = kind.load(ordering: .relaxed)
    let count = kind == Kind.regular.rawValue ? bytes.count : Self.piece(of: bytes)
    while true {
      let written = unsafe bytes.withUnsafeBytes { buffer in
        // Safety: `count` bytes are there.
        unsafe kind == Kind.socket.rawValue
          ? send(fd, buffer.baseAddress, count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
          : Glibc.write(fd, buffer.baseAddress, count)
      }
      if written > 0 { return .bytes(written) }
      if written == 0 || errno == EAGAIN { return .full }
      if errno != EINTR { return .failed(SystemError("write", errno: errno)) }
    }
  }

  /// As many whole lines as a pipe takes in one piece (PIPE_BUF), so that the lines of several writers do not mix.
  private static func piece(of bytes: Span<UInt8>) -> Int {
    if bytes.count <= AccessLogLine.limit { return bytes.count }
    var end = AccessLogLine.limit
    while end > 0, bytes[end - 1] != lineEnd { end -= 1 }
    return end > 0 ? end : AccessLogLine.limit
  }

  /// Waits; only where the loop has ended.
  func waitUntilWritable(milliseconds: Int32) -> Bool {
    var entry = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
    return unsafe poll(&entry, 1, milliseconds) == 1 && entry.revents & Int16(POLLOUT) != 0
  }
}
