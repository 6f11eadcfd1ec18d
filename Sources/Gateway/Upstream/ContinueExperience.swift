// What a server does with `Expect: 100-continue`: one that ignores or refuses it is not asked again for a while, since
// each question may cost a second.

/// A value of the pool.
struct ContinueExperience {
  /// So many silences in a row make a server one that does not answer.
  static let silencesTaken = 3
  /// How long such a server is not asked, in nanoseconds. Then one request asks.
  static let rest: Int64 = 60_000_000_000

  private var silences = 0
  private var restsUntil: Int64 = 0

  /// Whether a request that begins now asks.
  mutating func asks(at now: Int64) -> Bool {
    if silences < Self.silencesTaken { return true }
    if now < restsUntil { return false }
    restsUntil = now + Self.rest
    return true
  }

  /// 100, in time or late, or a final answer ahead of the body.
  mutating func answered() { if silences > 0 { silences = 0 } }

  /// Nothing came in the time that a body waits.
  mutating func stayedSilent(at now: Int64) {
    silences = min(silences + 1, Self.silencesTaken)
    if silences == Self.silencesTaken { restsUntil = now + Self.rest }
  }

  /// 417, or a new connection that ended instead of an answer.
  mutating func refused(at now: Int64) {
    silences = Self.silencesTaken
    restsUntil = now + Self.rest
  }
}
