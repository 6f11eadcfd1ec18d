// A credential of the configuration as the credential manager takes it.
internal import TokenKit
internal import TokenService

extension CredentialConfiguration {
  /// Up to so many refreshes at about the same time are nothing to a token server.
  private static var manyCredentials: Int { 100 }

  /// For the credential manager.
  /// - Parameter count: how many credentials there are: very many are refreshed at times far apart.
  func definition(
    tokenTimeout: Duration, among count: Int = 1
  ) throws(InjectionRules.Malformed) -> CredentialDefinition {
    let injection = try InjectionRules(
      header: header, scheme: scheme,
      extra: extraFields.map { InjectionRules.Field(name: $0.name, value: $0.value) })
    var policy = RefreshPolicy()
    policy.refreshAt = refreshAt
    if count > Self.manyCredentials { policy.spread = 0.875 }
    policy.minimumRefreshInterval = minRefreshInterval
    policy.defaultLifetime = defaultLifetime
    policy.refreshTokenLifetime = refreshTokenLifetime
    let remake = self.remake
    let nothing: @Sendable () -> MaterialReread = { .unchanged }
    let again: @Sendable () -> MaterialReread = {
      guard let again = remake() else { return .failed(problem: "the configured secrets can't be read any more") }
      return .changed(CredentialMaterial(provider: again.provider, seed: again.seed))
    }
    return CredentialDefinition(
      name: name,
      material: CredentialMaterial(provider: provider, seed: seed), policy: policy,
      injection: injection,
      transport: transportOptions(tokenTimeout: tokenTimeout), maxPerMinute: maxPerMinute,
      rejectionStatuses: rejectionStatuses.map(Int.init),
      reread: readsFiles ? again : nothing)
  }

  /// How its token calls are sent.
  func transportOptions(tokenTimeout: Duration) -> GrantTransportOptions {
    GrantTransportOptions(
      caFile: caFile, proxy: proxy?.text, allowsPlaintext: allowPlaintext, timeout: tokenTimeout)
  }
}
