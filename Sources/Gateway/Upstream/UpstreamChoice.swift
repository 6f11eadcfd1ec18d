// Which of a route's upstream servers takes a request: the one with the fewest requests at hand; one that fails is left
// alone for a while, and a request that it has not seen goes to another one.

/// The servers that one request has tried, and where to go next. A value of the exchange.
struct UpstreamChoice {
  /// By place in the route's list; more servers than bits share the last one.
  private var tried: UInt64 = 0
  /// Who is asked first, so that servers that are equally busy take turns.
  private var start = 0

  init() {}

  /// - Parameter number: of the request.
  init(number: UInt64) { start = Int(truncatingIfNeeded: number & 0xffff) }

  private static func bit(_ place: Int) -> UInt64 { 1 << UInt64(min(place, 63)) }

  /// There is no server left to try.
  func isExhausted(_ plan: RoutePlan) -> Bool { tried.nonzeroBitCount >= min(plan.upstreams.count, 64) }

  /// The best pool that was not tried yet; nil when all were.
  mutating func next(_ plan: RoutePlan, _ pools: [UpstreamPool], now: Int64) -> UpstreamPool? {
    let count = plan.upstreams.count
    if count == 1 {
      if tried != 0 { return nil }
      tried = 1
      return pools[plan.upstreams[0]]
    }
    var best: (place: Int, isEjected: Bool, outstanding: Int)?
    for step in 0..<count {
      let place = (start + step) % count
      if tried & Self.bit(place) != 0 { continue }
      let pool = pools[plan.upstreams[place]]
      let isEjected = pool.ejectedUntil > now
      if let best, (best.isEjected ? 1 : 0, best.outstanding) <= (isEjected ? 1 : 0, pool.outstanding) { continue }
      best = (place, isEjected, pool.outstanding)
    }
    guard let best else { return nil }
    tried |= Self.bit(best.place)
    return pools[plan.upstreams[best.place]]
  }
}
