// The snapshot that a configuration file becomes: immutable once loaded, defaults filled in, names resolved to
// indices. `ConfigurationLoader` makes it; every other part of the gateway only reads it.
package import EventLoop
internal import Synchronization
package import TokenKit

/// Everything that gateway.json says.
package struct GatewayConfiguration: Sendable {
  /// Data loops.
  package var workers: Int
  /// Else the number is what the machine allowed when it was read.
  package var isWorkerCountWritten = true
  /// At least one, in the order of the file; `RouteConfiguration.listener` counts into it.
  package var listeners: [ListenerConfiguration]
  /// Where the admin listener is: on loopback or a Unix socket, unless it has a token.
  package var admin: SocketAddress
  /// What the admin listener's callers prove themselves with.
  package var adminToken: Secret?
  package var store: StoreConfiguration
  /// The path of the Unix socket by which another process takes this one's place.
  package var handover: String
  /// Sorted by name; `RouteConfiguration.credential` counts into it.
  package var credentials: [CredentialConfiguration] {
    get { credentialList.list.withLock { $0 } }
    set { credentialList = CredentialList(newValue) }
  }
  private var credentialList: CredentialList
  /// In the order of the file, which has no meaning for matching (see `RouteTable`).
  package var routes: [RouteConfiguration]
  /// For what happens before a route is known, and for what belongs to none.
  package var timeouts: Timeouts
  package var limits: Limits
  package var log: LogConfiguration
  /// nil: requests are not traced.
  package var otlp: OTLPConfiguration?
  /// Peers whose X-Forwarded-* fields are kept.
  package var trustedProxies: [CIDR]
  /// Whether `Via` goes on requests.
  package var via: Bool
  package var underscoreFields: UnderscoreFields

  package init(
    workers: Int = 1, listeners: [ListenerConfiguration] = [], admin: SocketAddress = .ipv4(0x7f00_0001, port: 9901),
    store: StoreConfiguration = StoreConfiguration(place: .sqlite(path: "gateway.db")),
    handover: String = "gateway.db.handover",
    credentials: [CredentialConfiguration] = [],
    routes: [RouteConfiguration] = [], timeouts: Timeouts = Timeouts(), limits: Limits = Limits(),
    log: LogConfiguration = LogConfiguration(), otlp: OTLPConfiguration? = nil, trustedProxies: [CIDR] = [],
    via: Bool = true, underscoreFields: UnderscoreFields = .drop
  ) {
    self.workers = workers
    self.listeners = listeners
    self.admin = admin
    self.store = store
    self.handover = handover
    credentialList = CredentialList(credentials)
    self.routes = routes
    self.timeouts = timeouts
    self.limits = limits
    self.log = log
    self.otlp = otlp
    self.trustedProxies = trustedProxies
    self.via = via
    self.underscoreFields = underscoreFields
  }
}

extension GatewayConfiguration {
  /// Empties the list of credentials for everybody who has a copy of this configuration. There may be very many of them,
  /// and once the credential manager has them nobody else needs them.
  package func forgetCredentials() { credentialList.list.withLock { $0 = [] } }

  final class CredentialList: Sendable {
    let list: Mutex<[CredentialConfiguration]>
    init(_ list: [CredentialConfiguration]) { self.list = Mutex(list) }
  }
}

/// What happens to a caller's fields with `_` in their names.
package enum UnderscoreFields: String, Sendable, CaseIterable { case drop, keep }
