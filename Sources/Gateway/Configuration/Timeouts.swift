// The `timeouts` object: its keys, defaults and bounds. Routes may set those that begin once a route is known.
internal import TokenKit

/// Time-outs; each is at least a millisecond.
package struct Timeouts: Sendable, Equatable {
  /// From a request's first byte to the end of its head; absolute, dripping bytes do not move it.
  package var requestHead = Duration.seconds(10)
  /// A kept-alive downstream connection without a request.
  package var idle = Duration.seconds(75)
  /// Connecting to an upstream, TLS included.
  package var connect = Duration.seconds(5)
  /// From the request's end to the upstream's response head.
  package var responseHead = Duration.seconds(60)
  /// Without a byte in either direction once the response has begun.
  package var streamIdle = Duration.seconds(300)
  /// A pooled upstream connection.
  package var upstreamIdle = Duration.seconds(30)
  /// One call of a token endpoint, all of it.
  package var token = Duration.seconds(5)
  /// A request that waits for a lease.
  package var park = Duration.seconds(10)
  /// From SIGTERM until what is left is cut off.
  package var drain = Duration.seconds(30)

  package init() {}
}

extension Timeouts {
  private struct Key {
    var name: String
    var path: WritableKeyPath<Timeouts, Duration>
    /// Whether a route may set it.
    var perRoute: Bool
  }

  private static var table: [Key] {
    [
      Key(name: "request_head", path: \.requestHead, perRoute: false),
      Key(name: "idle", path: \.idle, perRoute: false),
      Key(name: "connect", path: \.connect, perRoute: true),
      Key(name: "response_head", path: \.responseHead, perRoute: true),
      Key(name: "stream_idle", path: \.streamIdle, perRoute: true),
      Key(name: "upstream_idle", path: \.upstreamIdle, perRoute: true),
      Key(name: "token", path: \.token, perRoute: false),
      Key(name: "park", path: \.park, perRoute: true),
      Key(name: "drain", path: \.drain, perRoute: false),
    ]
  }

  /// The top level's `timeouts`, over the defaults; or a route's, over the top level's.
  init(_ settings: SettingsReader?, over base: Timeouts?) {
    self = base ?? Timeouts()
    guard let settings else { return }
    for key in Self.table {
      if base != nil, !key.perRoute {
        if settings.has(key.name) { settings.reject(key.name, "can only be set at the top level") }
      } else if let duration = settings.duration(key.name, in: .milliseconds(1) ... .seconds(30 * 86_400)) {
        self[keyPath: key.path] = duration
      }
    }
    settings.finish()
  }
}
