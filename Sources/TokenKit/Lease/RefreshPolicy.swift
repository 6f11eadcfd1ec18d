// When a credential is refreshed, and how long it waits after failures. Set per credential by the configuration.

/// The times of a credential's life. Defaults are those of gateway.json.
public struct RefreshPolicy: Sendable, Hashable {
  /// Share of the lifetime after which a lease is refreshed (`refresh_at`).
  public var refreshAt = 0.8
  /// By which share of that the refresh may come earlier, at random.
  public var jitter = 0.05
  /// The same for a lease that begins a new rhythm: one from the store at start, one that somebody waited for, one after
  /// failures. Where there are many credentials those come in crowds, which this share parts for good; 0: like others.
  public var spread = 0.0
  /// Forced refreshes (401) are at least this far apart (`min_refresh_interval`).
  public var minimumRefreshInterval = Duration.seconds(10)
  /// How long a token lives when its reply doesn't say (`default_lifetime`).
  public var defaultLifetime = Duration.seconds(3600)
  /// The refresh token's life when a reply doesn't say one (`refresh_token_lifetime`); nil: the provider's.
  public var refreshTokenLifetime: Duration?
  /// What "expires at once" is read as, and how far apart grants are that follow each other because tokens end so soon.
  public var minimumLifetime = Duration.seconds(1)
  /// What "never expires" is read as.
  public var maximumLifetime = Duration.seconds(30 * 86_400)
  /// The first back-off ceiling; it doubles with each failure.
  public var backoffBase = Duration.seconds(1)
  /// The least wait of a back-off, so that full jitter never means "at once".
  public var backoffFloor = Duration.milliseconds(250)
  /// The ceiling's cap while the lease is usable or nobody asks.
  public var backoffCapAtRest = Duration.seconds(300)
  /// The ceiling's cap while callers ask and there is no usable lease.
  public var backoffCapWhenAsked = Duration.seconds(10)
  /// The wait before a token is sent again whose first answer never came: grace windows are short.
  public var firstRetryAfterUnanswered = Duration.seconds(1)
  /// How often a misconfigured credential is tried, and a dead one looks for a new seed or row.
  public var misconfiguredRetry = Duration.seconds(300)
  /// The longest Retry-After that is obeyed.
  public var maximumRetryAfter = Duration.seconds(86_400)
  /// How long a new pair is kept back while its write is under way.
  public var publishDelay = Duration.milliseconds(250)
  /// How long the data loops have to acknowledge a hold.
  public var holdAcknowledgement = Duration.milliseconds(50)
  /// The first wait of a route whose replay met another 401; it doubles.
  public var routeBackoffBase = Duration.seconds(10)
  /// The cap of that wait.
  public var routeBackoffCap = Duration.seconds(600)
  /// With this share of the refresh token's life left, an alarm shows.
  public var refreshTokenAlarm = 0.2

  /// The defaults.
  public init() {}

  /// Full jitter: anything between the floor and a ceiling that doubles with each failure (`failures` counts from 1).
  func backoff(failures: Int, cap: Duration, random: inout RandomSource) -> Duration {
    let ceiling = min(cap, backoffBase * (1 << min(max(failures, 1) - 1, 20)))
    return max(backoffFloor, random.fraction() * ceiling)
  }

  /// The wait of a route after its nth replay that met another 401.
  func routeBackoff(strikes: Int) -> Duration {
    min(routeBackoffCap, routeBackoffBase * (1 << min(max(strikes, 1) - 1, 20)))
  }
}

/// A source of random numbers that is a value: the same seed gives the same life. SplitMix64.
public struct RandomSource: RandomNumberGenerator, Sendable, Equatable {
  private var state: UInt64

  /// A source that starts at `seed`.
  public init(seed: UInt64) { state = seed }

  /// The next number.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// From 0 up to, but not including, 1.
  public mutating func fraction() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }
}

/// A share of a duration; saturates at what 64 bits of nanoseconds hold.
func * (factor: Double, duration: Duration) -> Duration {
  let product = max(0, factor) * Double(duration.nanoseconds)
  return .nanoseconds(product < 9.2e18 ? Int64(product) : .max)
}
