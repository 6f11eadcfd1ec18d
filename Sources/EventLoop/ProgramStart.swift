// Starting this program again, as another process: which file and arguments, and how the new process ends.
internal import CLinux
internal import Glibc

/// How this process was started, so that it can be done again. From any thread.
package struct ProgramStart: Sendable {
  /// The file, which may be another one by now; of several the first that is there counts.
  package var paths: [String]
  /// The first is the program's own name.
  package var arguments: [String]
  package var environment: [String: String]

  /// What this process was started with.
  /// - Parameter environment: for the new process.
  package init(arguments: [String], environment: [String: String]) {
    self.arguments = arguments
    self.environment = environment
    paths = []
    // The path that people gave: what it leads to may be changed by replacing a link. Without one, PATH was searched.
    if let name = arguments.first, name.utf8.contains(UInt8(ascii: "/")) {
      paths.append(name.hasPrefix("/") ? name : Self.currentDirectory + "/" + name)
    }
    if let own = Self.executable { paths.append(own) }
  }

  private static var currentDirectory: String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    return unsafe getcwd(&buffer, buffer.count) == nil ? "." : text(buffer)
  }

  /// The file that this process runs, where it was when it was started: a file that was replaced since is told as deleted.
  private static var executable: String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
    if count <= 0 { return nil }
    let path = text(buffer)
    let suffix = " (deleted)"
    return path.hasSuffix(suffix) ? String(path.dropLast(suffix.count)) : path
  }

  private static func text(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Starts the program. The new process has the outputs of this one and no other descriptor of it.
  /// - Returns: its number. `ended` tells of its end.
  package func start() throws(SystemError) -> Int32 {
    let path = paths.first { unsafe access($0, X_OK) == 0 } ?? paths.first ?? arguments.first ?? ""
    // Safety: copies that end with a null and live to the end of the call.
    var list = unsafe arguments.map { unsafe strdup($0) } + [nil]
    var variables = unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
    defer {
      unsafe list.forEach { unsafe free($0) }
      unsafe variables.forEach { unsafe free($0) }
    }
    var process: Int32 = 0
    let result = unsafe linux_start_program(&process, path, &list, &variables)
    if result != 0 { throw SystemError("posix_spawn", errno: result) }
    return process
  }

  /// How a process that `start` has started ended, in words; nil while it goes on. Told once.
  package static func ended(_ process: Int32) -> String? {
    var status: Int32 = 0
    guard unsafe waitpid(process, &status, WNOHANG) == process else { return nil }
    let signal = status & 0x7f
    return signal == 0 ? "it ended with code \(status >> 8 & 0xff)" : "signal \(signal) ended it"
  }
}
