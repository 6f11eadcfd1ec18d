// Brings a login's pair to where it is kept: to the running gateway, or into its store if none runs.
internal import EventLoop
internal import FoundationEssentials
internal import TokenKit
internal import TokenService

struct LoginDelivery {
  private static let attempts = 3

  private let configuration: GatewayConfiguration
  private let credential: CredentialConfiguration
  private let client: AdminClient
  private let clock = SystemClock()

  init(_ configuration: GatewayConfiguration, _ credential: CredentialConfiguration, _ client: AdminClient) {
    self.configuration = configuration
    self.credential = credential
    self.client = client
  }

  /// Whether a pair could be delivered now.
  func check() throws(CommandFailure) {
    do throws(AdminCallFailure) {
      let reply = try client.call("GET", "/api/credentials/\(credential.name)")
      try client.expectAccess(reply)
      switch reply.status {
      case 200:
        guard let text = JSONReply.decode(Known.self, from: reply.body[...]) else { throw client.strange }
        if text.identity == (try identity()) { return }
        throw .failed(
          "the gateway at \(client.address) runs with other settings of \(credential.name) than this configuration has: "
            + "restart it first")
      case 404:
        throw .failed("the gateway at \(client.address) has no credential \(credential.name): restart it first")
      default: throw client.strange
      }
    } catch {
      if case .failed(let message) = error { throw .unasked(message) }
    }
    try CredentialSession.check(configuration, credential)
  }

  /// - Returns: what has become of it.
  /// - Throws: if it is lost.
  func deliver(_ token: Token, sent: Moment) throws(CommandFailure) -> String {
    var failure = CommandFailure.unasked("")
    for attempt in 0..<Self.attempts {
      // A gateway may be starting or ending just now.
      if attempt > 0 { DescriptorWait.pause(.seconds(1)) }
      do throws(AdminCallFailure) {
        return try send(token, sent)
      } catch {
        switch error {
        case .notRunning:
          do throws(CommandFailure) { return try store(token, sent) } catch { failure = error }
        case .failed(let message): failure = .unasked(message)
        }
      }
    }
    throw CommandFailure(
      code: failure.code, message: "\(failure.message); the new tokens are lost: log in again when that is mended")
  }

  // MARK: To the running gateway

  private struct Known: Decodable {
    var identity: String
  }

  private func identity() throws(AdminCallFailure) -> String {
    do {
      return try credential.definition(tokenTimeout: configuration.timeouts.token).identityText
    } catch {
      throw .failed("\(error)")
    }
  }

  private struct Reply: Decodable {
    var outcome: String?
    var generation: UInt64?
    var stored: Bool?
    var error: String?
  }

  private func send(_ token: Token, _ sent: Moment) throws(AdminCallFailure) -> String {
    let handover = TokenHandover(token: token, age: clock.now.boot - sent.boot, identity: try identity())
    let reply = try client.call(
      "PUT", "/api/credentials/\(credential.name)/tokens", body: handover.json,
      within: configuration.timeouts.token + .seconds(20))
    try client.expectAccess(reply)
    guard let json = JSONReply.decode(Reply.self, from: reply.body[...]) else { throw client.strange }
    switch json.outcome {
    case "taken":
      let isStored = json.stored ?? false
      return words(
        json.generation ?? 0,
        isStored ? "the running gateway uses it" : "the running gateway uses it, and has yet to store it")
    case "pending":
      return "\(credential.name): logged in; the running gateway takes it when the grant that is under way is over\n"
    default:
      throw .failed("the gateway at \(client.address) says: \(Printable.text(json.error ?? "status \(reply.status)"))")
    }
  }

  // MARK: Into the store

  private func store(_ token: Token, _ sent: Moment) throws(CommandFailure) -> String {
    let session = try CredentialSession(configuration, credential)
    let reply = GrantReply(token: token, date: nil, sent: sent, received: clock.now)
    let outcome = try session.logIn(reply)
    try session.finish()
    guard case .published(let generation, _) = outcome else { throw .unasked("the store did not take the tokens") }
    switch configuration.store.place {
    case .sqlite: return words(generation, "the gateway uses it when it starts")
    case .postgres: return words(generation, "replicas take it from the store")
    }
  }

  private func words(_ generation: UInt64, _ rest: String) -> String {
    "\(credential.name): logged in, generation \(generation); \(rest)\n"
  }
}
