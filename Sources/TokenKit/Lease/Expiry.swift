// When a token ends: relative seconds, dates by another clock, nothing at all. Never "never", never "already over".

/// The arithmetic of lifetimes.
public enum Expiry {
  /// What a lease is unusable before its end: 10 % of its lifetime, at most 5 s.
  public static func margin(of lifetime: Duration) -> Duration { min(.seconds(5), lifetime / 10) }

  /// How long an access token lives, counted from sending its grant.
  /// - Parameters:
  ///   - sent: when the grant was sent, which is where lifetimes count from.
  ///   - received: when its answer was complete.
  ///   - date: the answer's `Date` field.
  ///   - lastKnown: the lifetime of this credential's previous token, if any.
  /// - Returns: what the reply said where that is usable, else the last known lifetime, else the default; clamped to
  ///   the policy's bounds, so that no answer makes a loop of calls or a token for ever.
  public static func lifetime(
    _ said: Token.Lifetime, sent: WallTime, received: WallTime, date: WallTime?, lastKnown: Duration?,
    policy: RefreshPolicy
  ) -> Duration {
    let told: Duration?
    switch said {
    case .relative(let duration): told = duration
    case .absolute(let end):
      let left = sane(end) - sent
      told = left - clockOffset(sent: sent, received: received, date: date, left: left)
    case .unknown: told = nil
    }
    let usable = told.flatMap { $0 > .zero ? $0 : nil } ?? lastKnown.flatMap { $0 > .zero ? $0 : nil }
    return min(max(usable ?? policy.defaultLifetime, policy.minimumLifetime), policy.maximumLifetime)
  }

  /// How far the server's clock is ahead of ours. `Date` has whole seconds and was written between sending and
  /// receiving, so it allows a range: if our clock is in it, only what the lease's margin doesn't cover is corrected (a
  /// second matters to tokens that live for three), else the value that makes tokens end sooner.
  static func clockOffset(sent: WallTime, received: WallTime, date: WallTime?, left: Duration) -> Duration {
    guard let date = date.map(sane) else { return .zero }
    let least = date - received
    let most = (date + .milliseconds(999)) - sent
    guard least <= .zero, .zero <= most else { return most }
    // What the margin of a lease comes to whose usable part is what surely is left.
    let covered = min(.seconds(5), max(left - most, .zero) / 9)
    return max(.zero, most - covered)
  }

  /// Within the years 1970 to 9999, so that differences can't overflow.
  private static func sane(_ time: WallTime) -> WallTime {
    WallTime(milliseconds: min(max(time.milliseconds, 0), 253_402_300_799_999))
  }
}
