// Small files read whole: the configuration, secrets, and what the kernel says under /proc and /sys. Blocking, so only
// at start, in `check`, and on the control side.
internal import Glibc

/// A file's bytes, and who may read them.
struct SystemFile: Sendable {
  var bytes: [UInt8]
  var status: Status

  /// What `stat` says of a file.
  struct Status: Sendable, Equatable {
    /// Permission bits.
    var mode: UInt32
    var owner: UInt32
    var isRegular: Bool
    var isDirectory: Bool

    fileprivate init(_ raw: stat) {
      mode = raw.st_mode & 0o7777
      owner = raw.st_uid
      isRegular = raw.st_mode & S_IFMT == S_IFREG
      isDirectory = raw.st_mode & S_IFMT == S_IFDIR
    }

    init(mode: UInt32, owner: UInt32, isRegular: Bool = true, isDirectory: Bool = false) {
      self.mode = mode
      self.owner = owner
      self.isRegular = isRegular
      self.isDirectory = isDirectory
    }

    /// Permission bits as `chmod` writes them.
    var octalMode: String { "0" + String(mode, radix: 8) }
  }

  /// Why a file can't be had; `message` goes behind the file's name.
  struct Failure: Error, Equatable {
    var message: String
    /// There is no file of that name.
    var isMissing = false

    fileprivate static func last() -> Failure {
      let number = errno
      guard let text = unsafe strerror(number) else { return Failure(message: "cannot be read: error \(number)") }
      return unsafe Failure(message: "cannot be read: \(String(cString: text))", isMissing: number == ENOENT)
    }
  }

  /// Reads a file of at most `limit` bytes. The permissions are those of the very file that was read.
  static func read(_ path: String, limit: Int) throws(Failure) -> SystemFile {
    // Without O_NONBLOCK the open of a FIFO that nobody writes to would never come back.
    let fd = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard fd >= 0 else { throw .last() }
    defer { close(fd) }
    var raw = stat()
    guard unsafe fstat(fd, &raw) == 0 else { throw .last() }
    let status = Status(raw)
    if status.isDirectory { throw Failure(message: "is a directory") }
    if !status.isRegular { throw Failure(message: "is not a regular file") }
    var bytes: [UInt8] = []
    while true {
      // /proc says 0 for the size of what it makes up: read to the end instead.
      var failure: Failure?
      let chunk = unsafe [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
        // Safety: read writes at most the capacity, and what it wrote is what counts as initialized.
        let got = unsafe Glibc.read(fd, buffer.baseAddress, buffer.count)
        if got < 0 { failure = .last() }
        count = max(got, 0)
      }
      if let failure { throw failure }
      if chunk.isEmpty { return SystemFile(bytes: bytes, status: status) }
      bytes.append(contentsOf: chunk)
      if bytes.count > limit { throw Failure(message: "is larger than \(limit / 1024) KiB") }
    }
  }

  /// What `stat` says of a path, links followed.
  static func status(_ path: String) throws(Failure) -> Status {
    var raw = stat()
    guard unsafe stat(path, &raw) == 0 else { throw .last() }
    return Status(raw)
  }

  /// Whether two paths lead to one file; nil when either can't be seen from here.
  static func isSameFile(_ path: String, _ other: String) -> Bool? {
    var (first, second) = (stat(), stat())
    guard unsafe stat(path, &first) == 0, unsafe stat(other, &second) == 0 else { return nil }
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino
  }

  /// The user that this process acts as.
  static var currentUser: UInt32 { geteuid() }

  /// A path of the configuration file, which counts from the file's own directory unless it is absolute.
  static func resolve(_ path: String, in directory: String) -> String {
    if path.hasPrefix("/") || directory.isEmpty { return path }
    return directory.hasSuffix("/") ? directory + path : "\(directory)/\(path)"
  }

  /// The directory part of a path; `.` where it has none.
  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The path from the root; a relative one counts from the working directory.
  static func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    guard let raw = unsafe getcwd(nil, 0) else { return path }
    // Safety: with a nil buffer getcwd returns a string that the caller frees.
    defer { unsafe free(raw) }
    return resolve(path, in: unsafe String(cString: raw))
  }
}
