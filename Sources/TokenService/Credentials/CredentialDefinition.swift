// One credential as the configuration describes it, ready for the manager.

package import TokenKit

/// What a credential is made of that can be read again while the gateway runs (secrets in files).
package struct CredentialMaterial: Sendable {
  /// The token API, with its settings and secrets.
  package var provider: any TokenProvider
  /// The refresh token in the configuration, if it has one.
  package var seed: Secret?

  /// A provider and a seed.
  package init(provider: any TokenProvider, seed: Secret?) {
    self.provider = provider
    self.seed = seed
  }
}

/// What reading the secrets again brought.
package enum MaterialReread: Sendable {
  /// The same as before, or nothing can be read again.
  case unchanged
  /// It was read; whether anything differs is for the manager to see.
  case changed(CredentialMaterial)
  /// It can't be read; `problem` is for the log and holds no secret.
  case failed(problem: String)
}

/// What many credentials have in common.
package struct CredentialSettings: Sendable, Hashable {
  /// When to refresh.
  package var policy: RefreshPolicy
  /// How tokens are put on requests, from the configuration; the provider's own fields are added by the manager.
  package var injection: InjectionRules
  /// How grants are sent.
  package var transport: GrantTransportOptions
  /// How many calls a minute the token host takes (`max_per_minute`); the smallest of a host's credentials counts.
  package var maxPerMinute: Int?
  /// Upstream statuses that mean "this token is not good" (`rejection_status`).
  package var rejectionStatuses: [Int]
}

/// A credential's definition.
package struct CredentialDefinition: Sendable {
  /// The name in gateway.json.
  package var name: String
  /// Provider and seed as read at start.
  package var material: CredentialMaterial
  /// Reads the secrets again (small files; it may block for as long as that takes).
  package var reread: @Sendable () -> MaterialReread
  private(set) var shared: Shared

  /// Settings that many credentials may have in common.
  final class Shared: Sendable, Hashable {
    let settings: CredentialSettings
    init(_ settings: CredentialSettings) { self.settings = settings }
    static func == (a: Shared, b: Shared) -> Bool { a === b || a.settings == b.settings }
    func hash(into hasher: inout Hasher) { hasher.combine(settings) }
  }

  /// Everything else.
  package var settings: CredentialSettings {
    get { shared.settings }
    set { shared = Shared(newValue) }
  }

  init(
    name: String, material: CredentialMaterial, shared: Shared, reread: @escaping @Sendable () -> MaterialReread
  ) {
    self.name = name
    self.material = material
    self.shared = shared
    self.reread = reread
  }

  /// Lets credentials with equal settings keep them once.
  package struct Sharing {
    private var known = Interner<Shared>()

    /// Knows nothing yet.
    package init() {}

    /// The same definition over shared settings.
    package mutating func shared(_ definition: CredentialDefinition) -> CredentialDefinition {
      var definition = definition
      definition.shared = known.shared(definition.shared)
      return definition
    }
  }

  /// A definition with the defaults of gateway.json.
  package init(
    name: String, material: CredentialMaterial, policy: RefreshPolicy = RefreshPolicy(),
    injection: InjectionRules = .bearer, transport: GrantTransportOptions = GrantTransportOptions(),
    maxPerMinute: Int? = nil, rejectionStatuses: [Int] = [401],
    reread: @escaping @Sendable () -> MaterialReread = { .unchanged }
  ) {
    self.name = name
    self.material = material
    self.reread = reread
    shared = Shared(
      CredentialSettings(
        policy: policy, injection: injection, transport: transport, maxPerMinute: maxPerMinute,
        rejectionStatuses: rejectionStatuses))
  }

  /// Stands for everything that its tokens belong to: two gateways whose texts are equal can use each other's pairs.
  package var identityText: String {
    let provider = material.provider
    let traits = provider.traits
    let identity = Fingerprinter.sha256.identity(
      ["login", name, type(of: provider).id] + traits.accessTokenIdentity + traits.refreshTokenIdentity)
    return identity.bytes.map { $0 < 16 ? "0\(String($0, radix: 16))" : String($0, radix: 16) }.joined()
  }
}
