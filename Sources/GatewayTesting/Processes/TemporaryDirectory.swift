// A directory of one test: mode 0700, gone with the value.
internal import Glibc

/// Removed with all that is in it when it is let go.
package final class TemporaryDirectory: Sendable {
  package let path: String

  package init() throws(SpawnError) {
    var template = Array("/tmp/gateway-test-XXXXXX".utf8CString)
    // Safety: mkdtemp rewrites the last six characters of the array in place.
    guard unsafe mkdtemp(&template) != nil else {
      throw SpawnError("no temporary directory: error \(errno)")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Self.remove(path) }

  package func path(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes a file in it.
  @discardableResult
  package func write(_ name: String, _ text: String, mode: UInt32 = 0o600) throws(SpawnError) -> String {
    let path = path(name)
    let fd = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    if fd < 0 { throw SpawnError("\(name) cannot be written: error \(errno)") }
    defer { close(fd) }
    // An existing file keeps its mode at open, and the umask takes bits off.
    guard fchmod(fd, mode) == 0 else { throw SpawnError("\(name): error \(errno)") }
    let bytes = Array(text.utf8)
    var written = 0
    while written < bytes.count {
      let count = unsafe bytes[written...].withUnsafeBytes { unsafe Glibc.write(fd, $0.baseAddress, $0.count) }
      if count < 0 { throw SpawnError("\(name) cannot be written: error \(errno)") }
      written += count
    }
    return path
  }

  /// A file's text; nil when there is none.
  package static func read(_ path: String) -> String? {
    let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
    if fd < 0 { return nil }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe Glibc.read(fd, &buffer, 65536)
      if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer.prefix(count)
    }
  }

  /// The permission bits of a file; nil when there is none.
  package static func mode(_ path: String) -> UInt32? {
    var info = stat()
    return unsafe stat(path, &info) == 0 ? info.st_mode & 0o7777 : nil
  }

  /// What stands in a directory, without `.` and `..`.
  package static func names(in path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      guard let start = unsafe entry.pointer(to: \.d_name) else { continue }
      // Not the array as a value: an entry ends with its name, and behind the last one may be nothing.
      let name = unsafe String(cString: UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self))
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  /// Where a symbolic link leads; nil when there is none.
  package static func link(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    // Safety: readlink writes at most the buffer's size.
    let count = unsafe readlink(path, &buffer, buffer.count)
    return count < 0 ? nil : String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Gives a file another name, in the place of what had it.
  package static func rename(_ old: String, _ new: String) throws(SpawnError) {
    if unsafe Glibc.rename(old, new) != 0 { throw SpawnError("\(old) cannot be renamed: error \(errno)") }
  }

  private static func remove(_ path: String) {
    var info = stat()
    guard unsafe lstat(path, &info) == 0 else { return }
    if info.st_mode & S_IFMT == S_IFDIR {
      for name in names(in: path) { remove("\(path)/\(name)") }
      unsafe rmdir(path)
    } else {
      unsafe unlink(path)
    }
  }
}

/// The programs of this package, beside the test's own.
package enum Products {
  /// The path of an executable product; the test target must depend on it.
  package static func path(_ name: String) throws(SpawnError) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    // Safety: readlink writes at most the buffer's size.
    let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
    let own = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let slash = own.lastIndex(of: "/") else { throw SpawnError("/proc/self/exe cannot be read") }
    let path = "\(own[..<slash])/\(name)"
    guard unsafe access(path, X_OK) == 0 else { throw SpawnError("\(path) is not built") }
    return path
  }
}
