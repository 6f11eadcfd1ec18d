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
    var key: SettingsKey<Duration?>
    var path: WritableKeyPath<Timeouts, Duration>
    /// Whether a route may set it.
    var perRoute: Bool

    init(_ name: String, _ path: WritableKeyPath<Timeouts, Duration>, perRoute: Bool, _ meaning: String) {
      key = .duration(
        name, meaning, in: .milliseconds(1) ... .seconds(30 * 86_400), default: Timeouts()[keyPath: path])
      self.path = path
      self.perRoute = perRoute
    }
  }

  private static var table: [Key] {
    [
      Key("request_head", \.requestHead, perRoute: false, "From the first byte of a request's head to its last."),
      Key("idle", \.idle, perRoute: false, "A caller's kept-alive connection without a request."),
      Key("connect", \.connect, perRoute: true, "Connecting to an upstream, TLS included."),
      Key("response_head", \.responseHead, perRoute: true, "From the request's end to the answer's head."),
      Key("stream_idle", \.streamIdle, perRoute: true, "Nothing moves in either direction once the answer has begun."),
      Key("upstream_idle", \.upstreamIdle, perRoute: true, "An idle upstream connection."),
      Key("token", \.token, perRoute: false, "One call of a token endpoint, all of it."),
      Key("park", \.park, perRoute: true, "A request waits for a token."),
      Key("drain", \.drain, perRoute: false, "From SIGTERM until what is left is cut off."),
    ]
  }

  /// The keys of the top level's `timeouts`.
  static let settings = SettingsObject(table.map(\.key.entry))
  /// The keys of a route's.
  static let routeSettings = SettingsObject(
    table.filter(\.perRoute).map { $0.key.otherwise("the top level's").entry })

  /// The keys whose values differ.
  static func changes(from old: Timeouts, to new: Timeouts) -> [String] {
    table.filter { old[keyPath: $0.path] != new[keyPath: $0.path] }.map(\.key.name)
  }

  /// Whether a route's own values are the same, whatever the top level's have become that it takes over.
  static func areSame(_ a: Timeouts, over aTop: Timeouts, _ b: Timeouts, over bTop: Timeouts) -> Bool {
    table.allSatisfy { key in
      let path = key.path
      let followsTop = a[keyPath: path] == aTop[keyPath: path] && b[keyPath: path] == bTop[keyPath: path]
      return followsTop || a[keyPath: path] == b[keyPath: path]
    }
  }

  /// The top level's `timeouts`, over the defaults; or a route's, over the top level's.
  init(_ settings: SettingsReader?, over base: Timeouts?) {
    self = base ?? Timeouts()
    guard let settings else { return }
    for key in Self.table {
      if base != nil, !key.perRoute {
        if settings.has(key.key.name) { settings.reject(key.key.name, "can only be set at the top level") }
      } else if let duration = settings.read(key.key) {
        self[keyPath: key.path] = duration
      }
    }
    settings.finish(Self.settings)
  }
}
