// One entry of `routes`: which requests it takes, and where they go.
package import TokenKit

/// One route, with its listener and credential resolved and its overrides laid over the top level's values.
package struct RouteConfiguration: Sendable {
  /// Unique; a label of logs and metrics.
  package var name: String
  package var match: RouteMatch
  /// Whether the matched prefix is taken off the path.
  package var stripPrefix: Bool
  /// Whether the caller's Host goes on instead of the upstream's own.
  package var preserveHost: Bool
  package var upstream: UpstreamConfiguration
  /// Index into `GatewayConfiguration.credentials`; nil: `"credential": null` was written, nothing is injected.
  package var credential: Int?
  package var timeouts: Timeouts
  package var limits: Limits

  package init(
    name: String, match: RouteMatch = RouteMatch(), stripPrefix: Bool = false, preserveHost: Bool = false,
    upstream: UpstreamConfiguration, credential: Int? = nil, timeouts: Timeouts = Timeouts(), limits: Limits = Limits()
  ) {
    self.name = name
    self.match = match
    self.stripPrefix = stripPrefix
    self.preserveHost = preserveHost
    self.upstream = upstream
    self.credential = credential
    self.timeouts = timeouts
    self.limits = limits
  }
}

/// The requests that a route takes.
package struct RouteMatch: Sendable, Hashable {
  /// Index into `GatewayConfiguration.listeners`; nil: all.
  package var listener: Int?
  /// As `HostName.normal` leaves it: lower case, no port; nil: any.
  package var host: String?
  /// Whole segments without a slash at the end: `/a/b`, or `""` for every path. `/a` and `/a/` of the file are the
  /// same prefix: it takes `/a`, `/a/` and `/a/b`, not `/ab`.
  package var pathPrefix: String
  /// Case-sensitive, sorted; empty: any.
  package var methods: [String]

  package init(listener: Int? = nil, host: String? = nil, pathPrefix: String = "", methods: [String] = []) {
    self.listener = listener
    self.host = host
    self.pathPrefix = pathPrefix
    self.methods = methods
  }
}

/// Where a route's requests go.
package struct UpstreamConfiguration: Sendable, Equatable {
  /// At least one. All have the same scheme.
  package var origins: [UpstreamOrigin]
  /// What goes before the request's path: `/base`, or `""`; never with a slash at its end.
  package var basePath: String
  /// PEM file with the authorities to trust instead of the system's; nil: the system's.
  package var caFile: String?

  package init(origins: [UpstreamOrigin], basePath: String = "", caFile: String? = nil) {
    self.origins = origins
    self.basePath = basePath
    self.caFile = caFile
  }
}

/// One server of an upstream.
package struct UpstreamOrigin: Sendable, Hashable {
  package var isTLS: Bool
  /// Lower-case name or IP literal without brackets.
  package var host: String
  package var port: UInt16
  /// For Host: host[:port], the port only when it is not the scheme's own.
  package var authority: String
  /// For SNI and the certificate's check.
  package var tlsServerName: String

  package init(_ url: HTTPURL, tlsServerName: String? = nil) {
    isTLS = url.isTLS
    host = url.host
    port = url.port
    authority = url.authority
    self.tlsServerName = tlsServerName ?? url.host
  }
}
