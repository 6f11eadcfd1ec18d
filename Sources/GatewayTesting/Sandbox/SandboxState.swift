// What a sandbox remembers, behind its lock, and the file that it survives in.
internal import EventLoop
internal import FoundationEssentials
internal import Glibc
internal import TokenKit

/// A sandbox could not be started.
package struct SandboxError: Error, Sendable, CustomStringConvertible {
  package var description: String
}

struct SandboxState: Sendable {
  var apis: [SandboxAPI: TokenEndpoint]
  var upstreams: [SandboxAPI: SandboxUpstream]
  let stateFile: String?
  let reportProblem: @Sendable (String) -> Void

  init(_ options: SandboxOptions, now: WallTime) throws(SandboxError) {
    apis = [
      .vinid: TokenEndpoint(options.vinid), .cukcuk: TokenEndpoint(options.cukcuk),
      .oauth2: TokenEndpoint(options.oauth2),
    ]
    for api in SandboxAPI.allCases {
      apis[api]?.latencyBefore = options.latencyBefore
      apis[api]?.latencyAfter = options.latencyAfter
    }
    upstreams = [:]
    for api in SandboxAPI.allCases {
      upstreams[api] = SandboxUpstream(api: api, companyCode: options.cukcuk.companyCode)
    }
    stateFile = options.stateFile
    reportProblem = options.reportProblem
    if let path = options.stateFile { try load(path) }
    options.prepare(&apis, now: now)
    if let problem = save() { throw SandboxError(description: problem) }
  }

  func isCurrent(_ token: String, _ api: SandboxAPI, now: WallTime) -> Bool {
    apis[api]?.model.ledger.isCurrent(token, now: now) ?? false
  }

  private mutating func load(_ path: String) throws(SandboxError) {
    guard let text = TemporaryDirectory.read(path) else {
      if unsafe access(path, F_OK) == 0 { throw SandboxError(description: "\(path) cannot be read") }
      return
    }
    guard let ledgers = try? JSONDecoder().decode([String: TokenLedger].self, from: Data(text.utf8)) else {
      throw SandboxError(description: "\(path) is not a state file of this sandbox; remove it to start afresh")
    }
    for api in SandboxAPI.allCases {
      if let ledger = ledgers[api.rawValue] { apis[api]?.model.ledger = ledger }
    }
  }

  /// Writes beside the file and renames, so that a kill leaves the old or the new one.
  /// - Returns: what went wrong.
  private func save() -> String? {
    guard let stateFile else { return nil }
    var ledgers: [String: TokenLedger] = [:]
    for (api, endpoint) in apis { ledgers[api.rawValue] = endpoint.model.ledger }
    guard let data = try? JSONEncoder().encode(ledgers) else { return "the state cannot be encoded" }
    let beside = stateFile + ".new"
    let fd = unsafe open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    if fd < 0 { return "\(beside) cannot be written: error \(errno)" }
    let bytes = Array(data)
    let count = unsafe bytes.withUnsafeBytes { unsafe write(fd, $0.baseAddress, $0.count) }
    close(fd)
    guard count == bytes.count, unsafe rename(beside, stateFile) == 0 else {
      return "\(stateFile) cannot be written: error \(errno)"
    }
    return nil
  }

  /// To be called before an answer leaves that tells of a change.
  func keep() { if let problem = save() { reportProblem(problem) } }
}
