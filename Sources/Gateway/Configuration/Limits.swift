// The `limits` object: its keys, defaults and bounds. Routes may set those that count once a route is known.
internal import TokenKit

/// Limits; bytes where nothing else is said. `Int.max` means none.
package struct Limits: Sendable, Equatable {
  /// A request's head.
  package var requestHead = 16 * 1024
  /// A response's head.
  package var responseHead = 32 * 1024
  /// Field lines of a head.
  package var headers = 100
  /// A request's body; `null` in the file is `Int.max`.
  package var requestBody = Int.max
  /// How much of one request's body is kept for a replay.
  package var replayBody = 256 * 1024
  /// All replay bodies of the process.
  package var replayMemory = 64 * 1024 * 1024
  /// Requests that wait for a lease, in the process.
  package var parked = 10_000
  /// Downstream connections of the process.
  package var connections = 10_000
  /// Connections to one upstream, in the process; each data loop has its part, and at least one.
  package var upstreamConnections = 512
  /// How many of them are kept while nobody uses them; `null` in the file is `Int.max`.
  package var upstreamIdleConnections = Int.max
  /// Token calls that one token host gets at the same time.
  package var tokenCallsPerHost = 16
  /// Bytes a second that a body or a reader must make; 0 asks for nothing.
  package var minRate = 256

  package init() {}
}

extension Limits {
  private struct Key {
    enum Kind { case size, count }

    var name: String
    var path: WritableKeyPath<Limits, Int>
    var kind: Kind
    var bounds: ClosedRange<Int>
    /// Whether a route may set it.
    var perRoute: Bool
    /// Whether `null` is written for "no limit".
    var nullable = false
  }

  private static var table: [Key] {
    let anySize = 0...(1 << 40)
    let heads = 1024...(1024 * 1024)
    let counts = 1...10_000_000
    return [
      Key(name: "request_head", path: \.requestHead, kind: .size, bounds: heads, perRoute: false),
      Key(name: "response_head", path: \.responseHead, kind: .size, bounds: heads, perRoute: true),
      Key(name: "headers", path: \.headers, kind: .count, bounds: 1...1000, perRoute: false),
      Key(name: "request_body", path: \.requestBody, kind: .size, bounds: anySize, perRoute: true, nullable: true),
      Key(name: "replay_body", path: \.replayBody, kind: .size, bounds: 0...(1 << 30), perRoute: true),
      Key(name: "replay_memory", path: \.replayMemory, kind: .size, bounds: anySize, perRoute: false),
      Key(name: "parked", path: \.parked, kind: .count, bounds: 0...10_000_000, perRoute: false),
      Key(name: "connections", path: \.connections, kind: .count, bounds: counts, perRoute: false),
      Key(name: "upstream_connections", path: \.upstreamConnections, kind: .count, bounds: counts, perRoute: true),
      Key(
        name: "upstream_idle_connections", path: \.upstreamIdleConnections, kind: .count, bounds: 0...10_000_000,
        perRoute: true, nullable: true),
      Key(
        name: "token_calls_per_host", path: \.tokenCallsPerHost, kind: .count, bounds: 1...10_000, perRoute: false),
      Key(name: "min_rate", path: \.minRate, kind: .size, bounds: 0...(1 << 30), perRoute: false),
    ]
  }

  /// The top level's `limits`, over the defaults; or a route's, over the top level's.
  init(_ settings: SettingsReader?, over base: Limits?) {
    self = base ?? Limits()
    guard let settings else { return }
    for key in Self.table {
      if base != nil, !key.perRoute {
        if settings.has(key.name) { settings.reject(key.name, "can only be set at the top level") }
      } else if key.nullable, settings.value(key.name) == .null {
        self[keyPath: key.path] = .max
      } else {
        let value =
          switch key.kind {
          case .size: settings.size(key.name, in: key.bounds)
          case .count: settings.integer(key.name, in: key.bounds)
          }
        if let value { self[keyPath: key.path] = value }
      }
    }
    settings.finish()
  }
}
