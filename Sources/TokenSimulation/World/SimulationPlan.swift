// What a world is made of, drawn from its seed: replicas, store, token servers, how likely things go wrong.

internal import TokenKit

/// Milliseconds and seconds in the simulator's unit, nanoseconds.
enum Span {
  static let microsecond: Int64 = 1_000
  static let millisecond: Int64 = 1_000_000
  static let second: Int64 = 1_000_000_000
}

extension RandomSource {
  /// From 0 up to, but not including, `limit`.
  mutating func below(_ limit: Int) -> Int { Int(truncatingIfNeeded: next() >> 33) % max(limit, 1) }
  /// From 0 up to, but not including, `limit`.
  mutating func below(_ limit: Int64) -> Int64 { Int64(truncatingIfNeeded: next() >> 2) % max(limit, 1) }
  /// Whether something of this likelihood, in thousandths, happens.
  mutating func chance(_ thousandths: Int) -> Bool { thousandths > 0 && below(1000) < thousandths }
  /// One of several.
  mutating func one<T>(of choices: [T]) -> T { choices[below(choices.count)] }
}

/// A token server's rules for one credential.
struct TokenServerRules {
  /// Whether grants send a refresh token at all.
  var usesRefreshToken = true
  /// Whether each use of a refresh token replaces it.
  var rotates = true
  /// For how long a replaced token still is answered, with the same successor.
  var grace: Int64 = 0
  /// Whether a replaced token that comes later kills the whole family, as opposed to being refused.
  var killsFamilyOnReuse = true
  /// Whether a rotation ends the access token before it.
  var killsOldAccessToken = false
  /// Of access tokens, in seconds.
  var lifetime = 60
  /// Whether replies name a date by the server's clock instead of a lifetime.
  var saysDate = false
  /// How far the server's clock is ahead.
  var clockOffset: Int64 = 0
}

/// How likely token calls and store operations go wrong, in thousandths.
struct FaultRates {
  var refused = 0
  var requestLost = 0
  var replyLost = 0
  var slow = 0
  var tooMany = 0
  var errorBefore = 0
  var errorAfter = 0
  var garbled = 0
  var misconfigured = 0
  var storeFails = 0
  var storeAnswerLost = 0
  var noticeLost = 0
  /// Per effect of a process.
  var crash = 0
  /// Per request: something that lasts (an outage, a partition, a revocation).
  var incident = 0
}

/// One life as its seed makes it.
struct SimulationPlan {
  var isShared: Bool
  var replicas: Int
  var servers: [TokenServerRules]
  var arrivals: Int
  /// Of a hundred requests, how many go to the URL that always answers 401.
  var badRouteShare: Int
  /// How requests follow each other: the longest pause, in nanoseconds.
  var longestPause: Int64
  var rates = FaultRates()

  init(_ random: inout RandomSource) {
    isShared = random.chance(550)
    replicas = isShared ? random.one(of: [1, 2, 2, 2, 3, 3, 4, 5]) : 1
    let count = random.chance(250) ? 2 : 1
    servers = []
    for _ in 0..<count { servers.append(Self.rules(&random)) }
    arrivals = 10 + random.below(25)
    badRouteShare = random.one(of: [0, 0, 10, 50])
    let lifetime = Int64(servers.map(\.lifetime).min() ?? 60) * Span.second
    longestPause = random.one(of: [lifetime / 10, lifetime / 4, lifetime / 2, 3 * Span.second, 20 * Span.second])
    rates = Self.rates(&random)
  }

  private static func rules(_ random: inout RandomSource) -> TokenServerRules {
    var rules = TokenServerRules()
    rules.usesRefreshToken = !random.chance(80)
    rules.rotates = rules.usesRefreshToken && !random.chance(120)
    rules.grace = random.one(of: [0, 0, 0, 5, 10, 30, 60]) * Span.second
    rules.killsFamilyOnReuse = random.chance(750)
    rules.killsOldAccessToken = random.chance(300)
    rules.lifetime = random.one(of: [2, 3, 5, 20, 60, 120, 600, 3600])
    rules.saysDate = random.chance(250)
    rules.clockOffset = random.one(of: [0, 0, 1, -1, 40, -40, 7200, -7200, 86_400 * 400]) * Span.second
    return rules
  }

  private static func rates(_ random: inout RandomSource) -> FaultRates {
    func some(_ most: Int, _ random: inout RandomSource) -> Int { random.chance(600) ? 0 : random.below(most) }
    var rates = FaultRates()
    // A quarter of all lives are nearly quiet, so that rare faults are seen alone.
    let isQuiet = random.chance(250)
    rates.incident = some(isQuiet ? 60 : 200, &random)
    rates.crash = some(isQuiet ? 30 : 60, &random)
    rates.replyLost = some(150, &random)
    if isQuiet { return rates }
    rates.refused = some(300, &random)
    rates.requestLost = some(150, &random)
    rates.slow = some(200, &random)
    rates.tooMany = some(200, &random)
    rates.errorBefore = some(150, &random)
    rates.errorAfter = some(100, &random)
    rates.garbled = some(100, &random)
    rates.misconfigured = some(60, &random)
    rates.storeFails = some(300, &random)
    rates.storeAnswerLost = some(150, &random)
    rates.noticeLost = some(500, &random)
    return rates
  }
}
