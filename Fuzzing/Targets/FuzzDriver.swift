// Chooses a target and hands it to libFuzzer. The choice stands in the environment, so that the processes which
// libFuzzer starts to minimize or merge inherit it.
internal import CLibFuzzer
internal import Glibc

/// What is fuzzed: the name is that of the folder in Corpus/.
enum FuzzTarget: String, CaseIterable {
  case requestHead = "request-head"
  case responseHead = "response-head"
  case chunked
  case jsonReply = "json-reply"
  case xmlReply = "xml-reply"
  case configuration

  /// Runs one input; a broken property ends the process.
  func run(_ input: [UInt8]) {
    switch self {
    case .requestHead: RequestHeadTarget.run(input)
    case .responseHead: ResponseHeadTarget.run(input)
    case .chunked: ChunkedTarget.run(input)
    case .jsonReply: JSONReplyTarget.run(input)
    case .xmlReply: XMLReplyTarget.run(input)
    case .configuration: ConfigurationTarget.run(input)
    }
  }

  /// Read once: the process fuzzes one target.
  static let chosen: FuzzTarget? = {
    guard let name = unsafe getenv("FUZZ_TARGET") else { return nil }
    return unsafe FuzzTarget(rawValue: String(cString: name))
  }()
}

enum FuzzDriver {
  /// Does not return.
  nonisolated static func run() -> Never {
    guard FuzzTarget.chosen != nil else {
      print("FUZZ_TARGET must be one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
      exit(2)
    }
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
    let code = unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, size in
      // Safety: libFuzzer's bytes are valid during the call, which copies them.
      unsafe FuzzTarget.chosen?.run(Array(UnsafeBufferPointer(start: data, count: size)))
      return 0
    }
    exit(code)
  }
}
