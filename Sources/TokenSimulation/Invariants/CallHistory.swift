// Invariant 5: every token call has a reason that may cause one, and reasons don't come faster than the rules let them.

internal import TokenKit

/// The calls of one process for one credential.
struct CallHistory {
  /// What is known of the call before.
  private enum Outcome {
    case none
    case pending
    case succeeded
    case failed
  }

  private var lastSent: Int64 = .min
  private var lastForced: Int64 = .min
  private var outcome = Outcome.none
  /// Times of calls since the last that brought a pair.
  private var run: [Int64] = []
  private var forced = 0
  private var failures = 0
  private var rejectedGenerations: Set<UInt64> = []
  /// A data loop has asked because of a 401.
  var isRejected = false
  /// People who have asked and wait.
  var asking = 0 { didSet { if asking > oldValue { isAsked = true } } }
  private var isAsked = false

  private static let floor = 10 * Span.second
  /// The least wait of the back-off schedule, less what is rounded.
  private static let shortest = 249 * Span.millisecond

  /// An upstream has really refused a lease.
  mutating func rejected(generation: UInt64) { rejectedGenerations.insert(generation) }

  mutating func succeeded() {
    outcome = .succeeded
    run = []
  }

  mutating func failed() {
    outcome = .failed
    failures += 1
  }

  /// A call goes out. Says what is wrong with it.
  mutating func sent(at now: Int64, cause: GrantCause, processStarted: Int64, youngLease: String?) -> String? {
    defer {
      lastSent = now
      outcome = .pending
      isRejected = false
      isAsked = asking > 0
    }
    run.append(now)
    if cause == .rejected {
      forced += 1
      if lastForced != .min, now - lastForced < Self.floor {
        return "forced \(milliseconds(now - lastForced)) after another"
      }
      lastForced = now
      if !isRejected { return "forced although no upstream has refused a lease" }
      if let excess = churn(now - processStarted) { return excess }
      return nil
    }
    if cause == .admin {
      lastForced = now
      return isAsked ? nil : "a person's call that nobody asked for"
    }
    guard lastSent != .min else { return nil }
    let pause = now - lastSent
    if pause < Self.shortest { return "\(milliseconds(pause)) after the call before" }
    if let crowd = crowd(now) { return crowd }
    if case .succeeded = outcome, let youngLease, !isAsked, !isRejected {
      return "\(cause.rawValue), but \(youngLease)"
    }
    return nil
  }

  /// In a run without success the waits double, up to 10 s while callers ask: a few at first, then one in 5 s on the
  /// average. The bound leaves room for luck with the jitter.
  private func crowd(_ now: Int64) -> String? {
    for window in [15 * Span.second, 60 * Span.second] {
      var count = 0
      for time in run.reversed() {
        if now - time > window { break }
        count += 1
      }
      let most = 8 + Int(window / (2500 * Span.millisecond))
      if count > most { return "\(count) calls without success in \(milliseconds(window))" }
    }
    return nil
  }

  /// Refreshes that were forced by 401s: each really dead lease may force one; the rest are due to the URL that always
  /// answers 401, whose wait doubles up to 10 minutes.
  private func churn(_ life: Int64) -> String? {
    var most = 3 + failures + rejectedGenerations.count + Int(life / (600 * Span.second))
    var reach = 10 * Span.second
    while reach < min(life, 600 * Span.second) {
      most += 1
      reach *= 2
    }
    return forced > most ? "\(forced) forced refreshes in \(milliseconds(life)), at most \(most) have a reason" : nil
  }

  private func milliseconds(_ nanoseconds: Int64) -> String { "\(nanoseconds / Span.millisecond) ms" }
}
