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
  /// Large bodies that each data loop has the kernel pass on at a time.
  package var splicedBodies = 64
  /// Token calls that one token host gets at the same time.
  package var tokenCallsPerHost = 16
  /// Bytes a second that a body or a reader must make; 0 asks for nothing.
  package var minRate = 256

  package init() {}
}

extension Limits {
  private struct Key {
    var key: SettingsKey<Int?>
    var path: WritableKeyPath<Limits, Int>
    /// Whether a route may set it.
    var perRoute: Bool
    /// Whether `null` is written for "no limit", which is then the default too.
    var nullable: Bool

    init(_ key: SettingsKey<Int?>, _ path: WritableKeyPath<Limits, Int>, perRoute: Bool) {
      self.key = key
      self.path = path
      self.perRoute = perRoute
      nullable = Limits()[keyPath: path] == .max
      self.key.entry.fallback = nullable ? .null : key.entry.fallback
    }

    static func size(
      _ name: String, _ path: WritableKeyPath<Limits, Int>, _ bounds: ClosedRange<Int>, perRoute: Bool,
      _ meaning: String
    ) -> Key {
      Key(.size(name, meaning, in: bounds, default: Limits()[keyPath: path]), path, perRoute: perRoute)
    }

    static func count(
      _ name: String, _ path: WritableKeyPath<Limits, Int>, _ bounds: ClosedRange<Int>, perRoute: Bool,
      _ meaning: String
    ) -> Key {
      Key(.integer(name, meaning, in: bounds, default: Limits()[keyPath: path]), path, perRoute: perRoute)
    }
  }

  private static let heads = 1024...(1024 * 1024)
  private static let anySize = 0...(1 << 40)
  private static var table: [Key] {
    [
      .size("request_head", \.requestHead, heads, perRoute: false, "Bytes of a request's head."),
      .size("response_head", \.responseHead, heads, perRoute: true, "Bytes of an answer's head."),
      .count("headers", \.headers, 1...1000, perRoute: false, "Field lines of a head."),
      .size("request_body", \.requestBody, anySize, perRoute: true, "Bytes of a request's body; null: any number."),
      .size(
        "replay_body", \.replayBody, 0...(1 << 30), perRoute: true,
        "Bytes of one request's body that are kept to send it again with a new token."),
      .size(
        "replay_memory", \.replayMemory, anySize, perRoute: false, "Bytes of all bodies that are kept, in the process."),
      .count(
        "parked", \.parked, 0...10_000_000, perRoute: false,
        "Requests that wait for a token, in the process; one credential at most a quarter."),
      .count("connections", \.connections, 1...10_000_000, perRoute: false, "Callers' connections, in the process."),
      .count(
        "upstream_connections", \.upstreamConnections, 1...10_000_000, perRoute: true,
        "Connections to one upstream, in the process; each data loop has its part, and at least one."),
      .count(
        "upstream_idle_connections", \.upstreamIdleConnections, 0...10_000_000, perRoute: true,
        "How many of them are kept while nobody uses them; null: all."),
      .count(
        "spliced_bodies", \.splicedBodies, 0...10_000, perRoute: false,
        "Large bodies that each worker passes on inside the kernel (splice) at a time; others are copied."),
      .count(
        "token_calls_per_host", \.tokenCallsPerHost, 1...10_000, perRoute: false,
        "Token calls that one token host gets at the same time."),
      .size(
        "min_rate", \.minRate, 0...(1 << 30), perRoute: false,
        "Bytes a second that a caller must send of a body or take of an answer, over stream_idle (10 s to 30 s); \"0B\": "
          + "anything at all within stream_idle."),
    ]
  }

  /// The keys of the top level's `limits`.
  static let settings = SettingsObject(table.map(\.key.entry))
  /// The keys of a route's.
  static let routeSettings = SettingsObject(
    table.filter(\.perRoute).map { $0.key.otherwise("the top level's").entry })

  /// The keys whose values differ.
  static func changes(from old: Limits, to new: Limits) -> [String] {
    table.filter { old[keyPath: $0.path] != new[keyPath: $0.path] }.map(\.key.name)
  }

  /// Whether a route's own values are the same, whatever the top level's have become that it takes over.
  static func areSame(_ a: Limits, over aTop: Limits, _ b: Limits, over bTop: Limits) -> Bool {
    table.allSatisfy { key in
      let path = key.path
      let followsTop = a[keyPath: path] == aTop[keyPath: path] && b[keyPath: path] == bTop[keyPath: path]
      return followsTop || a[keyPath: path] == b[keyPath: path]
    }
  }

  /// The top level's `limits`, over the defaults; or a route's, over the top level's.
  init(_ settings: SettingsReader?, over base: Limits?) {
    self = base ?? Limits()
    guard let settings else { return }
    for key in Self.table {
      if base != nil, !key.perRoute {
        if settings.has(key.key.name) { settings.reject(key.key.name, "can only be set at the top level") }
      } else if key.nullable, settings.value(key.key.name) == .null {
        self[keyPath: key.path] = .max
      } else if let value = settings.read(key.key) {
        self[keyPath: key.path] = value
      }
    }
    settings.finish(Self.settings)
  }
}
