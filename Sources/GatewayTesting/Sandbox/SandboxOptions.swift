// How a sandbox is set up.
internal import TokenKit

/// Defaults fit the gateway.json at the top of the repository.
package struct SandboxOptions: Sendable {
  /// 0 takes a free port.
  package var tokenPort: UInt16 = 9100
  package var vinidPort: UInt16 = 9101
  package var cukcukPort: UInt16 = 9102
  package var oauth2Port: UInt16 = 9103
  package var controlPort: UInt16 = 9104
  /// Where the token APIs' state is kept, so that a restart goes on with it; nil keeps it in memory.
  package var stateFile: String?
  package var vinidRefreshToken = "sandbox-vinid-refresh-token"
  package var cukcukRefreshToken = "sandbox-cukcuk-refresh-token"
  package var oauth2RefreshToken = "sandbox-oauth2-refresh-token"
  package var vinid = HydraModel()
  package var cukcuk = MisaModel()
  package var oauth2 = OAuth2Model()
  /// Of every token API.
  package var latencyBefore: Duration = .zero
  package var latencyAfter: Duration = .zero
  package var recording = Recording.counts
  /// Told about what goes wrong besides requests, such as a state file that cannot be written.
  package var reportProblem: @Sendable (String) -> Void = { _ in }

  package init() {}

  /// Every port a free one.
  package static var onFreePorts: SandboxOptions {
    var options = SandboxOptions()
    (options.tokenPort, options.vinidPort, options.cukcukPort, options.oauth2Port, options.controlPort) = (
      0, 0, 0, 0, 0
    )
    return options
  }

  /// The access tokens of every API live that long.
  package mutating func setLifetime(_ lifetime: Duration) {
    vinid.rules.lifetime = lifetime
    cukcuk.rules.lifetime = lifetime
    oauth2.rules.lifetime = lifetime
  }

  /// Logs in with the initial refresh tokens that the ledgers do not know yet.
  func prepare(_ apis: inout [SandboxAPI: TokenEndpoint], now: WallTime) {
    let seeds: [(SandboxAPI, String)] = [
      (.vinid, vinidRefreshToken), (.cukcuk, cukcukRefreshToken), (.oauth2, oauth2RefreshToken),
    ]
    for (api, token) in seeds {
      guard let rules = apis[api]?.model.rules else { continue }
      apis[api]?.model.ledger.logIn(token, rules, now: now)
    }
  }
}
