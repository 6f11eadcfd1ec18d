// Peers that are written in Python because the field's own libraries are: started with the tests' virtual environment.
import GatewayTesting
import Glibc
import TokenKit

enum PythonPeer {
  /// Starts a script and waits for the line of JSON that it begins with.
  /// - Parameters:
  ///   - script: its path below Tests/EndToEndTests.
  ///   - directory: where its output goes.
  /// - Throws: with what to do, when there is no such environment.
  static func start(
    _ script: String, _ arguments: [String] = [], directory: TemporaryDirectory, within limit: Duration = .seconds(120)
  ) async throws -> (process: ChildProcess, says: JSONValue) {
    let (process, name) = try spawn(script, arguments, directory)
    let line = try await process.waitForLine(containing: "{", within: limit)
    guard let json = JSONValue.parse(Array(line.utf8)) else { throw SpawnError("\(name) printed: \(line)") }
    return (process, json)
  }

  /// Runs a script to its end.
  /// - Returns: the JSON that it prints.
  static func run(
    _ script: String, _ arguments: [String], within limit: Duration = .seconds(30)
  ) async throws -> JSONValue {
    let directory = try TemporaryDirectory()
    let (process, name) = try spawn(script, arguments, directory)
    guard try await process.waitForExit(within: limit) == .code(0),
      let json = JSONValue.parse(Array(process.output.utf8))
    else {
      throw SpawnError("\(name) printed: \(process.output)\(process.errors)")
    }
    return json
  }

  /// Runs a script to its end, whatever that is; its outputs are kept in the directory.
  static func run(
    _ script: String, _ arguments: [String], in directory: TemporaryDirectory
  ) async throws -> (exit: ChildExit, output: String, errors: String) {
    let (process, _) = try spawn(script, arguments, directory, suffix: "-\(UInt32.random(in: .min ... .max))")
    let exit = try await process.waitForExit(within: .seconds(120))
    return (exit, process.output, process.errors)
  }

  private static func spawn(
    _ script: String, _ arguments: [String], _ directory: TemporaryDirectory, suffix: String = ""
  ) throws -> (process: ChildProcess, name: String) {
    guard let python = unsafe getenv("GATEWAY_TEST_PYTHON").map({ unsafe String(cString: $0) }), !python.isEmpty else {
      throw SpawnError(
        "GATEWAY_TEST_PYTHON is not set: run scripts/test, which makes a virtual environment for this test (its "
          + "arguments go to swift test)")
    }
    guard unsafe access(python, X_OK) == 0 else {
      throw SpawnError("GATEWAY_TEST_PYTHON=\(python) can't be run: run scripts/test, which makes it")
    }
    let name = (script.split(separator: "/").last.map(String.init) ?? script) + suffix
    return (try ChildProcess(python, ["-B", try path(script)] + arguments, directory: directory, name: name), name)
  }

  /// Beside the tests' sources: SwiftPM copies nothing of it.
  private static func path(_ script: String, here: String = #filePath) throws -> String {
    let tests = here.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    let path = "\(tests)/\(script)"
    guard unsafe access(path, R_OK) == 0 else { throw SpawnError("\(path) is not there") }
    return path
  }
}
