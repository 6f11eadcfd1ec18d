// What a command of the command line comes to: texts for both outputs, and an exit code.

/// The end of a command.
package struct CommandResult: Sendable, Equatable {
  /// 0: all is well. 1: something is wrong with a credential or the configuration, or what was asked for did not come
  /// about. 2: nobody could be asked.
  package var code: Int32
  /// For standard output.
  package var output: String
  /// For standard error, a line each.
  package var errors: [String]

  package init(code: Int32, output: String = "", errors: [String] = []) {
    self.code = code
    self.output = output
    self.errors = errors
  }
}

/// Why a command can't go on.
struct CommandFailure: Error, Equatable {
  var code: Int32
  var message: String

  /// It was asked, and it did not come about.
  static func refused(_ message: String) -> CommandFailure { CommandFailure(code: 1, message: message) }
  /// Nobody could be asked.
  static func unasked(_ message: String) -> CommandFailure { CommandFailure(code: 2, message: message) }

  var result: CommandResult { CommandResult(code: code, errors: ["gateway: \(message)"]) }
}
