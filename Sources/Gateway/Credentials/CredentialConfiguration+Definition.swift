// A credential of the configuration as the credential manager takes it.
internal import TokenKit
internal import TokenService

extension CredentialConfiguration {
  /// For the credential manager.
  func definition(tokenTimeout: Duration) throws(InjectionRules.Malformed) -> CredentialDefinition {
    let injection = try InjectionRules(
      header: header, scheme: scheme,
      extra: extraFields.map { InjectionRules.Field(name: $0.name, value: $0.value) })
    var policy = RefreshPolicy()
    policy.refreshAt = refreshAt
    policy.minimumRefreshInterval = minRefreshInterval
    policy.defaultLifetime = defaultLifetime
    policy.refreshTokenLifetime = refreshTokenLifetime
    let remake = self.remake
    return CredentialDefinition(
      name: name,
      material: CredentialMaterial(provider: provider, seed: seed), policy: policy,
      injection: injection,
      transport: transportOptions(tokenTimeout: tokenTimeout), maxPerMinute: maxPerMinute,
      rejectionStatuses: rejectionStatuses.map(Int.init)
    ) {
      guard let again = remake() else { return .failed(problem: "the configured secrets can't be read any more") }
      return .changed(CredentialMaterial(provider: again.provider, seed: again.seed))
    }
  }

  /// How its token calls are sent.
  func transportOptions(tokenTimeout: Duration) -> GrantTransportOptions {
    GrantTransportOptions(
      caFile: caFile, proxy: proxy?.text, allowsPlaintext: allowPlaintext, timeout: tokenTimeout)
  }
}
