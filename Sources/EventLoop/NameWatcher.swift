// Keeps the addresses of one name fresh in the background, by their time to live. The last good ones outlive a failure.

/// Looks a name up again and again. Confined to its resolver's loop; lives until `stop`.
package final class NameWatcher: TimerHandler {
  private static let shortestBackoff: Int64 = 1_000_000_000
  private static let longestBackoff: Int64 = 10_000_000_000

  package let host: String
  /// The last good answer.
  package private(set) var name: ResolvedName?
  /// Why the latest look-up failed; nil when it did not.
  package private(set) var failure: ResolveFailure?
  private let resolver: Resolver
  private var changed: Resolver.Completion?
  private var timer: TimerWheel.Timer?
  private var backoff = shortestBackoff

  init(_ resolver: Resolver, _ host: String, _ changed: @escaping Resolver.Completion) {
    self.resolver = resolver
    self.host = host
    self.changed = changed
    timer = resolver.loop.timers.make(self)
    ask()
  }

  private func ask() { resolver.resolve(host) { [weak self] in self?.answered($0) } }

  private func answered(_ result: Result<ResolvedName, ResolveFailure>) {
    guard let changed, let timer else { return }
    let now = resolver.loop.now
    switch result {
    case .success(let found):
      // Servers rotate the order to spread load: that is no change.
      let isChanged = Set(found.addresses) != Set(name?.addresses ?? [])
      name = found
      failure = nil
      backoff = Self.shortestBackoff
      resolver.loop.timers.schedule(timer, at: now + found.timeToLive)
      if isChanged { changed(result) }
    case .failure(let error):
      failure = error
      if error.reason == .stopped { return stop() }
      resolver.loop.timers.schedule(timer, at: now + backoff)
      backoff = min(backoff * 2, Self.longestBackoff)
      if name == nil { changed(result) }
    }
  }

  package func timerFired(_ timer: TimerWheel.Timer) { ask() }

  /// Looks up no more; `changed` is not called any more.
  package func stop() {
    changed = nil
    if let timer { resolver.loop.timers.release(timer) }
    timer = nil
  }
}
