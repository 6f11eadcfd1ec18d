// `gateway refresh NAME`: a new token now, by the running gateway, or with its store if none runs.
internal import EventLoop
internal import FoundationEssentials
internal import TokenKit
internal import TokenService

package enum RefreshCommand {
  package static func run(_ configuration: GatewayConfiguration, name: String) -> CommandResult {
    Process.forbidDumps()
    Process.ignoreBrokenPipes()
    do throws(CommandFailure) {
      let credential = try configuration.credential(named: name)
      let client = try AdminClient(configuration)
      do throws(AdminCallFailure) {
        return try byGateway(client, configuration, name)
      } catch {
        if case .failed(let message) = error { throw .unasked(message) }
      }
      return try byStore(configuration, credential)
    } catch {
      return error.result
    }
  }

  // MARK: By the running gateway

  private struct Reply: Decodable {
    var outcome: String?
    var generation: UInt64?
    var expires: String?
    var reason: String?
    var needs_login: String?
    var code: String?
    var error: String?
  }

  private static func byGateway(
    _ client: AdminClient, _ configuration: GatewayConfiguration, _ name: String
  ) throws(AdminCallFailure) -> CommandResult {
    let reply = try client.call(
      "POST", "/api/credentials/\(name)/refresh", body: Secret("{}"),
      within: configuration.timeouts.token + .seconds(20))
    try client.expectAccess(reply)
    guard let json = JSONReply.decode(Reply.self, from: reply.body[...]) else { throw client.strange }
    switch json.outcome {
    case "refreshed":
      let now = SystemClock().now.wall
      return refreshed(name, json.generation ?? 0, CredentialViews.time(json.expires).map { $0 - now })
    case "failed": return failed(name, json.needs_login ?? json.reason ?? "", code: json.code ?? "")
    case "pending": return pending(name)
    default:
      let words = Printable.text(json.error ?? "status \(reply.status)")
      let hint = reply.status == 404 ? ": the running gateway may have been started with another configuration" : ""
      return CommandFailure.refused("the gateway at \(client.address) says: \(words)\(hint)").result
    }
  }

  // MARK: With the store

  private static func byStore(
    _ configuration: GatewayConfiguration, _ credential: CredentialConfiguration
  ) throws(CommandFailure) -> CommandResult {
    let session = try CredentialSession(configuration, credential)
    try session.start()
    let answer = try session.refresh()
    let now = SystemClock().now
    try session.finish()
    switch answer {
    case .success(let lease): return refreshed(credential.name, lease.generation, lease.expires - now.boot)
    case .failure(let failure):
      return failed(credential.name, failure.needsLogin?.rawValue ?? failure.reason.rawValue, code: failure.code)
    case nil: return pending(credential.name)
    }
  }

  // MARK: Words

  private static func refreshed(_ name: String, _ generation: UInt64, _ left: Duration?) -> CommandResult {
    let life = left.map { ", good for \(StatusText.span($0))" } ?? ""
    return CommandResult(code: 0, output: "\(name): refreshed, generation \(generation)\(life)\n")
  }

  private static func failed(_ name: String, _ reason: String, code: String) -> CommandResult {
    let reasons = [reason, code].filter { !$0.isEmpty }.map { Printable.text($0) }.joined(separator: ", ")
    return CommandFailure.refused("\(name) was not refreshed: \(reasons)").result
  }

  private static func pending(_ name: String) -> CommandResult {
    CommandFailure.refused("\(name): the refresh takes its time; gateway status says what comes of it").result
  }
}

extension GatewayConfiguration {
  /// - Throws: with the names that there are.
  func credential(named name: String) throws(CommandFailure) -> CredentialConfiguration {
    if let credential = credentials.first(where: { $0.name == name }) { return credential }
    let names = credentials.map(\.name).joined(separator: ", ")
    throw .refused(
      "there is no credential \"\(Printable.text(name))\""
        + (names.isEmpty ? "; the configuration has none" : "; there are \(names)"))
  }
}
