// One entry of `credentials`: a provider with its settings, and how its token goes on requests.
package import TokenKit

/// One credential.
package struct CredentialConfiguration: Sendable {
  /// The name in the file.
  package var name: String
  /// The provider's name in the file.
  package var providerID: String
  package var provider: any TokenProvider
  /// The refresh token to start from; nil for grants that have none.
  package var seed: Secret?
  /// The field that carries the token.
  package var header: String
  /// What stands before the token (`Bearer`); empty: the bare token.
  package var scheme: String
  /// Fields that go on requests besides the token: `extra_headers`, then the provider's own.
  package var extraFields: [(name: String, value: Secret)]
  /// The share of a lease's lifetime after which it is refreshed.
  package var refreshAt: Double
  /// Least time between two forced refreshes.
  package var minRefreshInterval: Duration
  /// Token calls that the token host takes in a minute; nil: any number. Of a host's credentials the smallest counts.
  package var maxPerMinute: Int?
  /// A lease's lifetime when neither the reply nor an earlier one says it.
  package var defaultLifetime: Duration
  /// A refresh token's lifetime when the reply does not say it; nil: unknown.
  package var refreshTokenLifetime: Duration?
  /// Statuses by which an upstream rejects the token.
  package var rejectionStatuses: [UInt16]
  /// PEM file with the authorities to trust for the token endpoint; nil: the system's.
  package var caFile: String?
  /// Whether the token endpoint may be plain http on another machine.
  package var allowPlaintext: Bool
  /// Proxy for token calls; nil: none.
  package var proxy: HTTPURL?
  /// Whether any of its secrets is in a file: others never change while the process lives.
  package var readsFiles: Bool
  /// Reads the credential's secrets anew (files may have changed, after `misconfigured`); nil when one can't be read
  /// or no longer passes. Blocks on file reads: not for a data loop.
  package var remake: @Sendable () -> RemadeCredential?

  package init(
    name: String, providerID: String, provider: any TokenProvider, seed: Secret? = nil,
    header: String = "Authorization", scheme: String = "Bearer", extraFields: [(name: String, value: Secret)] = [],
    refreshAt: Double = 0.8, minRefreshInterval: Duration = .seconds(10), maxPerMinute: Int? = nil,
    defaultLifetime: Duration = .seconds(3600),
    refreshTokenLifetime: Duration? = nil, rejectionStatuses: [UInt16] = [401], caFile: String? = nil,
    allowPlaintext: Bool = false, proxy: HTTPURL? = nil, readsFiles: Bool = false,
    remake: @escaping @Sendable () -> RemadeCredential? = { nil }
  ) {
    self.name = name
    self.providerID = providerID
    self.provider = provider
    self.seed = seed
    self.header = header
    self.scheme = scheme
    self.extraFields = extraFields
    self.refreshAt = refreshAt
    self.minRefreshInterval = minRefreshInterval
    self.maxPerMinute = maxPerMinute
    self.defaultLifetime = defaultLifetime
    self.refreshTokenLifetime = refreshTokenLifetime
    self.rejectionStatuses = rejectionStatuses
    self.caFile = caFile
    self.allowPlaintext = allowPlaintext
    self.proxy = proxy
    self.readsFiles = readsFiles
    self.remake = remake
  }

  /// Every field name that the credential puts on requests: those are stripped from what callers send.
  package var injectedFieldNames: [String] { [header] + extraFields.map(\.name) }
}

/// What reading a credential's secrets anew gives.
package struct RemadeCredential: Sendable {
  package var provider: any TokenProvider
  package var seed: Secret?
  package var extraFields: [(name: String, value: Secret)]

  package init(provider: any TokenProvider, seed: Secret?, extraFields: [(name: String, value: Secret)]) {
    self.provider = provider
    self.seed = seed
    self.extraFields = extraFields
  }
}

/// The token APIs that this binary knows. The command line makes it: the core imports no provider.
package struct ProviderRegistry: Sendable {
  package let types: [any TokenProvider.Type]

  package init(_ types: [any TokenProvider.Type]) { self.types = types }

  /// The provider with that `id`.
  package func provider(_ id: String) -> (any TokenProvider.Type)? { types.first { $0.id == id } }
}
