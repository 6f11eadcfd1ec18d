// The store's files on disk: a directory and files that nobody else gets at, made so before SQLite sees them.

internal import EventLoop
internal import Glibc
internal import TokenKit

/// Paths and modes. All functions block.
enum StoreFile {
  /// What SQLite keeps beside the store; these files get its mode.
  static let companions = ["-wal", "-shm", "-journal"]

  /// Makes the directory if there is none, and checks it.
  /// - Returns: the store's path without symbolic links, so that two names of one file have one lock.
  static func locate(_ path: String) throws(StoreError) -> String {
    guard !path.isEmpty, !path.hasSuffix("/"), !path.utf8.contains(0) else {
      throw StoreError(.unavailable, "\"\(path)\" is not the path of a file")
    }
    let (directory, name) = split(path)
    try makeDirectory(directory)
    // The file may be a link to another directory; one that isn't there yet has only its directory's links.
    guard let realDirectory = try resolve(directory) else { throw failure("realpath", directory, ENOENT) }
    let real = try resolve(path) ?? (realDirectory == "/" ? "/\(name)" : "\(realDirectory)/\(name)")
    try checkDirectory(split(real).directory)
    return real
  }

  /// Makes sure that the store's file is there and that it, and what SQLite keeps beside it, is nobody else's to read.
  static func create(_ path: String) throws(StoreError) {
    let fd = unsafe Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if fd < 0 {
      guard errno == EEXIST else { throw failure("open", path, errno) }
      return try checkFiles(path)
    }
    defer { close(fd) }
    // The umask may have taken bits away that we need.
    if fchmod(fd, 0o600) != 0 { throw failure("fchmod", path, errno) }
    if fsync(fd) != 0 { throw failure("fsync", path, errno) }
    // Without this a crash can leave the store's content without its name.
    let directory = split(path).directory
    let parent = unsafe Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if parent < 0 { throw failure("open", directory, errno) }
    defer { close(parent) }
    if fsync(parent) != 0 { throw failure("fsync", directory, errno) }
  }

  /// Refuses a store that others can read or write.
  static func checkFiles(_ path: String) throws(StoreError) {
    for file in [path] + companions.map({ path + $0 }) {
      guard let info = try status(file) else { continue }
      guard info.st_mode & S_IFMT == S_IFREG else { throw StoreError(.unavailable, "\(file) is not a regular file") }
      if info.st_mode & 0o077 != 0 {
        throw StoreError(.unavailable, "\(file) holds tokens and others may read or write it: run chmod 600 \(file)")
      }
    }
  }

  /// An error of a system call, with the file that it was about.
  static func failure(_ call: String, _ path: String, _ number: Int32) -> StoreError {
    let kind: StoreError.Kind =
      switch number {
      case ENOSPC, EDQUOT: .full
      case EIO: .io
      default: .unavailable
      }
    return StoreError(kind, "\(path): \(SystemError(call, errno: number))")
  }

  private static func checkDirectory(_ path: String) throws(StoreError) {
    guard let info = try status(path) else { throw failure("stat", path, ENOENT) }
    guard info.st_mode & S_IFMT == S_IFDIR else { throw StoreError(.unavailable, "\(path) is not a directory") }
    if info.st_uid != geteuid(), info.st_uid != 0 {
      throw StoreError(
        .unavailable, "the store's directory \(path) belongs to another user: run chown \(geteuid()) \(path)")
    }
    if info.st_mode & 0o066 != 0 {
      throw StoreError(
        .unavailable,
        "others can read or write the store's directory \(path): run chmod 700 \(path), or name one in \"path\" that "
          + "does not exist yet, which is made with mode 700")
    }
  }

  private static func makeDirectory(_ path: String) throws(StoreError) {
    if try status(path) != nil { return }
    let parent = split(path).directory
    if parent != path { try makeDirectory(parent) }
    if unsafe mkdir(path, 0o700) != 0 {
      if errno == EEXIST { return }
      throw failure("mkdir", path, errno)
    }
    if unsafe chmod(path, 0o700) != 0 { throw failure("chmod", path, errno) }
  }

  private static func split(_ path: String) -> (directory: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    let directory = path[..<slash]
    return (directory.isEmpty ? "/" : String(directory), String(path[path.index(after: slash)...]))
  }

  private static func status(_ path: String) throws(StoreError) -> stat? {
    var info = stat()
    if unsafe stat(path, &info) == 0 { return info }
    if errno == ENOENT { return nil }
    throw failure("stat", path, errno)
  }

  private static func resolve(_ path: String) throws(StoreError) -> String? {
    guard let real = unsafe realpath(path, nil) else {
      if errno == ENOENT { return nil }
      throw failure("realpath", path, errno)
    }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }
}
